"""
The folder `.local`: what local servers keep between runs, and the locks by which processes agree on them.

Every lock is an flock: the kernel drops it with the process that held it, however that ended.

    users.lock    shared by every process that uses the local servers
    start.lock    held while servers are brought up or taken down, so that the two cannot cross
    keeper.lock   held by the keeper, the one process that runs the servers
    up.lock       held by `manage.py up`
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypedDict

PROJECT = Path(__file__).resolve().parent.parent
FOLDER_VARIABLE = "ORDER_EXECUTOR_LOCAL"
LOCK_PAUSE_SECONDS = 0.02


class LocalServersFailed(Exception):
    """The local servers cannot serve; the message is one sentence that says what to do."""


class ServerStatus(TypedDict):
    """What the keeper says of one server: where it answers, or why it does not."""

    url: str
    problem: str


class LocalFolder:
    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.users_lock = self.root / "users.lock"
        self.start_lock = self.root / "start.lock"
        self.keeper_lock = self.root / "keeper.lock"
        self.up_lock = self.root / "up.lock"
        self.urls = self.root / "env"
        self.admin_password = self.root / "admin_password"
        self.log = self.root / "log"
        self._status = self.root / "keeper.json"
        self._wanted = self.root / "wanted.json"

    @classmethod
    def named_by(cls, environment: Mapping[str, str]) -> LocalFolder:
        return cls(Path(environment.get(FOLDER_VARIABLE) or PROJECT / ".local"))

    def create(self) -> None:
        """Make the folder. Others may pass through it, since PostgreSQL does not run as root."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            if self.root.stat().st_uid == os.geteuid():
                self.root.chmod(0o711)
            self.log.mkdir(exist_ok=True)
        except OSError as error:
            raise LocalServersFailed(
                f"Cannot write to {self.root} ({error.strerror}): "
                f"give this user the folder, or name another one in {FOLDER_VARIABLE}."
            ) from error

    def keeper_runs(self) -> bool:
        return self.root.is_dir() and is_locked(self.keeper_lock)

    def want(self, names: Iterable[str]) -> None:
        """Ask the keeper for these servers, besides those asked for before."""
        write_private(self._wanted, json.dumps(sorted({*self.wanted(), *names})))

    def wanted(self) -> list[str]:
        return list(_read(self._wanted, "[]"))

    def status(self) -> dict[str, ServerStatus]:
        return dict(_read(self._status, "{}"))

    def publish(self, status: dict[str, ServerStatus]) -> None:
        write_private(self._status, json.dumps(status))

    def forget_keeper(self) -> None:
        self._status.unlink(missing_ok=True)
        self._wanted.unlink(missing_ok=True)


def lock(path: Path, kind: int) -> int | None:
    """Lock the file without waiting and return its descriptor, or None when somebody else holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def lock_within(path: Path, kind: int, seconds: float) -> int | None:
    """Lock the file, waiting at most so long."""
    end = time.monotonic() + seconds
    while (descriptor := lock(path, kind)) is None and time.monotonic() < end:
        time.sleep(LOCK_PAUSE_SECONDS)
    return descriptor


def is_locked(path: Path) -> bool:
    descriptor = lock(path, fcntl.LOCK_SH)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


def write_private(path: Path, text: str) -> None:
    """Replace the file as a whole, readable by its owner only."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    draft.replace(path)


def _read(path: Path, empty: str) -> Any:
    """Return what the keeper or `attach` left there as JSON; both replace the file as a whole."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return json.loads(empty)
