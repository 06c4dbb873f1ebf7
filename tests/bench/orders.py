"""
Signal to broker: from PUBLISH until the broker has the order, and until its OPEN row has committed.

One at a time, and in bursts of a hundred. Both are dated by the same clock of the same machine: the publisher's, the
paper Kite's journal, and PostgreSQL's commit times.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.bench.floor import READY
from tests.bench.ground import Ground
from tests.bench.report import Figure, percentile
from tests.soak.ground import NotInTime, wait_for

BURST = 100
WARM_UP = 100  # each of another symbol
SHARES = (
    "SELECT symbol FROM orders_instrument WHERE exchange = 'NSE' AND instrument_type = 'EQ' ORDER BY symbol LIMIT 100"
)
APART_SECONDS = (0.08, 0.12)  # of two that come one at a time: no pulse that a loop could beat with

# Of each order by its signal's id: when its OPEN row, its event, committed.
OPENED = """
SELECT s.signal_id, o.client_order_id, pg_xact_commit_timestamp(e.xmin)
FROM orders_orderevent e JOIN orders_order o ON o.id = e.order_id JOIN orders_signal s ON s.id = o.signal_id
WHERE e.before = 'SUBMITTING' AND e.after = 'OPEN' AND s.signal_id LIKE %s
"""


@dataclass
class Taken:
    """What became of the messages of several rounds, in seconds."""

    to_broker: list[float] = field(default_factory=list)
    to_open: list[float] = field(default_factory=list)
    a_second: list[float] = field(default_factory=list)  # of each burst

    def add(self, other: Taken) -> None:
        self.to_broker += other.to_broker
        self.to_open += other.to_open
        self.a_second += other.a_second


class Publisher:
    """Publishes signals to buy, and keeps when it did."""

    def __init__(self, ground: Ground, channel: str, seed: int) -> None:
        self._client = ground.redis()
        self._channel = channel
        self._draw = random.Random(seed)
        self._symbols = itertools.cycle(symbol for (symbol,) in ground.rows(SHARES))
        self.at: dict[str, datetime] = {}

    def publish(self, signal_id: str, **more: Any) -> None:
        message = {
            "signal_type": "BUY",
            "symbol": next(self._symbols),
            "cms_score": 75,
            "timestamp": datetime.now(UTC).isoformat(),
            "signal_id": signal_id,
            **more,
        }
        raw = json.dumps(message)
        self.at[signal_id] = datetime.now(UTC)
        self._client.publish(self._channel, raw)

    def one_at_a_time(self, prefix: str, count: int) -> None:
        for number in range(count):
            self.publish(f"{prefix}-{number}")
            time.sleep(self._draw.uniform(*APART_SECONDS))

    def burst(self, prefix: str, count: int = BURST) -> None:
        for number in range(count):
            self.publish(f"{prefix}-{number}")


@contextlib.contextmanager
def executor(ground: Ground, *, first: str | None = "forget") -> Iterator[None]:
    """
    Run the executor until it hears the channel and has read the broker's book.

    That is empty, and the part played `first` forgets all of ours, or today's only; without one both books stay.
    """
    if first is not None:
        ground.paper.reset()
        ground.run(first)
    begun = ground.process("executor")
    session = "SELECT count(*) FROM orders_brokersession WHERE reconciled_at > %s"
    since = datetime.now(UTC)
    wait_for(lambda: ground.redis().pubsub_numsub("signals")[0][1] and ground.one(session, since), "the executor hears")
    try:
        yield
    finally:
        ground.end(begun)


@contextlib.contextmanager
def floor(ground: Ground) -> Iterator[None]:
    """Run the floor on the book as the executor left it."""
    begun = ground.process("floor")
    wait_for(lambda: ground.redis().exists(READY), "the floor hears")
    try:
        yield
    finally:
        ground.end(begun)


def take(ground: Ground, channel: str, run: str, messages: int) -> Taken:
    """Publish to whoever listens on the channel, one at a time and in bursts, and return what became of it."""
    publisher = Publisher(ground, channel, seed=messages)
    publisher.burst(f"{run}w", WARM_UP)
    wait_until_open(ground, f"{run}w-%", WARM_UP)
    time.sleep(3)
    publisher.one_at_a_time(f"{run}s", messages)
    wait_until_open(ground, f"{run}s-%", messages)
    bursts = max(1, messages // BURST)
    for number in range(bursts):
        publisher.burst(f"{run}b{number}")
        wait_until_open(ground, f"{run}b{number}-%", BURST)
    accepted = {row["tag"]: datetime.fromisoformat(row["at"]) for row in ground.journal() if row["event"] == "accepted"}
    taken = Taken()
    singles = ground.rows(OPENED, f"{run}s-%")
    for signal_id, tag, committed in singles:
        taken.to_broker.append((accepted[tag] - publisher.at[signal_id]).total_seconds())
        taken.to_open.append((committed - publisher.at[signal_id]).total_seconds())
    for number in range(bursts):
        began = publisher.at[f"{run}b{number}-0"]
        last = max(accepted[tag] for _, tag, _ in ground.rows(OPENED, f"{run}b{number}-%"))
        taken.a_second.append(BURST / (last - began).total_seconds())
    return taken


def wait_until_open(ground: Ground, like: str, count: int) -> None:
    """Wait for the OPEN row of each. Raise `NotInTime` with what became of the others."""
    counted = f"SELECT count(*) FROM ({OPENED}) AS opened"  # noqa: S608 - of a constant
    try:
        wait_for(lambda: ground.one(counted, like) == count, f"{count} of {like} are open", seconds=60)
    except NotInTime as trouble:
        status = "SELECT status, reason, count(*) FROM orders_signal WHERE signal_id LIKE %s GROUP BY 1, 2"
        raise NotInTime(f"{trouble}: {ground.rows(status, like)}") from trouble


def measure(ground: Ground, *, rounds: int, messages: int) -> dict[str, Taken]:
    """Let the executor and the floor take turns."""
    found = {"executor": Taken(), "floor": Taken()}
    for number in range(rounds):
        with executor(ground):
            found["executor"].add(take(ground, "signals", f"e{number}", messages))
        with floor(ground):
            found["floor"].add(take(ground, "floor", f"f{number}", messages))
    return found


def figures(ground: Ground, rounds: int, messages: int) -> list[Figure]:
    """Return how long a signal takes to the broker and to its OPEN row, and how many orders a second a burst makes."""
    found = measure(ground, rounds=rounds, messages=messages)
    ours, floor = found["executor"], found["floor"]
    return [
        _milliseconds("signal → broker, median", ours.to_broker, floor.to_broker, 50, goal=8, ratio_max=2.5),
        _milliseconds("signal → broker, p99", ours.to_broker, floor.to_broker, 99, goal=15),
        _milliseconds("signal → OPEN row, median", ours.to_open, floor.to_open, 50, goal=9.5),
        _milliseconds("signal → OPEN row, p99", ours.to_open, floor.to_open, 99, goal=17),
        Figure(
            name=f"orders in bursts of {BURST}, median",
            unit="a second",
            measured=percentile(ours.a_second, 50),
            goal=140,
            at_least=True,
            floor=percentile(floor.a_second, 50),
        ),
    ]


def _milliseconds(name: str, ours: list[float], floor: list[float], percent: int, **goals: float) -> Figure:
    measured, by_hand = (percentile(values, percent) * 1000 for values in (ours, floor))
    return Figure(name=name, unit="ms", measured=measured, floor=by_hand, **goals)
