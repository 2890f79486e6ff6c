"""The user's own code: load it, call it in the ways people write it, and make a `Problem` of it."""
