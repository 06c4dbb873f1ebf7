"""A broker that answers in form and says what cannot be: one row of it never stops the reading of the others."""

from __future__ import annotations

import contextlib
import threading
from datetime import datetime
from decimal import Decimal

import pytest

from orders import by_hand
from orders.broker.gateway import BrokerUnreachable
from orders.broker.kite import KiteGateway
from orders.models import Instrument, Order, Position
from orders.quotes import load_instruments
from orders.reconciliation import reconcile
from orders.worker import Worker
from risk.models import Incident
from tests.conftest import open_the_limits

YEAR_ONE = datetime(1, 1, 1)  # noqa: DTZ001 - as the SDK reads Go's word for "no time"


class Lying(KiteGateway):
    """The gateway of a desk, whose broker's answers are changed on their way: `lies` by the SDK's method."""

    def __init__(self, gateway, **lies):
        super().__init__(api_key="paper", root=gateway._root, access_token=gateway._access_token)
        self._clients = gateway._clients
        self._lies = lies

    def _client(self):
        return Told(super()._client(), self._lies)


class Told:
    def __init__(self, client, lies):
        self._real_client, self._lies = client, lies

    def __getattr__(self, name):
        asked = getattr(self._real_client, name)
        return (lambda *args: self._lies[name](asked(*args))) if name in self._lies else asked


@pytest.mark.parametrize(
    "lie",
    [
        {"tag": 12345},
        {"tag": ["a list"]},
        {"tag": "a\x00b"},
        {"tag": "\ud800"},
        {"status": ["OPEN"]},
        {"status": "OP\x00EN"},
        {"tradingsymbol": "\ud800"},
        {"tradingsymbol": None},
        {"order_id": "X\x00"},
        {"order_timestamp": YEAR_ONE},
    ],
    ids=ascii,
)
def test_an_order_that_cannot_be_is_one_incident_at_most_and_the_others_are_taken_over(
    desk, resting, wired, paper, lie
):
    ours = resting()
    paper.kite().cancel_order("regular", ours.broker_order_id)

    def told(rows):
        return [{**rows[0], "order_id": "X1", "tag": None, **lie}, *rows]

    for _ in range(2):
        reconcile(wired(desk, gateway=Lying(desk.gateway, orders=told)))

    ours.refresh_from_db()
    assert ours.status == "CANCELLED"
    assert list(Incident.objects.values_list("kind", flat=True)) in ([], ["UNREADABLE_ROW"])


@pytest.mark.parametrize(
    "lie",
    [
        {"average_price": float("nan")},
        {"average_price": float("inf")},
        {"trade_id": "\ud800"},
        {"exchange": ["NSE"]},
        {"fill_timestamp": YEAR_ONE},
    ],
    ids=ascii,
)
def test_a_trade_that_cannot_be_is_an_incident_and_never_in_the_ledger(desk, held, wish, wired, lie):
    held(2)
    by_hand.place(desk, wish(quantity=3))

    def told(rows):
        return [*rows[:-1], {**rows[-1], **lie}]

    reconcile(wired(desk, gateway=Lying(desk.gateway, trades=told)))

    assert (Position.objects.get().quantity, Position.objects.get().cost) == (2, 2800)
    assert Incident.objects.get().kind == "UNREADABLE_ROW"
    reconcile(desk)
    assert (Position.objects.get().quantity, Position.objects.get().cost) == (5, 7000)


@pytest.mark.parametrize(
    "lie",
    [{"quantity": 10**12}, {"quantity": 0}, {"quantity": -1}, {"average_price": 1e300}, {"average_price": 0.0}],
    ids=ascii,
)
def test_a_trade_that_cannot_be_hides_no_other_of_its_order(desk, wish, wired, lie):
    def told(rows):
        return [*rows, {**rows[-1], "trade_id": "odd", **lie}]

    open_the_limits()
    by_hand.place(desk, wish(quantity=2))
    reconcile(wired(desk, gateway=Lying(desk.gateway, trades=told)))

    assert (Order.objects.get().status, Position.objects.get().quantity) == ("FILLED", 2)
    assert Incident.objects.get().kind == "UNREADABLE_ROW"


@pytest.mark.parametrize(("signal_type", "score", "outcome"), [("BUY", 90, "DENIED"), ("SELL", -90, "APPROVED")])
def test_a_price_that_cannot_be_is_none_and_no_incident_for_each_signal(
    desk, held, received, wired, signal_type, score, outcome
):
    held(2)

    def told(quotes):
        return {name: {**quote, "last_price": 1e300} for name, quote in quotes.items()}

    ready = threading.Event()
    ready.set()
    signal = received(signal_type=signal_type, cms_score=score)
    Worker(wired(desk, gateway=Lying(desk.gateway, quote=told)), ready=ready, sent=lambda: None).turn()

    signal.refresh_from_db()
    assert (signal.status, Incident.objects.count()) == (outcome, 0)


@pytest.mark.parametrize("lie", [{"quantity": 10**12}, {"last_price": 1e12}, {"last_price": 1e300}], ids=ascii)
def test_a_position_that_cannot_be_is_not_believed(desk, held, wired, lie):
    held(2)

    def told(positions):
        return {**positions, "net": [{**row, **lie} for row in positions["net"]]}

    with contextlib.suppress(BrokerUnreachable):
        reconcile(wired(desk, gateway=Lying(desk.gateway, positions=told)))

    assert Position.objects.get().broker_quantity == 2
    assert Position.objects.get().last_price in {None, Decimal(1400)}


@pytest.mark.parametrize(
    "lie",
    [
        {"name": "n" * 101},
        {"name": "n\x00"},
        {"tradingsymbol": "X" * 41},
        {"tick_size": float("nan")},
        {"tick_size": 1e12},
        {"lot_size": 10**11},
        {"lot_size": "?"},
        {"instrument_token": 10**30},
        {"exchange": "ELSEWHERE"},
        {"tradingsymbol": "RELIANCE"},
    ],
    ids=ascii,
)
def test_an_instrument_that_cannot_be_leaves_the_others_to_trade(desk, wired, lie):
    listed = Instrument.objects.count()
    Instrument.objects.all().delete()

    def told(rows):
        return [{**rows[0], "tradingsymbol": "ODD", **lie}, *rows]

    load_instruments(wired(desk, gateway=Lying(desk.gateway, instruments=told)), "NSE")

    assert Instrument.objects.exclude(symbol="ODD").count() == listed
    assert Instrument.objects.get(symbol="RELIANCE").tick_size == Decimal("0.10")
