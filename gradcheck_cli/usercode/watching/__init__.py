"""Watch the user's functions line by line while they run, and see what they compute inside."""
