"""The servers of a run, durable as in `make run`, with a PostgreSQL that remembers when each transaction committed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from config.local_server import die_with_parent
from config.local_services import Postgres
from config.server_binaries import Identity
from tests.orders.paper.paper_process import PaperProcess
from tests.soak import ground

REPOSITORY = Path(__file__).resolve().parents[2]
CEILINGS = {
    "CEILING_POSITION_SIZE": "1000000",
    "CEILING_ORDER_VALUE": "1000000",
    "CEILING_MAX_POSITION_SIZE": "1000000000",
    "CEILING_MAX_DAILY_TRADES": "5000",
    "CEILING_DAILY_LOSS": "1000000000",
    "CEILING_OPEN_ORDERS": "50000",
    "CEILING_SYMBOL_OPEN_ORDERS": "50000",
    "CEILING_GROSS_EXPOSURE": "50000000000",
    "CEILING_POSITIONS": "50000",
    "CEILING_REJECT_STREAK": "100",
    "CEILING_REJECTIONS": "100",
}


class WatchedPostgres(Postgres):
    """One that keeps the time of every commit, by which a row's is known to the microsecond."""

    def prepare(self) -> tuple[list[str], Identity]:
        command, identity = super().prepare()
        return [*command, "-c", "track_commit_timestamp=on"], identity


class Ground(ground.Ground):
    """The servers, and the processes of the project that run on them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.postgres = WatchedPostgres(self._local, os.environ)
        self.running: list[subprocess.Popen[bytes]] = []

    def start_paper(self, port: int) -> None:
        self.paper = PaperProcess(self.folder / "paper", "--port", str(port), "--cash", "1000000000000")

    def environment(self) -> dict[str, str]:
        return {**super().environment(), **CEILINGS, "ABSENCE_WINDOW_SECONDS": "120"}

    def process(self, part: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a part of `tests.bench.parts`; what it says is in a log of its name."""
        command = [sys.executable, "-m", "tests.bench.parts", part, *arguments]
        with (self.folder / f"{part}.log").open("ab") as log:
            begun = subprocess.Popen(
                command,
                cwd=REPOSITORY,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent(signal.SIGKILL),
            )
        self.running.append(begun)
        return begun

    def run(self, part: str, *arguments: str) -> None:
        """Have a part played to its end. Raise `RuntimeError` with its last words when it fails."""
        if self.process(part, *arguments).wait():
            raise RuntimeError(f"{part} failed:\n{(self.folder / f'{part}.log').read_text()[-3000:]}")

    def end(self, process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        process.wait(30)
        self.running.remove(process)

    def stop(self) -> None:
        for process in self.running:
            process.kill()
            process.wait()
        super().stop()

    def one(self, query: str, *values: Any) -> Any:
        """Return the one value of a query's one row."""
        return self.rows(query, *values)[0][0]
