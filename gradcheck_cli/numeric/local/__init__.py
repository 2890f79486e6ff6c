"""Difference quotients of a forward that falls into slices: an entry's slice alone is evaluated."""
