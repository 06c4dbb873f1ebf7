"""The executor as a process of its own, on the suite's database, Valkey and paper server; it can be made to die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from django.db import connection

REPOSITORY = Path(__file__).resolve().parents[1]


def environment(paper_url: str, **more: str) -> dict[str, str]:
    at = connection.get_connection_params()
    url = f"postgresql://{at['user']}:{at['password']}@{at['host']}:{at['port']}/{at['dbname']}"
    return {
        **os.environ,
        "DATABASE_URL": url,
        "PAPER_KITE_URL": paper_url,
        "PYTHONWARNINGS": "default",
        **more,
    }


class ExecutorProcess:
    def __init__(self, paper_url: str, log: Path, *, dies_at: str = "", pauses_at: str = "", **more: str) -> None:
        command = [sys.executable, "manage.py", "listen_signals"]
        if dies_at or pauses_at:
            how = "die" if dies_at else "pause"
            command = [sys.executable, "-m", "tests.dying_executor", how, dies_at or pauses_at]
        self.log = log
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                command, cwd=REPOSITORY, env=environment(paper_url, **more), stdout=out, stderr=out
            )

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(how)
            self.process.send_signal(signal.SIGCONT)  # one that stands still hears nothing
        return self.process.wait(20)


def manage(*arguments: str, paper_url: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=REPOSITORY,
        env=environment(paper_url, **more),
        capture_output=True,
        text=True,
        timeout=60,
    )
