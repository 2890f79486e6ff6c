"""What functions of the user compute on their way, seen line by line while they run."""
