"""How functions of the user are called, and what they return is read: conventions as data."""
