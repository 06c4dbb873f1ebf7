"""Past an exposure limit only closing goes on: of one symbol, of all, at a fill and at a move of the price."""

from __future__ import annotations

import threading
from datetime import timedelta
from decimal import Decimal

import pytest

from orders import by_hand
from orders.broker.prices import StreamedPrices
from orders.broker.ticks import Tick
from orders.by_hand import exit_position
from orders.deciding import decide_manual
from orders.execution import submit
from orders.losses import watch_limits
from orders.models import Instrument, Order, Position
from orders.reconciliation import reconcile
from orders.tracker import LOOK_SECONDS, Tracker
from risk import control as switch
from risk.engine.facts import Side
from risk.models import Incident, InstrumentLimit, RiskSettings, TradingControl
from tests.conftest import open_the_limits

from .paper.paper_process import until
from .together import Together

D = Decimal
OF_ONE, OF_ALL = {"position_value_max": D(14000)}, {"gross_exposure_max": D(14000)}
each_limit = pytest.mark.parametrize("limit", [OF_ONE, OF_ALL], ids=["of one symbol", "of all"])


@pytest.fixture
def ten(desk, wish, paper):
    """Buy ten shares of RELIANCE at 1,400.00: 14,000 INR, which is a limit of 14,000 used up and not passed."""
    open_the_limits(daily_loss_max=D(100_000), charges_percent=D(0))
    submit(desk, decide_manual(desk, wish(quantity=10, limit_price=D("1400.00"))))
    reconcile(desk)
    assert Position.objects.get().quantity == 10


def control():
    return TradingControl.objects.get(mode="PAPER")


def switches():
    return control().state, control().auto_trading


def move_to(paper, desk, price):
    paper.set_price("NSE:RELIANCE", price)
    reconcile(desk)
    watch_limits(desk)


def resume(desk):
    switch.resume("PAPER", by="priya", reason="seen", now=desk.clock(), version_shown=control().version)


@each_limit
def test_at_the_limit_it_is_told_and_one_tick_past_it_only_closing_goes_on(ten, desk, wish, paper, limit):
    entry = submit(desk, decide_manual(desk, wish(symbol="INFY", quantity=1, limit_price=D("1470.00"))))
    unsent = decide_manual(desk, wish(symbol="INFY", quantity=1, limit_price=D("1471.00")))
    sale = submit(desk, decide_manual(desk, wish(side=Side.SELL, quantity=1, limit_price=D("1450.00"))))
    RiskSettings.objects.update(**limit)

    move_to(paper, desk, "1400.00")
    assert switches() == ("ACTIVE", True)
    assert "100 %" in Incident.objects.get(kind="EXPOSURE").title

    move_to(paper, desk, "1400.05")
    reconcile(desk)

    assert switches() == ("REDUCE_ONLY", False)
    for order in (entry, sale, unsent):
        order.refresh_from_db()
    assert [entry.status, sale.status, unsent.status] == ["CANCELLED", "OPEN", "WITHDRAWN"]
    incident = Incident.objects.get(kind="EXPOSURE_PASSED")
    assert incident.title.endswith("the limit of ₹14000.00 is passed")
    assert incident.detail == "₹14000.50 is held, at the last prices. Working orders are no part of it."
    assert incident.what_to_do.startswith("Only closing orders go, and working entries are being cancelled.")
    assert exit_position(desk, Position.objects.get(), token="out", by="priya").quantity == 9


def test_a_working_order_is_no_part_of_what_acts(ten, desk, wish, paper):
    submit(desk, decide_manual(desk, wish(quantity=5, limit_price=D("1390.00"))))
    RiskSettings.objects.update(**OF_ONE, **OF_ALL)

    move_to(paper, desk, "1399.95")

    assert switches() == ("ACTIVE", True)


def test_signals_may_go_on_closing_past_an_exposure_limit_where_that_is_wished(ten, desk, received, follow, paper):
    RiskSettings.objects.update(exits_after_loss=True, **OF_ONE)

    move_to(paper, desk, "1401.00")

    assert switches() == ("REDUCE_ONLY", True)
    assert follow(received(signal_type="SELL", cms_score=-75.0)).quantity == 10
    refused = received(symbol="INFY")
    assert follow(refused) is None
    assert "TRADING_REDUCE_ONLY" in refused.reason


@each_limit
def test_what_a_person_resumed_is_stopped_again_by_another_limit_or_another_day_only(ten, desk, paper, clock, limit):
    RiskSettings.objects.update(**limit)
    move_to(paper, desk, "1401.00")
    resume(desk)

    move_to(paper, desk, "1410.00")
    assert control().state == "ACTIVE"

    RiskSettings.objects.update(**dict.fromkeys(limit, D(14_050)))
    watch_limits(desk)
    assert control().state == "REDUCE_ONLY"
    resume(desk)
    watch_limits(desk)
    assert control().state == "ACTIVE"

    clock.advance(days=1)
    watch_limits(desk)
    assert control().state == "REDUCE_ONLY"


def test_the_stop_stays_when_the_price_comes_back_and_over_midnight(ten, desk, paper, clock):
    RiskSettings.objects.update(**OF_ALL)
    move_to(paper, desk, "1401.00")
    move_to(paper, desk, "1300.00")
    clock.advance(days=1)

    watch_limits(desk)

    assert switches() == ("REDUCE_ONLY", False)


def test_a_halt_stays_a_halt_past_an_exposure_limit(ten, desk, paper):
    RiskSettings.objects.update(**OF_ALL)
    switch.halt("PAPER", by="priya", reason="test", now=desk.clock())

    move_to(paper, desk, "1401.00")

    assert control().state == "HALTED"
    assert Incident.objects.filter(kind="EXPOSURE_PASSED").exists()


def test_the_limit_of_its_symbol_acts_where_that_is_tighter(ten, desk):
    InstrumentLimit.objects.create(
        exchange="NSE", symbol="RELIANCE", position_value_max=D(13999), changed_by="rita", changed_at=desk.clock()
    )

    watch_limits(desk)

    assert control().reason == "exposure: RELIANCE at 14000.00 INR, the limit is 13999.00 INR"


def test_two_products_of_a_symbol_are_one_exposure(ten, desk):
    position = Position.objects.get()
    position.pk, position.product, position.quantity = None, "MIS", 1
    position.save()
    RiskSettings.objects.update(**OF_ONE)

    watch_limits(desk)

    assert control().reason == "exposure: RELIANCE at 15400.00 INR, the limit is 14000.00 INR"


@pytest.mark.django_db(transaction=True)
def test_two_that_see_it_at_once_stop_once(ten, desk, paper):
    RiskSettings.objects.update(**OF_ALL)
    paper.set_price("NSE:RELIANCE", "1401.00")
    reconcile(desk)

    Together(lambda: watch_limits(desk), lambda: watch_limits(desk)).join()

    assert Incident.objects.get(kind="EXPOSURE_PASSED").count == 1


@pytest.mark.django_db(transaction=True)
def test_a_trip_is_committed_before_the_broker_is_asked_to_cancel_anything(ten, desk, wish, wired):
    entry = submit(desk, decide_manual(desk, wish(symbol="INFY", quantity=1, limit_price=D("1470.00"))))
    RiskSettings.objects.update(gross_exposure_max=D(13999))
    seen = []

    class Cancelling:
        def cancel(self, broker_order_id):
            told = Order.objects.get(pk=entry.pk).cancel_reason
            (state,) = Together(lambda: switches()).join()
            seen.append((state, told))

    watch_limits(wired(desk, gateway=Cancelling()))

    reason = "reduce only: exposure: all positions at 14000.00 INR, the limit is 13999.00 INR"
    assert seen == [(("REDUCE_ONLY", False), reason)]


def test_one_symbol_s_limit_on_two_exchanges_acts_for_each(ten, desk):
    RiskSettings.objects.update(position_value_max=D(13999))
    watch_limits(desk)
    resume(desk)
    watch_limits(desk)
    assert control().state == "ACTIVE"  # what a person resumed is not stopped for the same symbol again

    Position.objects.update(exchange="BSE")
    watch_limits(desk)

    assert control().state == "REDUCE_ONLY"


# --- When it is looked at --------------------------------------------------------------------------------------------


@pytest.fixture
def turns():
    """Run one turn of a tracker: it reads the book once and then waits for as long as the test goes on."""
    running = []

    def start(desk):
        tracker = Tracker(desk, ready=threading.Event(), busy_seconds=20, idle_seconds=20)
        running.append((tracker, Together(tracker.turn)))

    yield start
    for tracker, turn in running:
        tracker.nudge()
        turn.join()


@pytest.fixture
def told(desk):
    """Have the stream tell a price of RELIANCE."""
    token = Instrument.objects.get(symbol="RELIANCE").token
    prices = StreamedPrices(age_max=timedelta(minutes=1))

    def tell(price):
        until(lambda: token in prices.followed())
        prices.hear(
            [Tick(token=token, last_price=D(price), traded_at=None, exchange_at=desk.clock())], heard_at=desk.clock()
        )

    return prices, tell


@pytest.mark.django_db(transaction=True)
def test_a_streamed_price_acts_at_the_next_look_and_without_another_reading_of_the_book(ten, desk, wired, turns, told):
    prices, tell = told
    RiskSettings.objects.update(**OF_ONE)
    turns(wired(desk, streamed_prices=prices))
    tell("1400.00")
    until(lambda: Incident.objects.filter(kind="EXPOSURE").exists())
    read_at = Position.objects.get().broker_as_of

    tell("1400.05")
    until(lambda: control().state == "REDUCE_ONLY")  # long before the next reading

    assert LOOK_SECONDS <= 1
    assert Position.objects.get().broker_as_of == read_at


@pytest.mark.django_db(transaction=True)
def test_a_fill_acts_in_the_turn_that_read_it(ten, desk, wish, paper, turns):
    by_hand.place(desk, wish(quantity=1, limit_price=D("1390.00")))
    other = by_hand.place(desk, wish(symbol="INFY", limit_price=D("1390.00")))
    RiskSettings.objects.update(gross_exposure_max=D("15289.99"))
    paper.set_price("NSE:RELIANCE", "1390.00")

    turns(desk)

    until(lambda: control().state == "REDUCE_ONLY")
    assert Position.objects.get().quantity == 11
    until(lambda: Order.objects.get(pk=other.pk).cancel_tried_at)
