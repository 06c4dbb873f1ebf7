"""Who changed what, and why: the trail that the database writes and protects by itself, and the seals over it."""
