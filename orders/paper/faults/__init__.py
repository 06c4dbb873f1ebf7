"""The ways in which the server can be told to fail."""
