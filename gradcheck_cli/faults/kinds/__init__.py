"""The faults of the catalogue, with similar ones in one file: how to make each and find it."""
