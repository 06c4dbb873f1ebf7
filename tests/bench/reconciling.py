"""A day of 5,000 orders reconciled: unchanged, and when all of them have moved at once."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.bench.ground import REPOSITORY, Ground

ORDERS = 5000
SECONDS_MAX = 600


def measure(ground: Ground, orders: int = ORDERS) -> dict[str, float]:
    """
    Return seconds by what they were for, on an empty book that is full afterwards.

    Raise `RuntimeError` with its last words when the process that measures fails.
    """
    ground.paper.reset()
    ground.run("forget")
    ended = subprocess.run(
        [sys.executable, "-m", "tests.bench.reconciling_part", str(orders)],
        cwd=REPOSITORY,
        env={**ground.environment(), "LOG_LEVEL": "ERROR"},
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    if ended.returncode:
        raise RuntimeError(f"reconciling failed:\n{ended.stdout[-1000:]}{ended.stderr[-3000:]}")
    measured: dict[str, float] = json.loads(ended.stdout[ended.stdout.rindex("{") :])
    return measured
