"""Infer the shapes of parameters by abstract interpretation: the code is read and never run."""
