"""
What the executor holds in memory after ten thousand signals, and after a hundred thousand.

Nearly all are to be ignored: a HOLD, or a score too weak. One in a thousand becomes an order. They are published no
faster than they are decided, for what Redis would hold back of them is not the executor's memory. PostgreSQL does not
wait for the disk meanwhile: that is a matter of time, and a hundred thousand decisions take long enough.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import resource
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from tests.bench.ground import Ground
from tests.bench.orders import SHARES, executor
from tests.soak.ground import wait_for

MARKS = (10_000, 100_000)  # signals
AT_ONCE = 100
SECONDS_MAX = 120.0  # for one lot, on a machine that has much else to do


def measure(ground: Ground, marks: Sequence[int] = MARKS) -> dict[int, float]:
    """Return the executor's resident memory, in megabytes of 10^6 bytes, after so many signals of an empty book."""
    found = {}
    with executor(ground), _in_no_hurry(ground):
        pid = ground.running[-1].pid
        settled = "SELECT count(*) FROM orders_signal WHERE signal_id LIKE 'memory-%%' AND status <> 'RECEIVED'"
        client, messages, sent = ground.redis(), _messages(ground), 0
        while sent < marks[-1]:
            with client.pipeline(transaction=False) as lot:
                for message in itertools.islice(messages, AT_ONCE):
                    lot.publish("signals", message)
                lot.execute()
            sent += AT_ONCE
            wait_for(lambda: ground.one(settled) == sent, f"{sent} signals are decided", SECONDS_MAX)  # noqa: B023
            if sent in marks:
                found[sent] = resident_mb(pid)
    return found


@contextlib.contextmanager
def _in_no_hurry(ground: Ground) -> Iterator[None]:
    with psycopg.connect(ground.postgres.url(), autocommit=True) as database:
        database.execute("ALTER SYSTEM SET fsync = off")
        database.execute("SELECT pg_reload_conf()")
        try:
            yield
        finally:
            database.execute("ALTER SYSTEM RESET fsync")
            database.execute("SELECT pg_reload_conf()")


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def _messages(ground: Ground) -> Iterator[str]:
    symbols = itertools.cycle(symbol for (symbol,) in ground.rows(SHARES))
    for number in itertools.count(1):
        strong = number % 1000 == 0
        yield json.dumps(
            {
                "signal_type": "BUY" if strong or number % 2 else "HOLD",
                "symbol": next(symbols),
                "cms_score": 75 if strong else 5,
                "timestamp": datetime.now(UTC).isoformat(),
                "signal_id": f"memory-{number}",
            }
        )
