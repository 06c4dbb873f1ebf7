"""
The rate governor on the ledger: who waits, who is refused, and that two processes, a restart and midnight keep to it.

The limits are 5 a second and 30 a minute for what opens. The broker takes 10 a second, of which 2 are left to exits.
"""

from __future__ import annotations

import itertools
import threading
from datetime import timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orders import by_hand
from orders.broker.kite import KiteGateway
from orders.deciding import OrderDenied, decide, decide_manual
from orders.desk import Desk
from orders.execution import cancel, submit
from orders.governor import tell_when_the_day_runs_out
from orders.models import Decision, Order, Signal
from orders.reconciliation import reconcile
from orders.traffic import times_modified, traffic
from orders.worker import Worker
from risk.models import Incident, RiskSettings, TradingControl
from tests.conftest import open_the_limits, statuses

from .still_cast import clock, held, still
from .test_reconciliation import place_elsewhere
from .together import Together, direct_connection, held_up

pytestmark = pytest.mark.usefixtures("noon")

__all__ = ["clock", "held", "still"]

IST = ZoneInfo("Asia/Kolkata")
NUMBERS = itertools.count(1)


@pytest.fixture
def sent(desk):
    """Write orders down as sent, so many at one moment; keywords change them."""

    def write(count, at, **changes):
        for _ in range(count):
            number = next(NUMBERS)
            usual = {
                "mode": desk.mode,
                "client_order_id": f"SENT{number}",
                "broker_order_id": f"SENT{number}",
                "origin": "MANUAL",
                "exchange": "NSE",
                "symbol": "INFY",
                "side": "BUY",
                "product": "CNC",
                "order_type": "LIMIT",
                "quantity": 1,
                "price": Decimal(1500),
                "status": "CANCELLED",
                "trading_date": at.astimezone(IST).date(),
                "created_at": at,
                "submitted_at": at,
            }
            rows.append(Order(**{**usual, **changes}))
        Order.objects.bulk_create(rows)
        rows.clear()

    rows = []
    return write


@pytest.fixture
def worker():
    ready = threading.Event()
    ready.set()
    return lambda desk: Worker(desk, ready=ready, sent=lambda: None)


def waits(order):
    return [event.note for event in order.events.filter(note__startswith="RATE_LIMIT_EXCEEDED")]


# --- What opens ------------------------------------------------------------------------------------------------------


def test_a_signal_without_room_waits_undecided_says_so_and_goes_when_there_is_room(desk, received, sent, clock, paper):
    sent(5, clock())
    signal = received()

    assert decide(desk, signal) is None
    assert decide(desk, signal) is None
    signal.refresh_from_db()
    assert signal.status == "RECEIVED"
    assert signal.reason.startswith("RATE_LIMIT_EXCEEDED: 5 in the last second, the limit is 5: there is room from ")
    assert signal.orders.count() == 0

    clock.advance(seconds=1)
    order = submit(desk, decide(desk, signal))

    assert order.status == "OPEN"
    assert order.events.first().note.startswith("its signal waited: RATE_LIMIT_EXCEEDED: 5 in the last second")
    assert len(paper.accepted()) == 1


def test_a_signal_that_waited_until_it_was_old_expires_with_both_verdicts(desk, received, sent, clock):
    signal = received()
    clock.advance(seconds=301)
    sent(30, clock())

    assert decide(desk, signal) is None

    signal.refresh_from_db()
    assert signal.status == "EXPIRED"
    refused = {verdict["control"] for verdict in Decision.objects.get(signal=signal).verdicts if not verdict["passed"]}
    assert refused == {"SIGNAL_STALE", "RATE_LIMIT_EXCEEDED"}


def test_a_limit_of_0_is_not_waited_for(desk, received):
    open_the_limits(orders_per_second_max=0)
    signal = received()

    decide(desk, signal)

    signal.refresh_from_db()
    assert signal.status == "DENIED"


def test_a_decided_order_without_room_stays_unsent_tells_once_and_is_sent_later(still, pending, sent, paper, clock):
    order = pending()
    sent(5, still.clock())

    submit(still, order)
    submit(still, order)

    assert order.status == "PENDING"
    assert len(waits(order)) == 1
    assert clock.paused == []
    still.pause(1)
    submit(still, order)
    assert statuses(order) == ["PENDING", "PENDING", "SUBMITTING", "OPEN"]


def test_one_that_has_waited_until_its_decision_is_old_is_decided_again(still, pending, sent):
    order = pending()
    for second in range(7):
        sent(5, still.clock() + timedelta(seconds=second))
    submit(still, order)
    still.pause(5.1)

    submit(still, order)

    order.signal.refresh_from_db()
    assert (order.status, order.signal.status) == ("WITHDRAWN", "RECEIVED")


def test_a_person_is_refused_with_a_sentence_that_says_when_there_is_room(still, wish, sent, paper):
    open_the_limits(orders_per_second_max=5)
    sent(5, still.clock())
    room = (still.clock() + timedelta(seconds=1)).astimezone(IST)

    with pytest.raises(OrderDenied) as denied:
        by_hand.place(still, wish())

    sentence = f"there is room from {room:%H:%M:%S.%f}"[:-4] + " on; send it again then"
    assert str(denied.value).endswith(sentence)
    assert str(denied.value).startswith("RATE_LIMIT_EXCEEDED: 5 in the last second, the limit is 5")
    assert paper.journal() == []


def test_a_person_whose_room_was_taken_after_the_decision_is_told_so_too(still, wish, sent, paper):
    order = decide_manual(still, wish())
    sent(5, still.clock())

    submit(still, order)

    assert order.status == "WITHDRAWN"
    assert order.status_reason.startswith("RATE_LIMIT_EXCEEDED: 5 in the last second, the limit is 5: there is room")
    assert paper.journal() == []


def test_nothing_opens_in_what_the_broker_s_day_keeps_for_exits(still, pending, wish, sent, held, clock, monkeypatch):
    position = held(1)
    order, later = pending(symbol="INFY"), decide_manual(still, wish())
    monkeypatch.setattr("orders.governor.BROKER_DAY", 510)  # of which 500 are for exits
    sent(8, still.clock() - timedelta(minutes=5))
    assert submit(still, later).status == "OPEN"  # the tenth; the one that is held was the first
    still.pause(1)

    submit(still, order)
    clock.advance(seconds=1)
    exit_order = by_hand.exit_position(still, position, token="out", by="priya")

    assert order.status == "WITHDRAWN"
    assert order.status_reason == "the rest of the broker's orders of the day is for exits"
    assert exit_order.status == "OPEN"


# --- What closes, and cancels ----------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_an_exit_waits_for_the_broker_s_second_and_never_under_the_lock(still, held, sent, wired, clock):
    position = held(1)
    sent(10, still.clock() - timedelta(seconds=0.4))
    free = []

    def pause(seconds):
        with direct_connection() as other, other.transaction():
            other.execute("SELECT 1 FROM risk_tradingcontrol FOR UPDATE NOWAIT")
            free.append(seconds)
        still.pause(seconds)

    order = by_hand.exit_position(wired(still, pause=pause), position, token="out", by="priya")

    assert order.status == "OPEN"
    assert free == clock.paused == [pytest.approx(0.6)]
    assert len(waits(order)) == 1
    assert order.events.get(after="SUBMITTING", before="PENDING").note == "sending, after 0.6 s"


def test_an_exit_goes_after_a_second_however_full_it_is(still, held, sent, wired):
    position = held(1)
    paused = []

    def others_are_faster(seconds):
        still.pause(seconds)
        paused.append(seconds)
        sent(10, still.clock())

    sent(10, still.clock() - timedelta(seconds=0.4))
    order = by_hand.exit_position(wired(still, pause=others_are_faster), position, token="out", by="priya")

    assert order.status == "OPEN"
    assert 1 <= sum(paused) < 2


def test_an_exit_ends_its_wait_though_the_clock_stands(still, held, sent, wired):
    position = held(1)
    paused = []
    sent(10, still.clock())

    order = by_hand.exit_position(wired(still, pause=paused.append), position, token="out", by="priya")

    assert order.status == "OPEN"
    assert paused == [1]


def test_an_exit_does_not_wait_for_what_only_openings_are_held_to(still, held, sent, clock):
    position = held(1)
    sent(8, still.clock())
    sent(450, still.clock() - timedelta(seconds=30))

    order = by_hand.exit_position(still, position, token="out", by="priya")

    assert order.status == "OPEN"
    assert clock.paused == []


def test_a_cover_of_a_short_position_is_no_opening(still, sent, wish, held, monkeypatch):
    monkeypatch.setattr("orders.governor.ask_own_quantity", lambda *_: lambda: -1)
    order = decide_manual(still, wish())
    sent(9, still.clock())

    submit(still, order)

    assert order.status == "OPEN"


def test_a_cancel_waits_for_nothing_and_counts_in_the_broker_s_second(still, resting, sent, clock):
    order = resting()
    sent(50, still.clock())

    cancel(still, order, by="priya", reason="no longer wanted")
    reconcile(still)

    order.refresh_from_db()
    assert order.status == "CANCELLED"
    assert clock.paused == []
    assert traffic(still, still.clock()).cancelled == (still.clock(),)


def test_an_exit_goes_in_the_turn_in_which_many_openings_wait(desk, held, received, sent, clock, worker):
    held(2)
    RiskSettings.objects.update(orders_per_second_max=5)
    Order.objects.update(submitted_at=clock() - timedelta(minutes=10))
    for number in range(3):
        received(symbol=["INFY", "TCS", "SBIN"][number])
    sell = received(signal_type="SELL", cms_score=-75.0)
    sent(5, clock() + timedelta(seconds=25))

    worker(desk).turn()

    sell.refresh_from_db()
    assert sell.orders.get().status == "OPEN"
    assert Signal.objects.filter(status="RECEIVED", reason__startswith="RATE_LIMIT_EXCEEDED").count() == 3


def test_openings_behind_one_that_finds_no_room_are_not_looked_at_and_say_why_they_wait(still, received, sent, worker):
    sent(5, still.clock())
    signals = [received(symbol=symbol) for symbol in ("RELIANCE", "INFY", "TCS")]
    received(symbol="SBIN", signal_type="HOLD")

    with CaptureQueriesContext(connection) as queries:
        worker(still).turn()

    assert sum("FOR UPDATE" in query["sql"] for query in queries) == 2  # of the HOLD and of the first BUY
    for signal in signals:
        signal.refresh_from_db()
        assert (signal.status, signal.reason[:40]) == ("RECEIVED", "RATE_LIMIT_EXCEEDED: 5 in the last secon")


def test_the_worker_sends_what_stayed_unsent_as_soon_as_there_is_room(still, pending, sent, worker):
    order = pending()
    sent(5, still.clock())

    worker(still).turn()
    order.refresh_from_db()
    assert order.status == "PENDING"
    still.pause(1)
    worker(still).turn()

    order.refresh_from_db()
    assert order.status == "OPEN"


# --- What counts -----------------------------------------------------------------------------------------------------


def test_an_order_counts_until_a_second_after_its_answer_and_while_it_has_none(still, pending):
    order, now = pending(), still.clock()
    order.advance("SUBMITTING", at=now, note="sending", submitted_at=now, answer_by=now)

    later = now + timedelta(seconds=9)
    assert traffic(still, later).placed == (later,)

    order.advance("OPEN", at=later, note="accepted")
    assert traffic(still, later + timedelta(seconds=0.9)).placed == (later,)


def test_a_restart_in_the_middle_of_a_second_forgets_nothing(still, pending, sent, paper):
    order, now = pending(), still.clock()
    sent(5, now - timedelta(seconds=0.5))

    gateway = KiteGateway(api_key="paper", root=paper.root, access_token=still.vault.token)
    restarted = Desk(mode=still.mode, gateway=gateway, vault=still.vault, clock=still.clock)
    submit(restarted, Order.objects.get(pk=order.pk))

    order.refresh_from_db()
    assert order.status == "PENDING"


def test_orders_that_somebody_placed_elsewhere_count_and_one_that_was_ours_counts_once(desk, paper, sent, clock):
    place_elsewhere(paper)
    reconcile(desk)
    assert Order.objects.get().origin == "EXTERNAL"

    seen = traffic(desk, clock())
    assert (len(seen.placed), seen.today) == (1, 1)

    Order.objects.update(broker_order_id="")  # as `take_broker_id` leaves a stranger's row that was ours
    seen = traffic(desk, clock())
    assert (len(seen.placed), seen.today) == (0, 0)


def test_what_was_withdrawn_unsent_does_not_count_and_what_was_refused_does(still, sent):
    sent(1, still.clock(), status="WITHDRAWN")
    sent(1, still.clock(), status="REJECTED")

    assert len(traffic(still, still.clock()).placed) == 1


def test_midnight_in_mumbai_begins_a_new_day_but_not_a_new_second(still, sent):
    midnight = (still.clock() + timedelta(days=1)).astimezone(IST).replace(hour=0, minute=0, second=0, microsecond=0)
    sent(3, midnight - timedelta(seconds=0.2))
    sent(2, midnight)

    before = traffic(still, midnight - timedelta(microseconds=1))
    after = traffic(still, midnight + timedelta(seconds=0.5))

    assert before.today == 3
    assert (after.today, len(after.placed)) == (2, 5)


def test_a_clock_that_was_set_back_holds_nothing_up(still, sent):
    sent(9, still.clock() + timedelta(minutes=10))

    assert traffic(still, still.clock()).placed == ()


@pytest.mark.django_db(transaction=True)
def test_two_processes_do_not_both_take_the_last_slot(desk, received, sent, clock, paper):
    open_the_limits(orders_per_second_max=5)
    orders = [decide(desk, received(symbol=symbol)) for symbol in ("RELIANCE", "INFY")]
    sent(4, clock() + timedelta(seconds=20))  # counts as now for as long as this test takes

    with held_up("orders_orderevent") as wait_for:
        both = Together(*[lambda order=order: submit(desk, order) for order in orders])
        wait_for(2)
    both.join()

    assert sorted(Order.objects.get(pk=order.pk).status for order in orders) == ["OPEN", "PENDING"]
    assert len(paper.accepted()) == 1


def test_an_order_changed_in_the_broker_s_own_app_counts_as_modified(desk, resting, paper):
    order = resting()
    assert times_modified(order) == 0

    paper.kite().modify_order("regular", order.broker_order_id, price=1391)
    reconcile(desk)

    assert times_modified(order) == 1


# --- The broker's own word -------------------------------------------------------------------------------------------


def test_two_429_in_a_row_turn_auto_trading_off_and_one_does_not(still, paper, pending):
    open_the_limits()
    paper.fault("place", "error_429", times=1)
    first = submit(still, pending())
    assert (first.status, first.status_reason) == ("REJECTED", "refused by the broker for its rate: Too many requests")
    assert TradingControl.objects.get(mode=still.mode).auto_trading

    still.pause(1)
    second = pending(symbol="INFY")
    paper.fault("place", "error_429", times=1)
    submit(still, second)

    control = TradingControl.objects.get(mode=still.mode)
    assert not control.auto_trading
    assert "two requests in a row for their rate" in control.reason
    assert Incident.objects.get().kind == "RATE_REFUSED"


def test_a_429_after_an_order_that_was_taken_is_the_first_again(still, paper, pending):
    open_the_limits()
    for symbol, fault in (("RELIANCE", True), ("INFY", False), ("TCS", True)):
        order = pending(symbol=symbol)
        if fault:
            paper.fault("place", "error_429", times=1)
        submit(still, order)
        still.pause(1)

    assert TradingControl.objects.get(mode=still.mode).auto_trading


def test_after_a_429_the_next_order_waits_a_second(still, paper, pending, held, clock):
    position = held(1)
    still.pause(1)
    opening, later = pending(symbol="INFY"), pending(symbol="TCS")
    paper.fault("place", "error_429", times=1)
    submit(still, opening)

    submit(still, later)
    assert later.status == "PENDING"
    assert later.events.filter(note__contains="second at the broker").exists()

    by_hand.exit_position(still, position, token="out", by="priya")
    assert clock.paused[-1] == 1


def test_four_fifths_of_the_broker_s_day_are_an_incident_once(still, sent, monkeypatch):
    monkeypatch.setattr("orders.governor.BROKER_DAY_WARNING", 40)
    sent(39, still.clock())
    tell_when_the_day_runs_out(still)
    assert not Incident.objects.exists()

    sent(1, still.clock(), origin="EXTERNAL", client_order_id=None)
    reconcile(still)
    reconcile(still)

    incident = Incident.objects.get(kind="BROKER_DAY_FILLS")
    assert incident.title == "40 of the 5000 orders that the broker takes a day were sent"
    assert incident.count == 1
