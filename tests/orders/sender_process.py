"""`manage.py send_alerts` as a process of its own, on the suite's database."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.executor_process import REPOSITORY, environment
from tests.orders.alerting.conftest import forget_alerts
from tests.orders.paper.paper_process import until


class SenderProcess:
    def __init__(self, log: Path, **variables: str) -> None:
        self.log = log
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "send_alerts"],
                cwd=REPOSITORY,
                env=environment("http://127.0.0.1:9", **variables),
                stdout=out,
                stderr=out,
            )

    def said(self, words: str) -> bool:
        return words in self.log.read_text()

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(20)


@pytest.fixture
def send_alerts(tmp_path: Path) -> Iterator[Callable[..., SenderProcess]]:
    """Start a sender and return it when it has said that it leads, or whatever else is waited for."""
    running: list[SenderProcess] = []

    def start(*, says: str = "alerts.leading", **variables: str) -> SenderProcess:
        running.append(SenderProcess(tmp_path / f"sender-{len(running)}.log", **variables))
        until(lambda: running[-1].said(says) or running[-1].process.poll() is not None, 30)
        return running[-1]

    yield start
    for each in running:
        each.end(signal.SIGKILL)
        sys.stdout.write(each.log.read_text(errors="replace")[-20_000:])  # shown when the test has failed
    forget_alerts()
