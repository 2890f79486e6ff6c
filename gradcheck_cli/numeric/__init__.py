"""The oracle: derivatives by finite differences. It knows functions and arrays, nothing else."""
