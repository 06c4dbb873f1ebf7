"""
The cast under faults: executors as processes of their own that die or stand still, and servers that are taken away.

A server that a test took away is back when the test ends, on the same port and with the same data.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connection

from orders.models import ExecutorHeartbeat
from tests.executor_process import ExecutorProcess
from tests.orders.paper.paper_process import PaperProcess, until
from tests.servers import SERVERS, wait_until_ready
from tests.test_story import auto_trading, start, valkey

__all__ = ["auto_trading", "start", "valkey"]


def stands_still(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def family(pid: int) -> list[int]:
    """Return the process and its children."""
    return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


@contextlib.contextmanager
def paused(*pids: int) -> Iterator[None]:
    """Have the processes stand still for the block."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def without_postgres() -> Iterator[None]:
    """PostgreSQL is killed as by `kill -9`, and recovers after the block."""
    connection.close()
    server = SERVERS.postgres
    pids = family(server.process.pid)
    server.process.kill()
    server.process.wait(10)
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 20)  # its children notice, and go
    try:
        yield
    finally:
        server.launch()
        wait_until_ready(server)


def said(executor: ExecutorProcess, words: str, times: int = 1) -> bool:
    return executor.log.read_bytes().count(words.encode()) >= times


def leads(executor: ExecutorProcess) -> bool:
    return ExecutorHeartbeat.objects.filter(pid=executor.process.pid).exists()


@pytest.fixture
def leader(start: Callable[..., ExecutorProcess], paper: PaperProcess) -> Callable[..., ExecutorProcess]:
    """Start an executor and return it when it leads, has read the book and hears the channel."""

    def begin(**options: str) -> ExecutorProcess:
        executor = start(**options)
        until(lambda: leads(executor) and said(executor, "channel.subscribed") and said(executor, "instruments"), 30)
        return executor

    return begin
