"""`gradcheck init`: a config for code of yours, from the text of the code alone."""
