"""
How fast the executor is, beside the floor: the same rows and the same commits by hand. `make bench` runs it.

Real local servers of the run's own that write through to the disk, and the paper Kite. What is compared is measured in
turns, in one run, so that a machine's moods meet both. Read the milliseconds as of the machine that is named, and the
ratios as of the code.
"""
