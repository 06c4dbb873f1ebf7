"""A disk of a few megabytes that a test can fill and empty again. It is a tmpfs, and goes with the test."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

BALLAST = "ballast"


class SmallDisk:
    def __init__(self, place: Path) -> None:
        self.place = place

    def fill(self) -> None:
        """Leave not one byte of room."""
        with (self.place / BALLAST).open("ab", buffering=0) as ballast:
            for size in (1 << 16, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while ballast.write(b"\0" * size) == size:
                        pass

    def make_room(self) -> None:
        (self.place / BALLAST).unlink(missing_ok=True)


@contextlib.contextmanager
def mounted(megabytes: int, *, owner: int = 0) -> Iterator[SmallDisk]:
    """Mount a disk for the block, or skip the test where nothing may be mounted."""
    place = Path(tempfile.mkdtemp(prefix="order-executor-disk-", dir="/tmp"))
    options = f"size={megabytes}m,mode=0700,uid={owner},gid={owner}"
    answer = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if answer.returncode:
        place.rmdir()
        pytest.skip(f"nothing may be mounted here: {answer.stderr.strip()}")
    try:
        yield SmallDisk(place)
    finally:
        # Lazily: a server that still ends may hold a file open.
        subprocess.run(["umount", "-l", str(place)], check=True)
        place.rmdir()
