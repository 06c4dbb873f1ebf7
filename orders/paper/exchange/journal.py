"""
The journal: a line of JSON for whatever happened at once, on disk before anybody is told of it.

An event is written at the moment of the decision, which is enough to survive the end of this process; what
survives the end of the machine is waited for before an answer leaves (`settle`), once for all requests that
are waiting for it.

A process killed in the middle of a write leaves a torn last line. Nobody was told of what it says, so it is
cut off at the next start. Any other damage is not ours to guess about, and stops the start.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from orders.paper.exchange.events import Event, decode, encode

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
        self._in_use = threading.Lock()  # the descriptor, by the thread that syncs
        self._syncing: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "journal")
        self._written = self._synced = 0
        self._failure: JournalUnwritable | None = None

    def replay(self) -> Iterator[Event]:
        """Yield everything that happened, and cut off a torn last line."""
        lines = self.path.read_bytes().split(b"\n")
        sound_bytes = 0
        for number, line in enumerate(lines, start=1):
            if number == len(lines) and not line:
                return
            try:
                events = decode(line)
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
            yield from events

    def append(self, *events: Event) -> None:
        """Write the events down, all of them or none; raise `JournalUnwritable` if that fails."""
        if self._failure:
            raise self._failure
        line = encode(events) + b"\n"
        size = os.fstat(self._descriptor).st_size
        try:
            write_all(self._descriptor, line)
        except OSError as error:
            # Half a line in the middle of the file would make all of it unreadable.
            os.ftruncate(self._descriptor, size)
            raise self._unwritable(error) from error
        self._written += 1

    async def settle(self) -> None:
        """Return when all that was written is on the disk; raise `JournalUnwritable` if it cannot be."""
        wanted = self._written
        while self._synced < wanted:
            if self._failure:
                raise self._failure
            if self._syncing is None:
                self._syncing = asyncio.create_task(self._sync())
            await asyncio.shield(self._syncing)

    def restart(self, *opening: Event) -> str:
        """Put the journal aside and begin a new one with these events; return the archive's file name."""
        with self._in_use:
            try:
                archive = self._archive(opening[0].at)
                descriptor = self._begin(*opening)
                os.close(self._descriptor)
                self._descriptor = descriptor
                sync_directory(self.path.parent)
            except OSError as error:
                raise JournalUnwritable(f"{self.path} cannot be archived ({error.strerror})") from error
        return archive.name

    def events(self) -> Iterator[Event]:
        """Yield what was written since the journal began, read from the disk."""
        with self.path.open("rb") as lines:
            for line in lines:
                if line.endswith(b"\n"):
                    yield from decode(line)

    def close(self) -> None:
        self._thread.shutdown()
        os.close(self._descriptor)

    async def _sync(self) -> None:
        upto = self._written
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._force)
            self._synced = upto
        except OSError as error:
            # What a failed sync left unwritten is not known, and trying again would not tell (fsync(2)).
            self._failure = self._unwritable(error)
            raise self._failure from error
        finally:
            self._syncing = None

    def _force(self) -> None:
        with self._in_use:
            os.fsync(self._descriptor)

    def _unwritable(self, error: OSError) -> JournalUnwritable:
        return JournalUnwritable(f"{self.path} cannot be written ({error.strerror})")

    def _archive(self, at: datetime) -> Path:
        archive = self.path.with_name(f"journal-{at:%Y%m%dT%H%M%S.%f}.jsonl")
        archive.hardlink_to(self.path)
        return archive

    def _begin(self, *opening: Event) -> int:
        """Give the journal's name to a new file; return its descriptor."""
        fresh = self.path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, APPEND, 0o600)
        try:
            write_all(descriptor, encode(opening) + b"\n")
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
