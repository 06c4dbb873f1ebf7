"""The machine's clock is set back or ahead: what the old clock dated holds nothing up, and proves nothing."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from orders.adjusting import Wish, adjust
from orders.by_hand import HandFill, exit_position, mark_filled
from orders.deciding import decide_manual
from orders.execution import cancel, doubt_overdue, submit
from orders.models import Adjustment, Order
from orders.reconciliation import carry_out_cancels, reconcile
from risk.models import Incident
from tests.conftest import open_the_limits, statuses

from .stand_ins import BookGateway, report_of

pytestmark = pytest.mark.usefixtures("noon")


@pytest.fixture
def resting(desk, wish):
    open_the_limits()
    return submit(desk, decide_manual(desk, wish(limit_price=Decimal("1390.00"))))


@pytest.fixture
def doubtful(desk, wish, paper):
    """An order that never arrived, and whose answer was lost."""
    open_the_limits()
    order = decide_manual(desk, wish(limit_price=Decimal("1390.00")))
    paper.fault("place", "drop_before")
    submit(desk, order)
    assert order.status == "IN_DOUBT"
    return order


def test_an_order_sent_by_a_clock_that_was_set_back_is_in_doubt_at_once(desk, wish, clock, paper):
    order = decide_manual(desk, wish())
    now = clock()
    order.advance("SUBMITTING", at=now, note="sending", sender="gone", submitted_at=now, answer_by=now)

    clock.advance(seconds=-29)
    assert doubt_overdue(desk) == []
    clock.advance(seconds=-2)
    assert doubt_overdue(desk) == [order]

    assert Incident.objects.get().kind == "ORDER_IN_DOUBT"
    assert paper.accepted() == []


def test_a_doubt_from_the_future_waits_its_window_again_and_no_longer(desk, doubtful, clock):
    clock.advance(minutes=-10)
    sent_at = Order.objects.get().submitted_at

    doubt_overdue(desk)
    doubtful.refresh_from_db()
    assert doubtful.submitted_at < sent_at - timedelta(minutes=9)
    clock.advance(seconds=121)
    reconcile(desk)
    reconcile(desk)
    doubtful.refresh_from_db()
    assert doubtful.status == "IN_DOUBT"  # the window is 122 s, from the moment the jump was seen
    clock.advance(seconds=2)
    reconcile(desk)
    reconcile(desk)

    doubtful.refresh_from_db()
    assert doubtful.status == "NOT_PLACED"
    assert "set back" in " ".join(event.note for event in doubtful.events.all())


def test_a_first_miss_from_the_future_does_not_hold_the_second_up(desk, doubtful, clock):
    clock.advance(seconds=123)
    reconcile(desk)
    doubtful.refresh_from_db()
    assert doubtful.missed_at is not None

    clock.advance(seconds=-100)
    assert clock() > doubtful.submitted_at
    doubt_overdue(desk)
    doubtful.refresh_from_db()

    assert doubtful.missed_at is None


def test_a_doubt_that_is_not_from_the_future_keeps_its_window(desk, doubtful, clock):
    sent_at = doubtful.submitted_at
    clock.advance(seconds=-29)

    doubt_overdue(desk)

    doubtful.refresh_from_db()
    assert doubtful.submitted_at == sent_at


def test_the_book_is_taken_over_at_once_after_the_clock_was_set_back(desk, resting, clock, paper):
    reconcile(desk)
    clock.advance(minutes=-10)
    paper.set_price("NSE:RELIANCE", "1389.00")

    reconcile(desk)

    resting.refresh_from_db()
    assert (resting.status, resting.filled_quantity) == ("FILLED", 1)


def test_an_end_from_the_future_does_not_hide_that_the_order_works(desk, resting, clock, wired):
    reconcile(desk)
    now = clock()
    resting.refresh_from_db()
    resting.advance("CANCELLED", at=now, note="the broker said so")
    clock.advance(minutes=-10)

    there = wired(desk, gateway=BookGateway(orders=[report_of(resting, "OPEN")]))
    reconcile(there)

    resting.refresh_from_db()
    assert resting.cancel_requested_at is not None
    assert Incident.objects.filter(client_order_id=resting.client_order_id).exists()


def test_a_book_that_another_read_overtook_moves_nothing_back(desk, resting, clock, wired):
    reconcile(desk)
    resting.refresh_from_db()
    before = statuses(resting)
    cancelled = BookGateway(orders=[report_of(resting, "CANCELLED")])
    older = clock() - timedelta(seconds=5)
    times = iter([older])

    reconcile(wired(desk, gateway=cancelled, clock=lambda: next(times, clock())))

    assert statuses(resting) == before


def test_a_jump_ahead_past_the_window_still_takes_two_reads(desk, doubtful, clock):
    clock.advance(minutes=10)
    reconcile(desk)
    doubtful.refresh_from_db()
    assert doubtful.status == "IN_DOUBT"
    clock.advance(seconds=1)
    reconcile(desk)

    doubtful.refresh_from_db()
    assert doubtful.status == "NOT_PLACED"


def test_what_is_held_can_be_left_at_once_after_the_clock_was_set_back(desk, held, clock):
    position = held(10)
    correction = {"kind": Adjustment.Kind.CORRECTION, "quantity": 7, "price": Decimal(1400)}
    adjust(desk, position, Wish(token="a", by="tara", reason="contract note", **correction))
    clock.advance(minutes=-10)

    assert exit_position(desk, position, token="exit", by="tara").quantity == 7


def test_what_was_marked_last_counts_after_the_clock_was_set_back(desk, wish, clock):
    open_the_limits()
    resting = submit(desk, decide_manual(desk, wish(quantity=5, limit_price=Decimal("1390.00"))))
    order = cancel(desk, resting, by="tara", reason="test")
    reconcile(desk)
    report = {"price": Decimal(1390), "by": "tara", "reason": "contract note"}
    mark_filled(desk, order, HandFill(token="a", quantity=2, **report))
    clock.advance(minutes=-10)

    assert mark_filled(desk, order, HandFill(token="b", quantity=5, **report)).filled_quantity == 5


def test_shares_that_are_missing_are_told_at_once_after_the_clock_was_set_back(desk, held, clock, wired):
    held(10)
    clock.advance(minutes=-10)

    for _ in range(2):
        reconcile(wired(desk, gateway=BookGateway(holds={("NSE", "RELIANCE"): 4})))

    assert Incident.objects.get().kind == "POSITION_DIFFERENCE"


def test_a_cancel_that_came_to_nothing_is_repeated_after_the_clock_was_set_back(desk, resting, clock, paper):
    paper.fault("cancel", "drop_before")
    cancel(desk, resting, by="priya", reason="enough")
    clock.advance(minutes=-10)

    carry_out_cancels(desk)
    reconcile(desk)

    resting.refresh_from_db()
    assert resting.status == "CANCELLED"
