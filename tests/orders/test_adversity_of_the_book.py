"""Books that show too little, too much, too late or nonsense: nothing is lost, counted twice or concluded from them."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from orders.by_hand import place
from orders.deciding import OrderDenied, decide_manual
from orders.execution import submit
from orders.ledger import Line, recompute_position
from orders.models import Fill, Order, Position
from orders.reconciliation import carry_out_cancels, reconcile
from risk.models import Incident
from tests.conftest import open_the_limits, statuses

from .stand_ins import BookGateway, report_of, trade_of
from .test_adversity import kinds
from .test_execution import Sender
from .test_reconciliation import place_elsewhere

pytestmark = pytest.mark.usefixtures("noon")


class Untagged:
    """The desk's gateway, whose book lists every order without its tag."""

    def __init__(self, gateway):
        self.gateway = gateway

    def book(self, as_of):
        book = self.gateway.book(as_of)
        return replace(book, orders=tuple(replace(report, tag="") for report in book.orders))

    def __getattr__(self, name):
        return getattr(self.gateway, name)


class PartlyUnreadable(BookGateway):
    """A broker one of whose rows could not be made sense of."""

    def book(self, as_of):
        return replace(super().book(as_of), unreadable=("KeyError: 'order_id' in {}",))


# --- Orders of ours that the book shows in an unexpected way ----------------------------------------------------------


def test_an_unsent_order_that_the_book_already_shows_is_not_sent_again(desk, pending, paper):
    """Its SUBMITTING was lost with the database's last moments; the order itself had left."""
    order = pending()
    placed = place_elsewhere(paper, tag=order.client_order_id, quantity=order.quantity)

    reconcile(desk)
    order.refresh_from_db()
    submit(desk, order)

    assert paper.accepted() == [placed]
    assert (order.status, order.broker_order_id) == ("FILLED", placed)
    assert Position.objects.get().quantity == order.quantity
    assert kinds() == []


def test_an_order_first_listed_without_its_tag_is_taken_over_with_its_fills_when_the_answer_comes(
    desk, pending, wired, paper
):
    class Overtaken(Sender):
        def place(self, request, *, send_by):
            broker_order_id = super().place(request, send_by=send_by)
            reconcile(wired(desk, gateway=Untagged(desk.gateway)))
            return broker_order_id

    order = pending()

    submit(wired(desk, gateway=Overtaken(desk.gateway, lambda _: None)), order)
    reconcile(desk)

    assert_taken_over(order, paper)


def test_an_order_in_doubt_first_listed_without_its_tag_is_taken_over_when_the_tag_is_there(
    desk, in_doubt, wired, paper, clock
):
    order = in_doubt("drop_after")
    reconcile(wired(desk, gateway=Untagged(desk.gateway)))
    order.refresh_from_db()
    assert order.status == "IN_DOUBT"

    clock.advance(seconds=125)
    reconcile(desk)
    reconcile(desk)

    assert_taken_over(order, paper)


def assert_taken_over(order, paper):
    order.refresh_from_db()
    assert (order.status, order.filled_quantity) == ("FILLED", 1)
    assert [order.broker_order_id] == paper.accepted()
    assert Position.objects.get().quantity == 1
    assert Fill.objects.get().order == order
    stranger = Order.objects.get(origin="EXTERNAL")
    assert (stranger.broker_order_id, stranger.filled_quantity) == ("", 0)


def test_a_second_order_with_our_tag_is_an_incident_and_only_the_extra_one_is_cancelled(desk, in_doubt, wired):
    order = in_doubt()
    bound = report_of(order, "OPEN", broker_order_id="SIM1")
    extra = report_of(order, "OPEN", broker_order_id="SIM2")
    broker = BookGateway(orders=[bound, extra])
    there = wired(desk, gateway=broker)

    reconcile(there)
    broker.orders.reverse()
    reconcile(there)

    order.refresh_from_db()
    assert (order.status, order.broker_order_id) == ("OPEN", "SIM1")
    assert broker.cancelled == ["SIM2"]
    incident = Incident.objects.get(kind="DOUBLED_ORDER")
    assert (incident.stops_opening, incident.count) == (True, 2)


@pytest.mark.parametrize("placed_by", ["us", "somebody else"])
def test_a_finished_order_of_yesterday_that_is_still_listed_after_midnight_is_no_incident(
    desk, held, paper, wired, clock, placed_by
):
    if placed_by == "us":
        held(1)
    else:
        place_elsewhere(paper, quantity=1)
        reconcile(desk)
    order = Order.objects.get()
    broker = BookGateway(
        orders=[report_of(order, "COMPLETE")],
        trades=[trade_of(order, Fill.objects.get().trade_id, 1)],
        holds={("NSE", "RELIANCE"): 1},
    )
    clock.advance(days=1)

    for _ in range(2):
        reconcile(wired(desk, gateway=broker))

    assert kinds() == []
    assert Order.objects.get().status == "FILLED"


# --- What a book lacks ------------------------------------------------------------------------------------------------


def test_a_book_that_lacks_an_order_it_knew_proves_nothing_about_one_in_doubt(desk, resting, in_doubt, wired, clock):
    known, doubtful = resting(symbol="INFY"), in_doubt()
    clock.advance(seconds=125)
    empty = wired(desk, gateway=BookGateway())

    for _ in range(3):
        reconcile(empty)
    doubtful.refresh_from_db()
    assert doubtful.status == "IN_DOUBT"

    whole = wired(desk, gateway=BookGateway(orders=[report_of(known, "OPEN")]))
    reconcile(whole)
    doubtful.refresh_from_db()
    assert doubtful.status == "IN_DOUBT"  # one read is not enough
    reconcile(whole)
    doubtful.refresh_from_db()
    assert doubtful.status == "NOT_PLACED"


def test_a_book_that_lacks_an_order_it_showed_as_filled_proves_nothing_about_one_in_doubt(
    desk, held, in_doubt, paper, wired, clock
):
    held(1)
    doubtful = in_doubt()
    clock.advance(seconds=125)

    for _ in range(3):
        reconcile(wired(desk, gateway=BookGateway(holds={("NSE", "RELIANCE"): 1})))
    doubtful.refresh_from_db()
    assert doubtful.status == "IN_DOUBT"

    for _ in range(2):
        reconcile(desk)
    doubtful.refresh_from_db()
    assert doubtful.status == "NOT_PLACED"


def test_a_book_that_could_not_all_be_read_proves_nothing_about_one_in_doubt(desk, in_doubt, wired, clock):
    doubtful = in_doubt()
    clock.advance(seconds=125)

    for _ in range(3):
        reconcile(wired(desk, gateway=PartlyUnreadable()))

    doubtful.refresh_from_db()
    assert doubtful.status == "IN_DOUBT"


def test_two_books_that_began_to_be_read_in_the_same_moment_are_one_read(desk, in_doubt, wired, clock):
    doubtful = in_doubt()
    clock.advance(seconds=125)
    moment = clock()
    standing = wired(desk, gateway=BookGateway(), clock=lambda: moment)

    for _ in range(2):
        reconcile(standing)

    doubtful.refresh_from_db()
    assert doubtful.status == "IN_DOUBT"


def test_an_order_missing_from_two_reads_of_its_own_days_book_is_an_incident(desk, resting, wired):
    order = resting()
    empty = wired(desk, gateway=BookGateway())

    reconcile(empty)
    assert kinds() == []
    reconcile(empty)

    order.refresh_from_db()
    assert order.status == "OPEN"  # it still counts as if it may fill
    incident = Incident.objects.get()
    assert (incident.kind, incident.stops_opening, incident.symbol) == ("VANISHED_ORDER", True, "RELIANCE")


def test_an_order_missing_now_and_then_has_not_vanished(desk, resting, wired):
    order = resting()
    broker = BookGateway()
    there = wired(desk, gateway=broker)

    for listed in ([], [report_of(order, "UPDATE")], [], [report_of(order, "OPEN")]):
        broker.orders = listed
        reconcile(there)

    assert kinds() == []


def test_an_older_book_taken_over_after_a_newer_one_changes_nothing(desk, resting, wired):
    order = resting(quantity=5)
    newer = BookGateway(
        orders=[report_of(order, "COMPLETE", quantity=2)],
        trades=[trade_of(order, "T1", 2)],
        holds={("NSE", "RELIANCE"): 2},
    )

    class Overtaken(BookGateway):
        def book(self, as_of):
            reconcile(wired(desk, gateway=newer))
            return super().book(as_of)

    reconcile(wired(desk, gateway=Overtaken(orders=[report_of(order, "OPEN")])))

    order.refresh_from_db()
    assert (order.status, order.quantity, order.broker_status) == ("FILLED", 2, "COMPLETE")
    assert (order.filled_quantity, order.cancel_requested_at) == (2, None)
    assert kinds() == []


# --- Rows that make no sense ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("odd", ["no quantity", "a trade at nothing"])
def test_a_row_that_cannot_be_is_one_incident_and_the_others_are_taken_over_and_cancels_leave(
    desk, resting, wired, clock, odd
):
    over, working = resting(), resting()
    working.request_cancel(by="priya", reason="enough", at=clock())
    stranger = report_of(over, "OPEN", broker_order_id="X1", tag="", quantity=0 if odd == "no quantity" else 5)
    broker = BookGateway(
        orders=[stranger, report_of(over, "CANCELLED"), report_of(working, "OPEN")],
        trades=[trade_of(over, "T1", 5, "0", broker_order_id="X1")] if odd == "a trade at nothing" else [],
    )
    there = wired(desk, gateway=broker)

    for _ in range(3):
        reconcile(there)
    carry_out_cancels(there)

    over.refresh_from_db()
    assert over.status == "CANCELLED"
    assert broker.cancelled == [working.broker_order_id]
    incident = Incident.objects.get()
    assert (incident.kind, incident.stops_opening) == ("UNREADABLE_ROW", True)
    assert "X1" in incident.detail


def test_a_row_that_cannot_be_read_is_one_incident_and_the_others_are_taken_over(desk, resting, wired):
    order = resting()
    there = wired(desk, gateway=PartlyUnreadable(orders=[report_of(order, "CANCELLED")]))

    for _ in range(3):
        reconcile(there)

    order.refresh_from_db()
    assert order.status == "CANCELLED"
    incident = Incident.objects.get()
    assert (incident.kind, incident.count, incident.detail) == ("UNREADABLE_ROW", 3, "KeyError: 'order_id' in {}")


# --- Positions and fills ----------------------------------------------------------------------------------------------


def test_bids_resting_below_the_market_do_not_stack_past_the_position_limit(desk, wish, paper):
    """₹10,000 hold seven shares at 1,400.00, however much less a resting bid offers."""
    open_the_limits(position_value_max=Decimal(10_000))
    place(desk, wish(quantity=3))
    reconcile(desk)
    place(desk, wish(quantity=2, limit_price=Decimal("1370.00")))
    place(desk, wish(quantity=2, limit_price=Decimal("1365.00")))

    with pytest.raises(OrderDenied) as refused:
        decide_manual(desk, wish(quantity=1, limit_price=Decimal("1360.00")))

    assert [verdict["control"] for verdict in refused.value.decision.verdicts if not verdict["passed"]] == [
        "POSITION_VALUE_EXCEEDED"
    ]
    assert len(paper.accepted()) == 3


def test_a_position_is_recomputed_in_as_many_queries_for_many_orders_as_for_one(
    desk, held, django_assert_max_num_queries
):
    held(1)
    order, fill = Order.objects.get(), Fill.objects.get()
    for number in range(40):
        another = Order.objects.get(pk=order.pk)
        another.pk, another.decision = None, None
        another.client_order_id, another.broker_order_id = f"C{number}", f"B{number}"
        another.save(force_insert=True)
        Fill.objects.create(
            order=another, mode="PAPER", exchange="NSE", broker_order_id=f"B{number}", trade_id="T", quantity=1,
            price=1400, trading_date=fill.trading_date, filled_at=fill.filled_at, recorded_at=fill.recorded_at,
            source="BROKER",
        )  # fmt: skip

    with django_assert_max_num_queries(8):
        position = recompute_position(Line.of(order), now=desk.clock())

    assert position.quantity == 41


def test_every_further_partial_fill_leaves_an_event(desk, resting, wired):
    order = resting(quantity=5)
    broker = BookGateway(orders=[report_of(order, "OPEN")], trades=[trade_of(order, "T1", 2)])
    there = wired(desk, gateway=broker)
    reconcile(there)
    before = order.events.count()

    broker.trades.append(trade_of(order, "T2", 2))
    reconcile(there)
    reconcile(there)

    assert order.events.count() == before + 1
    assert order.events.last().note == "4 of 5 filled"
    assert statuses(order)[-2:] == ["PARTIALLY_FILLED", "PARTIALLY_FILLED"]


def test_a_difference_that_was_resolved_is_told_anew_only_when_it_changes(desk, held, paper, clock):
    held(5)
    place_elsewhere(paper, transaction_type="SELL", quantity=2, price=1395.0)
    for _ in range(3):
        reconcile(desk)
    told = Incident.objects.get(kind="POSITION_DIFFERENCE")
    told.resolve(by="priya", note="I sold two in the app", now=clock())

    for _ in range(3):
        reconcile(desk)
    assert not Incident.objects.unresolved().exists()

    place_elsewhere(paper, transaction_type="SELL", quantity=1, price=1395.0)
    for _ in range(3):
        reconcile(desk)

    anew = Incident.objects.unresolved().get()
    assert anew.title == "RELIANCE: our fills opened 5, the broker holds 2"
    assert (told.count, anew.count) == (1, 1)


# --- Cancels that come to nothing -------------------------------------------------------------------------------------


def test_the_cancel_of_yesterday_is_not_repeated(desk, resting, wired, clock):
    order = resting()
    order.request_cancel(by="priya", reason="enough", at=clock())
    broker = BookGateway()
    there = wired(desk, gateway=broker)
    clock.advance(days=1)

    for _ in range(10):
        clock.advance(seconds=30)
        reconcile(there)
        carry_out_cancels(there)

    assert broker.cancelled == []


def test_a_cancel_that_comes_to_nothing_is_repeated_less_and_less_often_and_every_minute_at_last(
    desk, resting, wired, clock
):
    order = resting()
    asked_at = clock()
    order.request_cancel(by="priya", reason="enough", at=asked_at)
    broker = BookGateway(orders=[report_of(order, "CANCEL PENDING")])
    there = wired(desk, gateway=broker)

    tried_after = []
    for _ in range(400):
        if carry_out_cancels(there):
            tried_after.append(clock() - asked_at)
        clock.advance(seconds=3)

    pauses = [later - earlier for earlier, later in itertools.pairwise(tried_after)]
    assert pauses[0] < timedelta(seconds=4)
    assert timedelta(seconds=60) < pauses[-1] < timedelta(seconds=64)
    assert all(later > earlier - timedelta(seconds=4) for earlier, later in itertools.pairwise(pauses))
    assert len(broker.cancelled) < 40
