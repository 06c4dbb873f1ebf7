"""The account's arithmetic: positions, and what they are worth."""
