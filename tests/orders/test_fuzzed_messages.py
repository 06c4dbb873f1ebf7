"""
A hundred thousand messages that nobody meant to send: no crash, and every one a row or counted on one.

The suite records a tenth of them; `make fuzz` the whole.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db.models import Sum

from orders.desk import Desk
from orders.inbox import Received, record
from orders.models import Signal

MESSAGES = int(os.environ.get("FUZZED_MESSAGES", "3000"))
BATCH = 500
ODD_VALUES: list[Any] = [
    None, True, False, 0, -1, 10**400, 1e308, -1e308, 0.1 + 0.2, "", " ", "\x00", "NaN", "Infinity", "-inf", "1e999999",
    "\ud800", "٣", "BUY\x00", "TradingSignalType.BUY", "NSE:", ":", "NSE:RELIANCE:X", [], {}, [[]], {"a": {"b": []}},
    "9999-12-31T23:59:59.999999+14:00", "0001-01-01T00:00:00-14:00", "2026-13-45", "24:00", "x" * 5000, "₹", "'; --",
    2**63, -(2**63), 2**31, "007", "1_000", "0x10", b"\xff".decode("latin-1"), "\u202e", "RELIANCE ",
]  # fmt: skip
FIELDS = ["signal_type", "type", "action", "side", "symbol", "tradingsymbol", "ticker", "cms_score", "timestamp"]
FIELDS += ["signal_at", "signal_id", "id", "price", "quantity", "order_type", "strategy", "seq", "unheard_of"]


class Fuzzer:
    """Draws messages from a seed: most are damaged copies of a sound one, some are noise, some come twice."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.sent: list[bytes] = [b"{}"]

    def message(self) -> bytes:
        kinds: list[Callable[[], bytes]] = [self.noise, self.odd_fields, self.odd_fields, self.cut, self.flipped]
        kinds += [self.stray_bytes, self.deep, self.not_an_object, self.sound, self.again, self.same_id]
        message = self.draw.choice(kinds)() if self.draw.random() > 0.002 else self.huge()
        self.sent.append(message)
        return message

    def fields(self) -> dict[str, Any]:
        return {
            "signal_type": self.draw.choice(["BUY", "sell", "Hold", "TradingSignalType.BUY"]),
            "symbol": self.draw.choice(["RELIANCE", "NSE:INFY", "reliance"]),
            "cms_score": self.draw.uniform(-100, 100),
            "timestamp": (datetime.now(UTC) - timedelta(seconds=self.draw.uniform(-40, 9000))).isoformat(),
            "signal_id": f"fuzz-{self.draw.getrandbits(64):x}",
            "strategy": self.draw.choice(["", "a", "b"]),
            "seq": self.draw.randrange(1000),
        }

    def sound(self) -> bytes:
        return json.dumps(self.fields()).encode()

    def noise(self) -> bytes:
        return self.draw.randbytes(self.draw.randrange(200))

    def odd_fields(self) -> bytes:
        fields = self.fields()
        for _ in range(self.draw.randrange(1, 4)):
            name = self.draw.choice(FIELDS)
            if self.draw.random() < 0.2:
                fields.pop(name, None)
            else:
                fields[name] = self.draw.choice(ODD_VALUES)
        return json.dumps(fields, ensure_ascii=self.draw.random() < 0.5).encode(errors="surrogatepass")

    def cut(self) -> bytes:
        whole = self.sound()
        return whole[: self.draw.randrange(len(whole))]

    def flipped(self) -> bytes:
        damaged = bytearray(self.sound())
        for _ in range(self.draw.randrange(1, 6)):
            damaged[self.draw.randrange(len(damaged))] = self.draw.randrange(256)
        return bytes(damaged)

    def stray_bytes(self) -> bytes:
        whole, at = self.sound(), self.draw.randrange(100)
        stray = [b"\x00", b"\xff\xfe", b"\xc3\x28", b"\xed\xa0\x80", b"\\u0000", b"\\ud800"]
        return whole[:at] + self.draw.choice(stray) + whole[at:]

    def deep(self) -> bytes:
        depth = self.draw.choice([10, 1000, 100_000])
        return self.draw.choice([b"[", b'{"a":']) * depth

    def not_an_object(self) -> bytes:
        return json.dumps(self.draw.choice(ODD_VALUES)).encode()

    def huge(self) -> bytes:
        return json.dumps({**self.fields(), "note": "x" * 2_000_000}).encode()

    def again(self) -> bytes:
        return self.draw.choice(self.sent[-5000:])

    def same_id(self) -> bytes:
        """Return another message under an id that may have been used."""
        return json.dumps({**self.fields(), "signal_id": f"shared-{self.draw.randrange(50)}"}).encode()


@pytest.fixture
def batches() -> Iterator[list[Received]]:
    fuzzer = Fuzzer(seed=20261126)
    sources = [Signal.Source.CHANNEL, Signal.Source.STREAM]

    def one(number: int) -> Received:
        source = sources[number % 2]
        entry = f"{number}-0" if source == Signal.Source.STREAM else ""
        return Received(raw=fuzzer.message(), source=source, stream_entry_id=entry)

    return ([one(number) for number in range(start, start + BATCH)] for start in range(0, MESSAGES, BATCH))


@pytest.mark.django_db
def test_whatever_is_published_is_a_row_or_counted_on_one(bare_desk: Desk, batches: Iterator[list[Received]]) -> None:
    told = {"new": 0, "malformed": 0, "duplicates": 0}
    for batch in batches:
        recorded = record(bare_desk, batch)
        for name in told:
            told[name] += getattr(recorded, name)

    rows = Signal.objects.count()
    duplicates = Signal.objects.aggregate(total=Sum("duplicates"))["total"]
    assert rows + duplicates == MESSAGES == sum(told.values())
    assert Signal.objects.filter(status="MALFORMED").count() == told["malformed"]
    assert min(told.values()) > MESSAGES // 100, "each kind came often"
    assert set(Signal.objects.values_list("status", flat=True)) == {"RECEIVED", "MALFORMED"}
