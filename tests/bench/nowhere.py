"""
Decisions that lead nowhere: from the first HOLD or weak score of a burst being undecided to the last one's decision.

They are written down before and decided from the moment on that the switch is let go. The floor puts copies of the last
decision in for as many signals, five hundred in a commit, and concludes those: the same rows, the same entries in the
trail.
"""

from __future__ import annotations

import itertools
import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psycopg
from psycopg.types.json import Jsonb

from tests.bench.ground import Ground
from tests.bench.orders import executor
from tests.bench.receiving import SHARES, nothing_decided
from tests.soak.ground import wait_for

BURST = 5000
RUN = 500
KINDS = {
    "hold": {"signal_type": "HOLD", "cms_score": 0},
    "weak": {"signal_type": "BUY", "cms_score": 1},
}
CONCLUDE = """
UPDATE orders_signal AS signal SET status = 'IGNORED', reason = became.reason, decided_at = now()
FROM unnest(%s::bigint[], %s::text[]) AS became(id, reason) WHERE signal.id = became.id AND signal.id = ANY(%s)
"""
UNDECIDED = "SELECT count(*) FROM orders_signal WHERE status = 'RECEIVED'"


@dataclass
class Decided:
    """Decisions a second of each burst, by the kind of signal."""

    a_second: dict[str, list[float]] = field(default_factory=dict)


def measure(ground: Ground, *, rounds: int = 1, burst: int = BURST) -> dict[str, Decided]:
    """Return how many the executor and the floor decided: {"executor": …, "floor": …}, "hold" and "weak" of each."""
    found = {"executor": Decided(), "floor": Decided()}
    for number in range(rounds):
        with executor(ground):
            for kind in KINDS:
                a_second = _by_the_executor(ground, f"nx{number}{kind}", kind, burst)
                found["executor"].a_second.setdefault(kind, []).append(a_second)
        for kind in KINDS:
            a_second = _by_hand(ground, f"nx{number}{kind}", burst)
            found["floor"].a_second.setdefault(kind, []).append(a_second)
    return found


def _by_the_executor(ground: Ground, prefix: str, kind: str, count: int) -> float:
    with nothing_decided(ground):
        _publish(ground, prefix, kind, count)
    began = datetime.now(UTC)
    wait_for(lambda: ground.one(UNDECIDED) == 0, f"all of {prefix} are decided")
    return count / (_last_decision(ground, prefix) - began).total_seconds()


def _publish(ground: Ground, prefix: str, kind: str, count: int) -> None:
    symbols = itertools.cycle(symbol for (symbol,) in ground.rows(SHARES))
    line = ground.redis().pipeline(transaction=False)
    for number in range(count):
        said = {**KINDS[kind], "symbol": next(symbols), "signal_id": f"{prefix}-{number}"}
        line.publish("signals", json.dumps({**said, "timestamp": datetime.now(UTC).isoformat()}))
    line.execute()
    wait_for(lambda: ground.one(UNDECIDED) == count, f"all of {prefix} are rows")


def _last_decision(ground: Ground, prefix: str) -> datetime:
    committed = (
        "SELECT max(pg_xact_commit_timestamp(d.xmin)) FROM orders_decision d "
        "JOIN orders_signal s ON s.id = d.signal_id WHERE s.signal_id LIKE %s"
    )
    found: datetime = ground.one(committed, f"{prefix}-%")
    return found


def _by_hand(ground: Ground, prefix: str, count: int) -> float:
    """Decide as many signals again, made anew from those that the executor decided."""
    with psycopg.connect(ground.postgres.url(), row_factory=psycopg.rows.dict_row) as database:
        run = database.execute
        last = run(
            "SELECT d.* FROM orders_decision d JOIN orders_signal s ON s.id = d.signal_id WHERE s.signal_id LIKE %s "
            "ORDER BY d.id DESC LIMIT 1",
            [f"{prefix}-%"],
        ).fetchone()
        assert last is not None, "the executor decided some before"
        decision = {name: Jsonb(value) if isinstance(value, dict | list) else value for name, value in last.items()}
        for name in ("id", "limited_by"):
            del decision[name]
        names = [
            str(row["column_name"])
            for row in run(
                "SELECT column_name FROM information_schema.columns WHERE table_name = 'orders_signal' "
                "AND column_name NOT IN ('id', 'signal_id', 'status', 'reason', 'decided_at')"
            )
        ]
        columns = ", ".join(names)
        pks = [
            row["id"]
            for row in run(
                f"INSERT INTO orders_signal (signal_id, status, reason, {columns}) "  # noqa: S608 - our own names
                f"SELECT 'floor-' || signal_id, 'RECEIVED', '', {columns} FROM orders_signal "
                "WHERE signal_id LIKE %s ORDER BY id RETURNING id",
                [f"{prefix}-%"],
            )
        ]
        database.commit()
        began = time.monotonic()
        for start in range(0, count, RUN):
            _run(database, decision, pks[start : start + RUN])
        return count / (time.monotonic() - began)


def _run(database: psycopg.Connection[dict[str, object]], decision: dict[str, object], pks: list[int]) -> None:
    database.execute("SELECT * FROM risk_tradingcontrol WHERE mode = 'PAPER' FOR UPDATE")
    with database.cursor() as cursor, cursor.copy(f"COPY orders_decision ({', '.join(decision)}) FROM STDIN") as table:
        for pk in pks:
            table.write_row(list((decision | {"signal_id": pk}).values()))
    database.execute(CONCLUDE, [pks, [decision["reason"]] * len(pks), pks])
    database.commit()
