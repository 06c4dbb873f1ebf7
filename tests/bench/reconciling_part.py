"""
A day of many orders, read again while nothing has changed, and read once when all of them have filled: a process of
its own, which prints what it measured as JSON.

The orders rest at the paper Kite and are rows of ours as the executor leaves them; then their prices fall.
"""

from __future__ import annotations

import itertools
import json
import statistics
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import django
import requests
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from tests.bench.parts import lift_the_governor

if TYPE_CHECKING:
    from orders.desk import Desk

SYMBOLS = 50
READS = 5
AT_ONCE = 8  # connections that place
NOW_AND_THEN_SECONDS = 0.003  # between two tries to take the lock


class Waits:
    """Takes the mode's lock again and again, as a worker would, and keeps the longest wait for it."""

    def __init__(self, mode: str) -> None:
        self._mode = mode
        self.longest = 0.0  # seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._try)

    def __enter__(self) -> Waits:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _try(self) -> None:
        from risk.models import TradingControl

        while not self._ended.wait(NOW_AND_THEN_SECONDS):
            began = time.perf_counter()
            with transaction.atomic():
                TradingControl.objects.locked(self._mode)
                self.longest = max(self.longest, time.perf_counter() - began)
        connection.close()


def place(desk: Desk, count: int) -> list[dict[str, Any]]:
    """Have so many orders rest at the paper Kite, and return their terms with its ids."""
    from orders.broker.kite import KiteGateway
    from orders.identity import client_order_id
    from orders.models import Instrument
    from risk.models import TradingControl

    prefix = TradingControl.objects.get(mode=desk.mode).order_id_prefix
    listed = Instrument.objects.filter(exchange="NSE", instrument_type="EQ").order_by("symbol")
    symbols = list(listed.values_list("symbol", flat=True)[:SYMBOLS])
    for symbol in symbols:
        set_price(symbol, "1000.00")
    threads, sessions = threading.local(), []

    def send(number: int) -> dict[str, Any]:
        session = getattr(threads, "session", None)
        if session is None:
            session = threads.session = requests.Session()
            sessions.append(session)
        terms = {"symbol": symbols[number % SYMBOLS], "client_order_id": client_order_id(prefix, f"b{number}", 1)}
        form = {
            "tag": terms["client_order_id"], "exchange": "NSE", "tradingsymbol": terms["symbol"], "price": "990",
            "transaction_type": "BUY", "quantity": 1, "product": "CNC", "order_type": "LIMIT", "validity": "DAY",
        }  # fmt: skip
        headers = {"X-Kite-Version": "3", "Authorization": "token paper:paper"}
        answer = session.post(f"{settings.PAPER_KITE_URL}/orders/regular", data=form, headers=headers, timeout=10)
        return {**terms, "broker_order_id": answer.json()["data"]["order_id"]}

    assert isinstance(desk.gateway, KiteGateway), "the paper Kite is asked as Zerodha is"
    with ThreadPoolExecutor(AT_ONCE) as pool:
        placed = list(pool.map(send, range(count)))
    for session in sessions:
        session.close()
    return placed


def write_down(desk: Desk, placed: list[dict[str, Any]]) -> None:
    """Make the orders rows of ours, as they are once the broker has accepted them."""
    from orders.models import Order, OrderEvent

    now = timezone.now()
    orders = Order.objects.bulk_create(
        (
            Order(
                **terms, mode=desk.mode, origin="MANUAL", created_by="bench", exchange="NSE", side="BUY",
                product="CNC", order_type="LIMIT", quantity=1, price=Decimal(990), status="OPEN",
                status_reason="accepted", trading_date=desk.today(), created_at=now, submitted_at=now,
            )
            for terms in placed
        ),
        batch_size=500,
    )  # fmt: skip
    steps = [("PENDING", "PENDING"), ("PENDING", "SUBMITTING"), ("SUBMITTING", "OPEN")]
    OrderEvent.objects.bulk_create(
        (
            OrderEvent(order=order, at=now, actor="executor", before=before, after=after, note="bench")
            for order, (before, after) in itertools.product(orders, steps)
        ),
        batch_size=1000,
    )


def set_price(symbol: str, price: str) -> None:
    path = f"{settings.PAPER_KITE_URL}/paper/prices/NSE/{requests.utils.quote(symbol, safe='')}"
    requests.put(path, json={"price": price}, timeout=60).raise_for_status()


def timed(desk: Desk) -> float:
    from orders.reconciliation import reconcile

    began = time.perf_counter()
    reconcile(desk)
    return time.perf_counter() - began


def measure(count: int) -> dict[str, float]:
    """Return seconds: to reconcile the day's orders, and the longest wait for the lock meanwhile."""
    from orders.desk import Desk
    from orders.models import Fill, Order
    from orders.start import prepare_start

    lift_the_governor()
    desk = Desk.from_settings()
    prepare_start(desk)
    write_down(desk, place(desk, count))
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE orders_order")
    found = {"accepted": timed(desk)}  # each is in the book for the first time
    timed(desk)
    with Waits(desk.mode) as waits:
        found["unchanged"] = statistics.median(timed(desk) for _ in range(READS))
    found["unchanged, longest wait for the lock"] = waits.longest
    for symbol in Order.objects.values_list("symbol", flat=True).distinct():
        set_price(symbol, "980.00")
    with Waits(desk.mode) as waits:
        found["moved"] = timed(desk)
    found["moved, longest wait for the lock"] = waits.longest
    assert Fill.objects.count() == Order.objects.filter(status="FILLED").count() == count, "all were filled"
    found["ended"] = statistics.median(timed(desk) for _ in range(READS))
    return found


if __name__ == "__main__":
    django.setup()
    sys.stdout.write(json.dumps(measure(int(sys.argv[1]))))
