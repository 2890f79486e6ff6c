"""Quotients of a forward that falls into slices, of which only one is evaluated."""
