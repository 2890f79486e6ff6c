"""The oracle: derivatives by finite differences. This package knows functions and arrays only."""
