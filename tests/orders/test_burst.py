"""
Fifty signals at once, to their last order, at a Kite that counts as the real one does: it never has to answer 429.

The clock is the real one. What is asked of the broker besides, prices and positions, is held to one a second as well.
"""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from orders.broker.asked import AskedFunds, AskedPositions, AskedPrices
from orders.broker.gateway import BrokerUnreachable, TooManyRequests
from orders.broker.kite import KiteGateway
from orders.inbox import Received, record
from orders.models import Instrument, Order, Signal
from orders.quotes import load_instruments
from orders.reconciliation import reconcile
from orders.worker import Worker
from tests.conftest import open_the_limits, switch_on

from .paper.paper_process import PaperProcess, until

BUYS, SELLS = 40, 10


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    server = PaperProcess(tmp_path_factory.mktemp("strict"), "--cash", "1000000000", rate_limits=True)
    yield server
    server.stop()


class Telling:
    """The gateway, and every refusal and failure that came out of it."""

    def __init__(self, gateway):
        self.gateway, self.trouble = gateway, []

    def __getattr__(self, name):
        def call(*arguments, **more):
            try:
                return getattr(self.gateway, name)(*arguments, **more)
            except (TooManyRequests, BrokerUnreachable) as trouble:
                self.trouble.append(f"{name}: {trouble}")
                raise

        return call


@pytest.fixture
def counted_desk(bare_desk, strict, db, wired):
    gateway = KiteGateway(api_key="paper", root=strict.root, access_token=bare_desk.vault.token)
    desk = wired(
        bare_desk,
        gateway=Telling(gateway),
        asked_prices=AskedPrices(),
        asked_positions=AskedPositions(),
        asked_funds=AskedFunds(),
    )
    load_instruments(desk, "NSE")
    reconcile(desk)
    switch_on(desk)
    open_the_limits(orders_per_second_max=8, orders_per_minute_max=360)
    return desk


def undecided():
    return Signal.objects.filter(status="RECEIVED").exists() or Order.objects.filter(status="PENDING").exists()


def test_fifty_signals_at_once_are_fifty_orders_and_no_429(counted_desk, strict, message):
    def publish(symbols, **changes):
        raws = [message(symbol=symbol, signal_id=f"{symbol}-{len(changes)}", **changes) for symbol in symbols]
        record(counted_desk, [Received(raw=raw, source=Signal.Source.STREAM) for raw in raws])

    def work():
        worker.turn()
        return not undecided()

    ready = threading.Event()
    ready.set()
    worker = Worker(counted_desk, ready=ready, sent=lambda: None)
    names = list(Instrument.objects.filter(lot_size=1, instrument_type="EQ").values_list("symbol", flat=True)[:BUYS])
    publish(names)
    until(work, seconds=30)
    reconcile(counted_desk)

    publish(names[:SELLS], signal_type="SELL", cms_score=-75)
    until(work, seconds=30)

    assert counted_desk.gateway.trouble == []
    assert Counter(Order.objects.values_list("side", flat=True)) == {"BUY": BUYS, "SELL": SELLS}
    assert not Order.objects.filter(status__in=["REJECTED", "IN_DOUBT", "WITHDRAWN"]).exists()
    accepted = [row["at"][:19] for row in strict.journal() if row["event"] == "accepted"]
    assert len(accepted) == BUYS + SELLS
    assert max(Counter(accepted).values()) <= 10
