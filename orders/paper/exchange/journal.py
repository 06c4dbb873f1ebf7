"""
The journal: one JSON line for each thing that happened, on disk before anybody is told of it.

A process killed in the middle of a write leaves a torn last line. Nobody was told of what it says, so it is
cut off at the next start. Any other damage is not ours to guess about, and stops the start.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from orders.paper.exchange.events import EVENTS, BookOpened, Event

log = logging.getLogger(__name__)

APPEND = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC


class JournalDamaged(Exception):
    """A line before the last cannot be read."""


class JournalUnwritable(Exception):
    """The journal could not be extended; nothing of what was to be written counts as having happened."""


class Journal:
    def __init__(self, state_dir: Path) -> None:
        self.path = state_dir / "journal.jsonl"
        try:
            self._descriptor = os.open(self.path, APPEND, 0o600)
            sync_directory(state_dir)
        except OSError as error:
            raise JournalUnwritable(f"{self.path} cannot be written ({error.strerror})") from error

    def replay(self) -> Iterator[Event]:
        """Yield everything that happened, and cut off a torn last line."""
        lines = self.path.read_bytes().split(b"\n")
        sound_bytes = 0
        for number, line in enumerate(lines, start=1):
            if number == len(lines) and not line:
                return
            try:
                event = EVENTS.validate_json(line)
            except ValidationError as error:
                if any(lines[number:]):
                    raise JournalDamaged(
                        f"{self.path} is damaged at line {number}: repair that line, or move the file away "
                        "to start an empty book."
                    ) from error
                self._cut(sound_bytes)
                return
            if number == len(lines):
                # Whole but for its line end, which the next record would otherwise be glued to.
                os.write(self._descriptor, b"\n")
            sound_bytes += len(line) + 1
            yield event

    def append(self, *events: Event) -> None:
        """Put the events on disk, all of them or none; raise `JournalUnwritable` if that fails."""
        lines = b"".join(EVENTS.dump_json(event) + b"\n" for event in events)
        size = os.fstat(self._descriptor).st_size
        try:
            write_all(self._descriptor, lines)
            os.fsync(self._descriptor)
        except OSError as error:
            # Half a line in the middle of the file would make all of it unreadable.
            os.ftruncate(self._descriptor, size)
            raise JournalUnwritable(f"{self.path} cannot be written ({error.strerror})") from error

    def restart(self, opening: BookOpened) -> str:
        """Put the journal aside and begin a new one with this event; return the archive's file name."""
        try:
            archive = self._archive(opening.at)
            descriptor = self._begin(opening)
            os.close(self._descriptor)
            self._descriptor = descriptor
            sync_directory(self.path.parent)
        except OSError as error:
            raise JournalUnwritable(f"{self.path} cannot be archived ({error.strerror})") from error
        return archive.name

    def close(self) -> None:
        os.close(self._descriptor)

    def _archive(self, at: datetime) -> Path:
        archive = self.path.with_name(f"journal-{at:%Y%m%dT%H%M%S.%f}.jsonl")
        archive.hardlink_to(self.path)
        return archive

    def _begin(self, opening: BookOpened) -> int:
        """Give the journal's name to a new file; return its descriptor."""
        fresh = self.path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, APPEND, 0o600)
        try:
            write_all(descriptor, EVENTS.dump_json(opening) + b"\n")
            os.fsync(descriptor)
            # The archive is a second name of the old journal: whenever we are killed, one of the two is in place.
            fresh.replace(self.path)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def _cut(self, sound_bytes: int) -> None:
        log.warning("%s: the last line is torn and was never acknowledged; it is cut off", self.path)
        os.ftruncate(self._descriptor, sound_bytes)
        os.fsync(self._descriptor)


def write_all(descriptor: int, content: bytes) -> None:
    """Write everything: a single write to a nearly full disk may take only a part."""
    while content:
        content = content[os.write(descriptor, content) :]


def sync_directory(directory: Path) -> None:
    """Make the names in the directory durable; syncing a file does not promise that its name is."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
