"""The layers that a config can describe."""
