"""Work in other processes: one child, and the pool, the sandbox and the fork map built on it."""
