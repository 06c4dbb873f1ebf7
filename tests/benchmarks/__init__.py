"""Measurements: run by hand, never part of the suite, for machines are noisy."""
