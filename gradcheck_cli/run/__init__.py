"""Run checks: choose them, run each in a sandbox where it calls code, and report the results."""
