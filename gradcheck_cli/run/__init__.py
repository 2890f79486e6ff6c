"""Many checks: which, in which order, and what came of each."""
