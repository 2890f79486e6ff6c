"""The shapes that the text of code implies, which is read and not run."""
