"""Call functions of the user, and read what they return; the conventions are tables."""
