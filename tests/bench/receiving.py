"""
Signal to durable row: bursts on the channel and on the stream, alone and while orders run, and one at a time.

A row is dated by PostgreSQL's commit, a message by its publisher, both by the clock of one machine. The floor does by
hand what must be done at least: redis-py, the same columns by COPY, five hundred in a commit; beside it one at a time.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg
import redis

from tests.bench.ground import Ground
from tests.bench.orders import Publisher, executor
from tests.soak.ground import wait_for

BURST = 10_000
BATCH = 500
SINGLES = 300
APART_SECONDS = (0.004, 0.008)
FLOOR, FLOOR_STREAM = "receiving-floor", "receiving-floor:stream"
SHARES = "SELECT symbol FROM orders_instrument WHERE exchange = 'NSE' AND instrument_type = 'EQ' ORDER BY 1 LIMIT 60"
COMMITTED = "SELECT signal_id, pg_xact_commit_timestamp(xmin) FROM orders_signal WHERE signal_id LIKE %s"


@dataclass
class Received:
    """`a_second`: rows a second of each burst, by its name; `single`: seconds from PUBLISH to the committed row."""

    a_second: dict[str, list[float]] = field(default_factory=dict)
    single: list[float] = field(default_factory=list)


class Messages:
    """Makes messages that the executor takes down and decides nothing of: HOLDs, each of another id."""

    def __init__(self, ground: Ground) -> None:
        self._symbols = itertools.cycle(symbol for (symbol,) in ground.rows(SHARES))

    def make(self, signal_id: str) -> bytes:
        said = {"signal_type": "HOLD", "symbol": next(self._symbols), "cms_score": 0, "signal_id": signal_id}
        return json.dumps({**said, "timestamp": datetime.now(UTC).isoformat()}).encode()


def measure(ground: Ground, *, rounds: int = 1, burst: int = BURST, singles: int = SINGLES) -> dict[str, Received]:
    """
    Return what the executor and the floor received: {"executor": …, "floor": …}.

    The bursts are named "channel" and "stream", of the executor also "channel with orders" and "stream with orders".
    "Alone" the worker has no book yet, so that it decides nothing; with orders, a strong BUY comes every 20 ms.
    """
    found = {"executor": Received(), "floor": Received()}
    for number in range(rounds):
        with executor(ground), nothing_decided(ground):
            _bursts(ground, found["executor"], f"rx{number}", ("signals", "signals:stream"), burst)
            _singles(ground, found["executor"], f"rs{number}", "signals", singles)
        with executor(ground), orders_running(ground, f"ro{number}"):
            _bursts(ground, found["executor"], f"ry{number}", ("signals", "signals:stream"), burst, " with orders")
        with floor(ground):
            _bursts(ground, found["floor"], f"rf{number}", (FLOOR, FLOOR_STREAM), burst)
            _singles(ground, found["floor"], f"rg{number}", FLOOR, singles)
    return found


@contextlib.contextmanager
def nothing_decided(ground: Ground) -> Iterator[None]:
    """Have the worker wait for the lock, so that it is the receiving alone that is measured."""
    with psycopg.connect(ground.postgres.url()) as held:
        held.execute("SET idle_in_transaction_session_timeout = 0")
        held.execute("SELECT FROM risk_tradingcontrol FOR UPDATE")
        yield


@contextlib.contextmanager
def orders_running(ground: Ground, prefix: str) -> Iterator[None]:
    """Publish a strong BUY every 20 ms, and see that the first has become an order."""
    publisher, ended = Publisher(ground, "signals", seed=1), threading.Event()

    def publish() -> None:
        for number in itertools.count():
            if ended.wait(0.02):
                return
            publisher.publish(f"{prefix}-{number}")

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        wait_for(lambda: ground.one("SELECT count(*) FROM orders_order"), "orders run")
        yield
    finally:
        ended.set()
        thread.join()


def wait_until_written(ground: Ground, like: str, count: int) -> None:
    """Wait until each of them is a row. Raise `NotInTime` when one is lost."""
    written = "SELECT count(*) FROM orders_signal WHERE signal_id LIKE %s"
    wait_for(lambda: ground.one(written, like) == count, f"all of {like} are rows")


def _bursts(ground: Ground, received: Received, prefix: str, to: tuple[str, str], count: int, beside: str = "") -> None:
    channel, stream = to
    ways: dict[str, Callable[[Any, bytes], Any]] = {
        "channel": lambda line, raw: line.publish(channel, raw),
        "stream": lambda line, raw: line.xadd(stream, {"signal": raw}),
    }
    for name, send in ways.items():
        messages, like = Messages(ground), f"{prefix}-{name}-%"
        raws = [messages.make(f"{prefix}-{name}-{number}") for number in range(count)]
        began = datetime.now(UTC)
        client = ground.redis()
        for start in range(0, count, BATCH):
            line = client.pipeline(transaction=False)
            for raw in raws[start : start + BATCH]:
                send(line, raw)
            line.execute()
        wait_until_written(ground, like, count)
        last = max(committed for _, committed in ground.rows(COMMITTED, like))
        received.a_second.setdefault(name + beside, []).append(count / (last - began).total_seconds())


def _singles(ground: Ground, received: Received, prefix: str, channel: str, count: int) -> None:
    client, draw, messages = ground.redis(), random.Random(count), Messages(ground)
    published: dict[str, datetime] = {}
    for number in range(count):
        raw = messages.make(f"{prefix}-{number}")
        published[f"{prefix}-{number}"] = datetime.now(UTC)
        client.publish(channel, raw)
        time.sleep(draw.uniform(*APART_SECONDS))
    wait_until_written(ground, f"{prefix}-%", count)
    for signal_id, committed in ground.rows(COMMITTED, f"{prefix}-%"):
        received.single.append((committed - published[signal_id]).total_seconds())


# --- By hand ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def floor(ground: Ground) -> Iterator[None]:
    begun = ground.process("receiving_floor")
    wait_for(lambda: ground.redis().pubsub_numsub(FLOOR)[0][1], "the floor hears")
    try:
        yield
    finally:
        ground.end(begun)


class _Writer:
    """Writes messages down as they came: the columns of the executor's own last row, but for id, symbol and bytes."""

    def __init__(self) -> None:
        self._database = psycopg.connect(os.environ["DATABASE_URL"])
        cursor = self._database.execute("SELECT * FROM orders_signal ORDER BY id DESC LIMIT 1")
        names = [column.name for column in cursor.description or ()]
        values = cursor.fetchone()
        assert values is not None, "the executor wrote some before"
        self._row = dict(zip(names, values, strict=True))
        del self._row["id"]
        self._copy = f"COPY orders_signal ({', '.join(self._row)}) FROM STDIN"
        self._database.commit()

    def write(self, raws: list[bytes]) -> None:
        with self._database.cursor() as cursor, cursor.copy(self._copy) as table:
            for raw in raws:
                said = json.loads(raw)
                row = self._row | {"signal_id": said["signal_id"], "symbol": said["symbol"], "raw": raw}
                table.write_row(list(row.values()))
        self._database.commit()


def follow() -> None:
    """Take what comes on the floor's channel and in its stream until SIGTERM."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    threads = [threading.Thread(target=each, args=(ended,)) for each in (_follow_channel, _follow_stream)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _follow_channel(ended: threading.Event) -> None:
    client, writer = redis.Redis.from_url(os.environ["REDIS_URL"], protocol=2), _Writer()
    subscription = client.pubsub(ignore_subscribe_messages=True)
    subscription.subscribe(FLOOR)
    while not ended.is_set():
        raws: list[bytes] = []
        while len(raws) < BATCH:
            message = subscription.get_message(timeout=0.0 if raws else 0.2)
            if message is not None:
                raws.append(message["data"])
            elif raws or ended.is_set():
                break
        if raws:
            writer.write(raws)


def _follow_stream(ended: threading.Event) -> None:
    client, writer, last = redis.Redis.from_url(os.environ["REDIS_URL"], protocol=2), _Writer(), b"0"
    while not ended.is_set():
        for _, entries in client.xread({FLOOR_STREAM: last}, count=BATCH, block=200):
            writer.write([fields[b"signal"] for _, fields in entries])
            last = entries[-1][0]
