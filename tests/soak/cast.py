"""The processes of the project in a run: two executors, the publisher, the operator and staff, forked by the zygote."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from config.local_server import die_with_parent
from tests.soak.ground import Ground, wait_for

REPOSITORY = Path(__file__).resolve().parents[2]
EXECUTORS = 2
FORK_AGAIN_SECONDS = 0.3  # an executor that ended by itself, as while PostgreSQL is away, is started again after this


@dataclass
class Cast:
    """Who plays now. The conductor turns it often, so that an executor that ended is forked again."""

    ground: Ground
    broken: str = ""  # how the executors are broken on purpose
    executors: dict[int, float] = field(default_factory=dict)  # pid, and since when
    ended: dict[int, int] = field(default_factory=dict)
    ended_by_themselves: int = 0
    supervised: bool = True
    _numbers: int = 0
    _forked: dict[int, int] = field(default_factory=dict)
    _rest: bytes = b""
    _again_at: float = 0.0

    def __post_init__(self) -> None:
        self.armed_path = self.ground.folder / "armed"
        self.logs = self.ground.folder / "logs"
        self.logs.mkdir()
        with (self.logs / "zygote.log").open("ab") as log:
            self._zygote = subprocess.Popen(
                [sys.executable, "-m", "tests.soak.zygote"],
                cwd=REPOSITORY,
                env=self.ground.environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGKILL),
            )
        os.set_blocking(self._zygote.stdout.fileno(), False)
        self._ready = False
        wait_for(lambda: self.hear() or self._ready, "the zygote is ready")

    def fork(self, part: str, log: str, **more: Any) -> int:
        """Have a process forked and return its pid."""
        self._numbers += 1
        number = self._numbers
        wanted = {"part": part, "number": number, "log": str(self.logs / log), "armed": str(self.armed_path), **more}
        self._zygote.stdin.write(json.dumps(wanted).encode() + b"\n")
        self._zygote.stdin.flush()
        wait_for(lambda: self.hear() or number in self._forked, f"{part} is forked")
        return self._forked.pop(number)

    def run(self, part: str, log: str, **more: Any) -> int:
        """Have a process forked, wait for its end and return its exit code."""
        pid = self.fork(part, log, **more)
        return self.end_of(pid)

    def end_of(self, pid: int, seconds: float = 60.0) -> int:
        wait_for(lambda: self.turn() or pid in self.ended, f"process {pid} ends", seconds)
        return self.ended.pop(pid)

    def turn(self) -> None:
        """Hear what the zygote says and see to it that two executors run."""
        self.hear()
        now = time.monotonic()
        if self.supervised and len(self.executors) < EXECUTORS and now >= self._again_at:
            self.executors[self.fork("executor", "executors.log", broken=self.broken)] = now

    def hear(self) -> None:
        readable, _, _ = select.select([self._zygote.stdout], [], [], 0)
        if not readable:
            return
        chunk = os.read(self._zygote.stdout.fileno(), 65536)
        if not chunk:
            raise RuntimeError(f"the zygote died:\n{(self.logs / 'zygote.log').read_text()[-2000:]}")
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._take(json.loads(line))

    def _take(self, said: dict[str, Any]) -> None:
        if "forked" in said:
            self._forked[said["number"]] = said["forked"]
        elif "ended" in said:
            self.ended[said["ended"]] = said["code"]
            if self.executors.pop(said["ended"], None) is not None and said["code"] != -signal.SIGKILL:
                self.ended_by_themselves += 1
                self._again_at = time.monotonic() + FORK_AGAIN_SECONDS
        else:
            self._ready = True

    def leader(self, since: datetime | None = None) -> int | None:
        """Return the pid that has led lately, or since a moment, and that runs; None while there is none."""
        found = self.ground.rows(
            "SELECT pid FROM orders_executorheartbeat WHERE mode = 'PAPER'"
            " AND beat_at > coalesce(%s, now() - interval '3 seconds')",
            since,
        )
        return found[0][0] if found and found[0][0] in self.executors else None

    def wait_for_a_leader(self, seconds: float = 40.0) -> int:
        return wait_for(lambda: self.turn() or self.leader(), "an executor leads", seconds)

    def stop(self) -> None:
        """End all that was forked, and the zygote."""
        self.supervised = False
        if self._zygote.poll() is None:
            self._zygote.stdin.close()  # what it forked dies with it
            try:
                self._zygote.wait(5)
            except subprocess.TimeoutExpired:
                self._zygote.kill()
                self._zygote.wait()
        self._zygote.stdout.close()
