"""`gradcheck init`: write a config for the user's code, from its text alone."""
