"""
How a process comes to the local servers it needs.

Where `DATABASE_URL` and the like are set, nothing happens. Otherwise the process attaches: it holds a
shared lock on the local folder for as long as it lives, and the keeper, started by whoever comes first,
runs the servers for as long as anybody holds that lock.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import environ

from config.local_folder import (
    FOLDER_VARIABLE,
    PROJECT,
    LocalFolder,
    LocalServersFailed,
    ServerStatus,
    lock_within,
)
from config.local_services import SERVERS, needed
from config.secret_files import read_secret_files

ATTACH_SECONDS_MAX = 90.0
POLL_SECONDS = 0.02
LOOK_SECONDS_MAX = 5.0  # the keeper holds the users' lock for a moment when it looks
LEAVE_TRIES = 3

# The commands that touch neither database nor broker; `up` attaches when it has seen that it may start.
WITHOUT_SERVERS = frozenset(
    {
        "help",
        "version",
        "check",
        "collectstatic",
        "compilemessages",
        "controls",
        "diffsettings",
        "findstatic",
        "makemessages",
        "paper_kite",
        "soak",
        "startapp",
        "startproject",
        "up",
    }
)


def needs_servers(arguments: Sequence[str]) -> bool:
    """Say whether the command line, without the program's name, is of a command that needs servers."""
    if not arguments or {"--help", "-h", "--version"} & set(arguments):
        return False
    if arguments[0] == "check":
        return any(argument.startswith("--database") for argument in arguments)
    return arguments[0] not in WITHOUT_SERVERS


@dataclass
class Attachment:
    """The use of local servers. It ends with `release` or with the process, not when it is forgotten."""

    folder: LocalFolder
    urls: dict[str, str] = field(default_factory=dict)
    users: int | None = None  # the descriptor that holds the lock

    def release(self) -> bool:
        """Let go, and say whether this was the last user."""
        if self.users is None:
            return False
        alone = any(self._is_alone() for _ in range(LEAVE_TRIES))
        os.close(self.users)
        self.users = None
        return alone

    def _is_alone(self) -> bool:
        assert self.users is not None
        try:
            fcntl.flock(self.users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # shared with others, or the keeper was looking in between
            time.sleep(POLL_SECONDS)
            return False
        return True


def use_local_servers() -> Attachment:
    """Read `.env`, attach to the servers no variable names, and put their addresses into `os.environ`."""
    if (PROJECT / ".env").exists():
        environ.Env.read_env(PROJECT / ".env")  # what is set already wins
    read_secret_files(os.environ)
    attachment = attach(os.environ)
    os.environ.update(attachment.urls)
    return attachment


def attach(environment: Mapping[str, str]) -> Attachment:
    """
    Return the use of the local servers for which the environment names no other.

    Raise `LocalServersFailed` when they cannot be had.
    """
    attachment = Attachment(LocalFolder.named_by(environment))
    if names := needed(environment):
        attachment.folder.create()
        start = lock_within(attachment.folder.start_lock, fcntl.LOCK_EX, ATTACH_SECONDS_MAX)
        if start is None:
            raise LocalServersFailed("Another process is starting the local servers and does not finish: end it.")
        try:
            attachment.users = lock_within(attachment.folder.users_lock, fcntl.LOCK_SH, LOOK_SECONDS_MAX)
            status = _servers(attachment.folder, names, environment)
        except LocalServersFailed:
            attachment.release()
            raise
        finally:
            os.close(start)
        attachment.urls = {SERVERS[name].variable: status[name]["url"] for name in names}
    return attachment


def _servers(folder: LocalFolder, names: Iterable[str], environment: Mapping[str, str]) -> dict[str, ServerStatus]:
    """Have the keeper run these servers and return what it says of them, once all of them answer."""
    if not folder.keeper_runs():
        folder.forget_keeper()  # one that was killed
    folder.want(names)
    if not folder.keeper_runs():
        _start_keeper(folder, environment)
    end = time.monotonic() + ATTACH_SECONDS_MAX
    while time.monotonic() < end:
        status = folder.status()
        for name in names:
            if problem := status.get(name, {"problem": ""})["problem"]:
                raise LocalServersFailed(problem)
        if all(name in status and status[name]["url"] for name in names):
            return status
        if not folder.keeper_runs():
            raise LocalServersFailed(f"The keeper of the local servers ended: read {_keeper_log(folder)}.")
        time.sleep(POLL_SECONDS)
    raise LocalServersFailed(f"The local servers took too long to start: read {_keeper_log(folder)}.")


def _start_keeper(folder: LocalFolder, environment: Mapping[str, str]) -> None:
    """Start the keeper, which detaches itself as soon as it holds its lock."""
    with _keeper_log(folder).open("ab") as log:
        subprocess.run(
            [sys.executable, "-m", "config.keeper"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=PROJECT,
            env={**environment, FOLDER_VARIABLE: str(folder.root)},
            check=False,
            start_new_session=True,  # Ctrl-C in a terminal is for its users, not for the keeper
        )


def _keeper_log(folder: LocalFolder) -> Path:
    return folder.log / "keeper.log"
