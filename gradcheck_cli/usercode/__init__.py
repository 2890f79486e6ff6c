"""The user's own code: found, called in the ways people write it, and made a Problem of."""
