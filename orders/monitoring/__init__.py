"""What other machines watch the desk by: whether it is alive and ready, and its figures for Prometheus."""
