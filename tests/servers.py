"""
Throw-away PostgreSQL and Valkey for the suite: a pytest plugin, loaded with `-p tests.servers`.

They start before pytest-django reads the settings, listen on ports of their own, and end with pytest, however it ends.
`TEST_DATABASE_URL` and `TEST_REDIS_URL` name other servers to use instead; `PG_BIN` another PostgreSQL.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from config.local_folder import FOLDER_VARIABLE, LocalFolder
from config.local_server import LocalServer
from config.local_services import Postgres, Valkey

START_SECONDS_MAX = 60.0
POLL_SECONDS = 0.02
LOG_END = 2_000  # characters of a log that say why it ended
GIVEN = {Postgres: "TEST_DATABASE_URL", Valkey: "TEST_REDIS_URL"}
# The suite trades on paper, and only with the paper Kite server that a test starts.
FOREIGN = ("KITE_API_KEY", "KITE_API_SECRET", "KITE_ACCESS_TOKEN", "PAPER_KITE_URL", "KITE_ROOT_URL", "SHADOW")

# A start holds the limits to the ceilings: those that most tests trade under (`ROOMY` in conftest.py) must fit.
ROOMY_CEILINGS = {
    "CEILING_OPEN_ORDERS": "1000",
    "CEILING_SYMBOL_OPEN_ORDERS": "1000",
    "CEILING_GROSS_EXPOSURE": "100000000",
    "CEILING_POSITIONS": "1000",
    "CEILING_REJECT_STREAK": "100",
    "CEILING_REJECTIONS": "100",
}


class ThrowAwayServers:
    """The servers of this run. A test that stops one starts it again, on the same port and with the same data."""

    def __init__(self) -> None:
        self.folder: LocalFolder | None = None
        self.running: dict[type[LocalServer], LocalServer] = {}

    @property
    def postgres(self) -> LocalServer:
        return self.running[Postgres]

    @property
    def valkey(self) -> LocalServer:
        return self.running[Valkey]

    def start(self) -> dict[str, str]:
        """Start what is not given and return the addresses by variable."""
        self.folder = LocalFolder(Path(tempfile.mkdtemp(prefix="order-executor-tests-")))
        self.folder.create()
        urls = {}
        for kind, variable in GIVEN.items():
            if given := os.environ.get(variable):
                urls[kind.variable] = given
            else:
                self.running[kind] = kind(self.folder, os.environ, durable=False)
                self.running[kind].launch()
        for server in self.running.values():
            wait_until_ready(server)
            urls[server.variable] = server.url()
        return urls

    def stop(self) -> None:
        for server in self.running.values():
            server.ask_to_stop()
        for server in self.running.values():
            server.wait_until_stopped()
        self.running.clear()
        if self.folder is not None:
            remove(self.folder)
            self.folder = None


def wait_until_ready(server: LocalServer) -> None:
    end = time.monotonic() + START_SECONDS_MAX
    while not server.is_ready():
        if not server.runs() or time.monotonic() > end:
            raise RuntimeError(f"{server.title} did not start:\n{server.log.read_text()[-LOG_END:]}")
        time.sleep(POLL_SECONDS)


def remove(folder: LocalFolder) -> None:
    """Delete the folder, and the cluster that it only links to when others cannot reach it."""
    for cluster in folder.root.glob("postgres[0-9][0-9]"):
        if cluster.is_symlink():
            shutil.rmtree(cluster.resolve().parent, ignore_errors=True)
    shutil.rmtree(folder.root, ignore_errors=True)


SERVERS = ThrowAwayServers()


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests() -> Generator[None]:
    """Put the addresses into the environment; a wrapper comes before pytest-django, which reads the settings."""
    for variable in FOREIGN:
        os.environ.pop(variable, None)
    os.environ.update(SERVERS.start())
    os.environ.update(ROOMY_CEILINGS)
    assert SERVERS.folder is not None
    os.environ[FOLDER_VARIABLE] = str(SERVERS.folder.root)  # nothing of the suite is kept in the real one
    yield


def pytest_unconfigure() -> None:
    SERVERS.stop()
