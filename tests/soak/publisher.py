"""
The publisher: signals on the stream and on the channel, each with an id of its own, and a ledger of what it published.

What was not surely published is published again with the same bytes: the executor must make one signal of it.
"""

from __future__ import annotations

import json
import random
import signal
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import redis
from django.conf import settings

from orders.receivers import connect
from tests.soak.prices import SIGNALLED

# How often each comes, in a hundred.
MIX = {"BUY": 52, "SELL": 14, "HOLD": 10, "WEAK": 6, "TWICE": 9, "MALFORMED": 9}


class Publisher:
    """Makes messages from the seed, numbered for each way by itself, so that the executor can see a gap."""

    def __init__(self, seed: int, run: str) -> None:
        self._draw = random.Random(f"publisher:{seed}")
        self._run = run
        self._sequence = {"stream": 0, "channel": 0}
        self._last: dict[str, bytes] = {}

    def next(self) -> tuple[str, str, bytes]:
        """Return the way, the id, which is empty for a malformed one, and the bytes."""
        way = "stream" if self._draw.random() < 0.65 else "channel"
        kind = self._draw.choices(list(MIX), list(MIX.values()))[0]
        if kind == "TWICE" and way in self._last:
            message = self._last[way]
            return way, json.loads(message)["signal_id"], message
        self._sequence[way] += 1
        number = self._sequence[way]
        if kind == "MALFORMED":
            self._sequence[way] -= 1
            return way, "", f"not a signal {way} {number} {self._draw.random()}".encode()
        signal_id = f"{self._run}-{way}-{number}"
        selling = kind == "SELL"
        message = json.dumps(
            {
                "signal_type": kind if kind in {"BUY", "SELL", "HOLD"} else "BUY",
                "symbol": self._draw.choice(list(SIGNALLED)),
                "cms_score": -75 if selling else 55 if kind == "WEAK" else 75,
                "timestamp": datetime.now(UTC).isoformat(),
                "signal_id": signal_id,
                "strategy": way,
                "seq": number,
            }
        ).encode()
        self._last[way] = message
        return way, signal_id, message


def publish_until_stopped(wanted: dict[str, Any]) -> int:
    """Publish so many a second until SIGTERM, through every outage, and keep the ledger."""
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    publisher = Publisher(wanted["seed"], wanted["run"])
    client = connect(settings.REDIS_URL)
    with Path(wanted["ledger"]).open("a", buffering=1) as ledger:
        while not stopping.wait(1 / wanted["a_second"]):
            way, signal_id, message = publisher.next()
            tries = 0
            while True:
                tries += 1
                try:
                    entry, heard = _publish(client, way, message)
                    break
                except redis.RedisError:
                    # Perhaps it was published and only the answer was lost: the same bytes again are the same signal.
                    if stopping.wait(0.2):
                        return 0
            facts = {"way": way, "id": signal_id, "raw": message.decode(), "entry": entry, "heard": heard}
            ledger.write(json.dumps({**facts, "tries": tries, "at": datetime.now(UTC).isoformat()}) + "\n")
    return 0


def _publish(client: redis.Redis, way: str, message: bytes) -> tuple[str, int | None]:
    if way == "stream":
        return client.xadd(settings.SIGNAL_STREAM, {"signal": message}).decode(), None
    return "", client.publish(settings.SIGNAL_CHANNEL, message)
