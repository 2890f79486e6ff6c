"""Work in other processes: one child, and what is built on it."""
