"""Kite's routes over HTTP, and the ones under /paper/ that steer them."""
