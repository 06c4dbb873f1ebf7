"""
The cast: a local folder of the test's own, an environment that names no servers, and other processes that use them.

Whether a server still runs is asked of its lock, which it and all its children hold.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config.attachment import Attachment, attach
from config.local_folder import FOLDER_VARIABLE, PROJECT, LocalFolder, is_locked
from tests.servers import FOREIGN, remove

BOUND_SECONDS = 20.0
USE_UNTIL_STDIN_ENDS = """
import json, os, sys
from config.attachment import attach
print(json.dumps(attach(os.environ).urls), flush=True)
sys.stdin.read()
"""


def eventually(what: Callable[[], object], seconds: float = BOUND_SECONDS) -> float:
    """Wait until it is so, and return how long that took."""
    begin = time.monotonic()
    while not what():
        assert time.monotonic() - begin < seconds, "it did not happen in time"
        time.sleep(0.02)
    return time.monotonic() - begin


def living(folder: LocalFolder) -> list[str]:
    """Return the names of the keeper and the servers that still run."""
    return sorted(path.stem for path in folder.root.glob("*.lock") if path.stem in LOCKED and is_locked(path))


LOCKED = {"keeper", "postgres", "valkey", "paper_kite", "users", "up"}


class User:
    """Another process that uses the local servers until it leaves or is killed."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", USE_UNTIL_STDIN_ENDS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=PROJECT,
            env=environment,
        )

    def urls(self) -> dict[str, str]:
        assert self.process.stdout is not None
        return dict(json.loads(self.process.stdout.readline()))

    def leave(self) -> None:
        with self.process:
            assert self.process.stdin is not None
            self.process.stdin.close()

    def kill(self) -> None:
        with self.process:
            self.process.kill()


def process_exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def kill_keeper(folder: LocalFolder) -> None:
    os.kill(int(folder.keeper_lock.read_text()), signal.SIGKILL)
    eventually(lambda: not folder.keeper_runs())


@pytest.fixture
def folder() -> Iterator[LocalFolder]:
    folder = LocalFolder(Path(tempfile.mkdtemp(prefix="order-executor-test-")))
    yield folder
    eventually(lambda: not living(folder))
    remove(folder)


@pytest.fixture
def use(folder: LocalFolder) -> Iterator[Callable[[dict[str, str]], Attachment]]:
    """Attach this process, until the test ends at the latest."""
    attachments = []

    def attach_until_the_end(environment: dict[str, str]) -> Attachment:
        attachments.append(attach(environment))
        return attachments[-1]

    yield attach_until_the_end
    for attachment in attachments:
        attachment.release()


@pytest.fixture
def another_process(folder: LocalFolder) -> Iterator[Callable[[dict[str, str]], User]]:
    users = []

    def start(environment: dict[str, str]) -> User:
        users.append(User(environment))
        return users[-1]

    yield start
    for user in users:
        user.kill()


@pytest.fixture
def bare(folder: LocalFolder) -> dict[str, str]:
    """An environment that names no server at all."""
    named = {*FOREIGN, "DATABASE_URL", "REDIS_URL"}
    kept = {key: value for key, value in os.environ.items() if key not in named}
    return {**kept, FOLDER_VARIABLE: str(folder.root)}


@pytest.fixture(scope="session")
def seed() -> Iterator[Path]:
    """A folder that has served once: creating a cluster safely costs a second, copying one does not."""
    seed = LocalFolder(Path(tempfile.mkdtemp(prefix="order-executor-seed-")))
    attach({"PATH": os.environ["PATH"], "PAPER_KITE_URL": "-", **locate(seed)}).release()
    eventually(lambda: not living(seed))
    yield seed.root
    remove(seed)


def locate(folder: LocalFolder) -> dict[str, str]:
    binaries = {"PG_BIN": os.environ["PG_BIN"]} if "PG_BIN" in os.environ else {}
    return {FOLDER_VARIABLE: str(folder.root), **binaries}


@pytest.fixture
def environment(bare: dict[str, str], folder: LocalFolder, seed: Path) -> dict[str, str]:
    """An environment that needs PostgreSQL and Valkey, which have served before; paper trading is elsewhere."""
    kept = [path for path in seed.iterdir() if re.search(r"^postgres\d|^valkey|password$|^ports", path.name)]
    subprocess.run(["cp", "--archive", *kept, folder.root], check=True)
    return {**bare, "PAPER_KITE_URL": "http://127.0.0.1:9"}
