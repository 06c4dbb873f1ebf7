"""The processes `manage.py up` supervises: started, listened to, started again when they die."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from config.local_folder import PROJECT
from config.local_server import die_with_parent

BACK_OFF_FIRST_SECONDS = 0.5
BACK_OFF_MAX_SECONDS = 30.0
STEADY_SECONDS = 30.0
CHUNK_BYTES = 65_536


class Lines:
    """Bytes as they come, cut into lines."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> Iterator[str]:
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > CHUNK_BYTES:
            whole, self._rest = [*whole, self._rest], b""
        for line in whole:
            yield line.decode(errors="replace").rstrip("\r")


class Child:
    """One supervised process, in a session of its own: Ctrl-C reaches it only through its supervisor."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = name
        self.command = command
        self.environment = environment
        self.process: subprocess.Popen[bytes] | None = None
        self.failures = 0
        self.start_at = 0.0  # monotonic seconds, as all times here
        self._started_at = 0.0
        self._lines = Lines()

    def start(self) -> None:
        self._started_at = time.monotonic()
        self.process = subprocess.Popen(  # noqa: S603  # our own programs, no shell
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=PROJECT,
            env={**self.environment, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGTERM),  # there are no threads here
        )
        os.set_blocking(self.output, False)

    @property
    def output(self) -> int:
        assert self.process is not None
        assert self.process.stdout is not None
        return self.process.stdout.fileno()

    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def age(self) -> float:
        """Return for how many seconds it has run."""
        return time.monotonic() - self._started_at

    def read(self) -> Iterator[str]:
        """Yield the lines written since the last time; they can be read after the end, too."""
        with contextlib.suppress(BlockingIOError):
            while self.process is not None and (chunk := os.read(self.output, CHUNK_BYTES)):
                yield from self._lines.feed(chunk)

    def bury(self) -> int:
        """Forget the ended process and end what it left behind; return its exit status."""
        assert self.process is not None
        status = self.process.wait()
        self.kill()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None
        self._lines = Lines()
        return status

    def postpone(self, now: float) -> float:
        """Set the moment of the next start, later with every failure in a row; return the pause in seconds."""
        if now - self._started_at > STEADY_SECONDS:
            self.failures = 0
        pause = min(BACK_OFF_FIRST_SECONDS * 2 ** min(self.failures, 10), BACK_OFF_MAX_SECONDS)
        self.failures += 1
        self.start_at = now + pause
        return float(pause)

    def ask_to_stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def kill(self) -> None:
        """Kill the whole group: the web server's workers would keep its port for a while."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)


class LogTail:
    """The lines that are added to a file from now on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._position = path.stat().st_size if path.exists() else 0
        self._lines = Lines()

    def read(self) -> Iterator[str]:
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._position)
            chunk = file.read()
            self._position = file.tell()
        yield from self._lines.feed(chunk)
