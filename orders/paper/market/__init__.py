"""What can be traded, what it costs at a moment, and when: a pure function of seed, instrument and time."""
