"""The daily loss limit and the warnings on the way, on a real book at the paper broker."""

from __future__ import annotations

import threading
from datetime import timedelta
from decimal import Decimal

import pytest

from orders.broker.gateway import BrokerUnreachable
from orders.by_hand import exit_position
from orders.day import day_of_account
from orders.deciding import decide_manual
from orders.execution import submit
from orders.losses import watch_limits
from orders.models import BrokerSession, Fill, Order, Position
from orders.reconciliation import reconcile
from orders.tracker import Tracker
from risk import control as switch
from risk.engine.facts import Quote, Side
from risk.models import Incident, InstrumentLimit, RiskSettings, TradingControl
from tests.conftest import open_the_limits

from .together import Together

D = Decimal


@pytest.fixture
def held(desk, wish, paper):
    """Buy ten shares of RELIANCE at 1,400.00, with a limit of ₹1,000 a day and no charges."""
    open_the_limits(daily_loss_max=D(1000), charges_percent=D(0))
    submit(desk, decide_manual(desk, wish(quantity=10, limit_price=D("1400.00"))))
    reconcile(desk)
    assert Position.objects.get().quantity == 10


def fall_to(paper, desk, price):
    paper.set_price("NSE:RELIANCE", price)
    reconcile(desk)
    watch_limits(desk)


def control():
    return TradingControl.objects.get(mode="PAPER")


def loss(desk):
    return day_of_account(desk, charges_percent=RiskSettings.objects.get().charges_percent, now=desk.clock()).loss


def test_one_paisa_before_the_limit_trading_goes_on(held, desk, paper):
    fall_to(paper, desk, "1300.10")

    assert loss(desk) == D("999.00")
    assert (control().state, control().auto_trading) == ("ACTIVE", True)


def test_at_the_limit_only_closing_goes_on_and_entries_are_cancelled(held, desk, wish, paper):
    entry = submit(desk, decide_manual(desk, wish(quantity=1, limit_price=D("1270.00"))))
    unsent = decide_manual(desk, wish(quantity=1, limit_price=D("1271.00")))
    sale = submit(desk, decide_manual(desk, wish(side=Side.SELL, quantity=1, limit_price=D("1450.00"))))

    fall_to(paper, desk, "1300.00")
    reconcile(desk)

    assert (control().state, control().auto_trading) == ("REDUCE_ONLY", False)
    for order in (entry, sale, unsent):
        order.refresh_from_db()
    assert [entry.status, sale.status, unsent.status] == ["CANCELLED", "OPEN", "WITHDRAWN"]
    incident = Incident.objects.get(kind="DAILY_LOSS")
    assert "1000.00" in incident.title
    assert "₹1000.00 lost" in incident.detail
    position = Position.objects.get()
    assert exit_position(desk, position, token="form-9", by="priya").quantity == 9  # one is being sold already


def test_signals_may_go_on_closing_where_that_is_wished(held, desk, received, follow, paper):
    RiskSettings.objects.update(exits_after_loss=True)
    fall_to(paper, desk, "1300.00")

    assert (control().state, control().auto_trading) == ("REDUCE_ONLY", True)
    order = follow(received(signal_type="SELL", cms_score=-75.0))
    assert (order.side, order.quantity) == ("SELL", 10)
    refused = received(symbol="INFY")
    assert follow(refused) is None
    assert "TRADING_REDUCE_ONLY" in refused.reason


def test_what_a_person_resumed_is_not_stopped_by_the_same_loss_and_opens_nothing(held, desk, received, follow, paper):
    fall_to(paper, desk, "1300.00")
    switch.resume("PAPER", by="priya", reason="seen", now=desk.clock(), version_shown=control().version)
    switch.auto_trading_on("PAPER", by="priya", reason="seen", now=desk.clock(), version_shown=control().version)

    fall_to(paper, desk, "1299.00")

    assert control().state == "ACTIVE"
    signal = received(symbol="INFY")
    assert follow(signal) is None
    assert "DAILY_LOSS_EXCEEDED: 1010.00 INR lost today, the limit is 1000 INR" in signal.reason


def test_a_limit_that_was_loosened_stops_again_when_it_is_reached(held, desk, paper):
    fall_to(paper, desk, "1300.00")
    switch.resume("PAPER", by="priya", reason="seen", now=desk.clock(), version_shown=control().version)
    RiskSettings.objects.update(daily_loss_max=D(1500))
    fall_to(paper, desk, "1251.00")
    assert control().state == "ACTIVE"

    fall_to(paper, desk, "1250.00")

    assert control().state == "REDUCE_ONLY"


def test_the_stop_stays_over_midnight_and_the_new_day_begins_at_the_close(held, desk, clock, paper):
    fall_to(paper, desk, "1300.00")
    clock.advance(days=1)
    # The broker's book of the next day: the same price is the close before, and nothing was traded.
    Position.objects.update(close_price=D("1300.00"))

    watch_limits(desk)

    assert control().state == "REDUCE_ONLY"
    assert loss(desk) == 0


def test_a_halt_stays_a_halt(held, desk, paper):
    switch.halt("PAPER", by="priya", reason="test", now=desk.clock())

    fall_to(paper, desk, "1300.00")

    assert control().state == "HALTED"
    assert Incident.objects.filter(kind="DAILY_LOSS").exists()


@pytest.mark.parametrize(("price", "told"), [("1350.10", 0), ("1350.00", 1), ("1320.10", 1), ("1320.00", 2)])
def test_half_and_four_fifths_of_the_limit_warn_once_each(held, desk, paper, price, told):
    fall_to(paper, desk, "1350.00" if told == 2 else price)
    for _ in range(3):
        fall_to(paper, desk, price)

    warnings = Incident.objects.filter(kind="LOSS_WARNING")
    assert [(each.count, each.stops_opening) for each in warnings] == [(1, False)] * told
    assert control().state == "ACTIVE"


def test_charges_count_into_the_loss(held, desk, paper):
    RiskSettings.objects.update(charges_percent=D("0.12"))

    assert loss(desk) == D("14000.00") * D("0.12") / 100


def test_without_a_price_the_loss_is_not_known_and_nothing_new_is_opened(held, desk, received, follow):
    Position.objects.update(last_price=None, broker_as_of=desk.clock())

    watch_limits(desk)

    assert loss(desk) is None
    signal = received(symbol="INFY")
    assert follow(signal) is None
    assert "DAILY_LOSS_EXCEEDED: the day's loss is unknown" in signal.reason


@pytest.mark.parametrize("read", [None, "before the fill"])
def test_until_the_book_is_read_again_what_was_just_bought_is_worth_its_price(held, desk, received, follow, read):
    before = Fill.objects.get().recorded_at - timedelta(seconds=1)
    Position.objects.update(last_price=None, broker_as_of=before if read else None)

    assert loss(desk) == 0
    assert follow(received(symbol="INFY")) is not None


def test_the_shares_of_yesterday_count_from_the_close_before(held, desk, clock):
    clock.advance(days=1)
    Position.objects.update(close_price=D("1390.00"), last_price=D("1380.00"))

    assert loss(desk) == D(100)


def test_a_younger_price_of_the_stream_counts(held, desk, wired):
    class Streamed:
        def last(self, exchange, symbol, *, now):
            return Quote(price=D("1300.00"), as_of=now)

    watch_limits(wired(desk, streamed_prices=Streamed()))

    assert control().state == "REDUCE_ONLY"


@pytest.mark.parametrize(("price", "state"), [("1300.10", "ACTIVE"), ("1300.00", "REDUCE_ONLY")])
def test_the_loss_is_watched_while_the_broker_cannot_be_read_however_often_it_is_tried(held, desk, wired, price, state):
    """The stream goes on telling prices; and a tracker that is nudged at once has no time to look while it waits."""

    class Streamed:
        def last(self, exchange, symbol, *, now):
            return Quote(price=D(price), as_of=now)

        def asked(self):
            return []

        def follow(self, tokens):
            pass

    class Away:
        def __getattr__(self, name):
            raise BrokerUnreachable("503 Service Unavailable")

    there = wired(desk, streamed_prices=Streamed(), gateway=Away())
    tracker = Tracker(there, ready=threading.Event(), busy_seconds=0.0)

    tracker.turn()

    assert control().state == state
    assert BrokerSession.objects.get(mode=desk.mode).last_error == "503 Service Unavailable"
    assert Incident.objects.filter(kind="DAILY_LOSS").exists() == (state == "REDUCE_ONLY")


@pytest.mark.django_db(transaction=True)
def test_two_that_see_the_loss_at_once_stop_once(held, desk, paper):
    paper.set_price("NSE:RELIANCE", "1300.00")
    reconcile(desk)

    Together(lambda: watch_limits(desk), lambda: watch_limits(desk)).join()

    assert Incident.objects.get(kind="DAILY_LOSS").count == 1


@pytest.fixture
def milder():
    """Past an exposure limit only that symbol's entries go."""
    RiskSettings.objects.update(exposure_breach_reduces=False)


@pytest.mark.parametrize(("limit", "cancelled"), [("13999.99", True), ("14000.00", False)])
def test_in_the_milder_form_a_position_that_outgrew_its_limit_takes_no_more_and_is_left_alone(
    held, milder, desk, wish, limit, cancelled
):
    entry = submit(desk, decide_manual(desk, wish(quantity=1, limit_price=D("1390.00"))))
    RiskSettings.objects.update(position_value_max=D(limit))

    watch_limits(desk)
    reconcile(desk)

    entry.refresh_from_db()
    assert (entry.status == "CANCELLED") is cancelled
    assert control().state == "ACTIVE"
    assert Position.objects.get().quantity == 10
    assert "100 %" in Incident.objects.get(kind="EXPOSURE").title
    assert not Order.objects.filter(side="SELL").exists()
    assert desk.clock() - Incident.objects.get(kind="EXPOSURE").first_at < timedelta(minutes=1)


def test_a_position_is_held_against_the_limit_of_its_symbol_where_that_is_tighter(held, desk):
    InstrumentLimit.objects.create(
        exchange="NSE", symbol="RELIANCE", position_value_max=D(14000), changed_by="rita", changed_at=desk.clock()
    )

    watch_limits(desk)

    assert Incident.objects.get(kind="EXPOSURE").title == "RELIANCE: 100 % of ₹14000.00 is used"


@pytest.mark.parametrize(
    ("limit", "level"),
    [("28000.01", None), ("28000.00", 50), ("17500.01", 50), ("17500.00", 80), ("14000.00", 100), ("13999.99", 100)],
)
def test_in_the_milder_form_a_book_that_outgrows_the_gross_limit_is_told_of_and_left_alone(
    held, milder, desk, wish, limit, level
):
    entry = submit(desk, decide_manual(desk, wish(quantity=1, limit_price=D("1390.00"))))
    RiskSettings.objects.update(gross_exposure_max=D(limit))

    for _ in range(2):
        watch_limits(desk)
        reconcile(desk)

    told = Incident.objects.filter(kind="EXPOSURE")
    assert [(each.title, each.count, each.symbol) for each in told] == (
        [] if level is None else [(f"All positions: {level} % of ₹{limit} is used", 1, "")]
    )
    entry.refresh_from_db()
    assert (entry.status, control().state, control().auto_trading) == ("OPEN", "ACTIVE", True)


def test_no_book_is_no_exposure_whatever_the_limit(desk):
    RiskSettings.objects.update(gross_exposure_max=D(0))

    watch_limits(desk)

    assert not Incident.objects.exists()


def test_looking_asks_for_no_price_of_what_is_flat_and_costs_no_more_with_more_symbols(
    held, desk, wired, clock, django_assert_max_num_queries
):
    asked = []

    class Streamed:
        def last(self, exchange, symbol, *, now):
            asked.append(symbol)

    position = Position.objects.get()
    for number in range(5):
        position.pk, position.symbol, position.quantity = None, f"HELD{number}", 1
        position.save()
    position.pk, position.symbol, position.quantity = None, "FLAT", 0
    position.save()
    there = wired(desk, streamed_prices=Streamed())
    watch_limits(there)  # the first tells what there is to tell
    asked.clear()

    with django_assert_max_num_queries(12):
        watch_limits(there)

    assert "HELD0" in asked
    assert "FLAT" not in asked


def test_looking_costs_no_more_with_many_symbols_past_and_near_their_limits(held, desk, django_assert_max_num_queries):
    Position.objects.update(quantity=6)
    position = Position.objects.get()  # RELIANCE, at 1,400.00
    RiskSettings.objects.update(position_value_max=D(8000), gross_exposure_max=D(10_000_000), daily_loss_max=D(10**6))
    for number in range(30):
        position.pk, position.symbol, position.quantity = None, f"HELD{number}", 6 if number % 2 else 5
        position.save()
    watch_limits(desk)
    told = Incident.objects.count()
    assert told == 31

    with django_assert_max_num_queries(9):
        watch_limits(desk)

    assert Incident.objects.count() == told
