"""`manage.py up`, end to end: the real executor, web server, paper Kite server, PostgreSQL and Valkey."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.local_folder import PROJECT
from config.local_server import port_is_free
from tests.config.conftest import eventually, living

pytestmark = pytest.mark.processes

READY_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 40.0


class Up:
    """One run of `manage.py up` without a terminal, and all it has said so far."""

    def __init__(self, environment: dict[str, str], port: int) -> None:
        self.port = port
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "up"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=PROJECT,
            env={**environment, "PORT": str(port)},
            text=True,
        )
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def said(self, pattern: str) -> list[str]:
        return [line for line in list(self.lines) if re.search(pattern, line)]

    def wait_until_ready(self) -> None:
        eventually(lambda: self.said("^ready: ") or self.process.poll() is not None, READY_SECONDS_MAX)
        assert self.said("^ready: "), "\n".join(self.lines)

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(STOP_SECONDS_MAX)
        self.reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status


def answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/admin/login/")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def process_of(text: str) -> int:
    """Return the oldest process whose command line has this text."""
    pids = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue  # it has ended meanwhile
        if text in command:
            pids.append(int(process.name))
    return min(pids)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def runs() -> Iterator[list[Up]]:
    runs: list[Up] = []
    yield runs
    for up in runs:
        if up.process.poll() is None:
            up.end(signal.SIGKILL)


def test_a_day_of_the_local_set(bare, folder, port, runs):
    up = Up(bare, port)
    runs.append(up)
    up.wait_until_ready()

    password = folder.admin_password.read_text().strip()
    assert up.said("^ready: ") == [f"ready: http://127.0.0.1:{port}/admin/"]
    assert len(up.said(re.escape(password))) == 1
    assert up.said("publish_signal BUY RELIANCE --cms 75")
    assert answers(port)
    eventually(lambda: up.said(r"^alerts +\| .*alerts.leading"))
    urls = folder.urls.read_text()

    os.kill(process_of(f"127.0.0.1:{port}"), signal.SIGKILL)
    eventually(lambda: up.said(r"^web +\| ended with -9; starting again in 0.5 s"))
    eventually(lambda: answers(port))

    os.kill(int(folder.keeper_lock.read_text()), signal.SIGKILL)
    eventually(lambda: up.said(r"^servers +\| their keeper is gone; starting again"))
    eventually(lambda: up.said(r"^servers +\| .*server.started name=postgres") and len(folder.status()) == 3)

    second = Up(bare, free_port())
    runs.append(second)
    assert second.end(0) != 0
    assert second.said("Another `manage.py up` runs")

    assert up.end(signal.SIGTERM) == 0
    assert [line.split()[0] for line in up.said(r"\| stopped$")] == ["alerts", "executor", "web"]
    assert living(folder) == []
    assert port_is_free(port)
    assert len(up.said("^ready: ")) == 1

    again = Up(bare, port)
    runs.append(again)
    again.wait_until_ready()

    assert not again.said(re.escape(password))
    assert again.said("password of the first start is kept in .*admin_password")
    assert folder.urls.read_text() == urls
    assert again.end(signal.SIGINT) == 0
    assert living(folder) == []


def test_a_taken_port_is_refused_before_anything_starts(bare, folder, runs):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        up = Up(bare, listener.getsockname()[1])
        runs.append(up)

        assert up.end(0) != 0

    assert up.said("Port .* is taken")
    assert not folder.keeper_lock.exists()


def test_nothing_outlives_a_killed_supervisor(bare, folder, port, runs):
    up = Up(bare, port)
    runs.append(up)
    up.wait_until_ready()

    up.end(signal.SIGKILL)

    eventually(lambda: living(folder) == [] and port_is_free(port))
