"""The faults of the catalogue, a file for what is alike: how each is put in, and found."""
