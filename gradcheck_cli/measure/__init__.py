"""One gradient: measured, and compared with what is claimed of it."""
