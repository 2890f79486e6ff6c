"""Every derivative that people write besides a backward, each a check of some function."""
