"""What a comparison remembers changes nothing of what it finds: it is what a first comparison would find."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from orders.broker.gateway import BrokerBook, OrderReport, TradeReport
from orders.comparison import Believed, Comparison, Settled, compare

NOW = datetime(2026, 11, 23, 4, 30, tzinfo=UTC)
TODAY = NOW.date()

ORDERS = st.fixed_dictionaries(
    {
        "broker_order_id": st.sampled_from(["", "SIM"]),
        "status": st.sampled_from(["SUBMITTING", "OPEN", "PARTIALLY_FILLED", "FILLED", "CANCELLED", "REJECTED"]),
        "broker_status": st.sampled_from(["", "OPEN", "COMPLETE", "CANCELLED"]),
        "filled_quantity": st.integers(0, 2),
        "broker_fills": st.integers(0, 2),
        "price": st.sampled_from([Decimal(10), Decimal(11)]),
        "missed_at": st.sampled_from([None, None, NOW]),
        "cancel_requested_at": st.sampled_from([None, NOW]),
        "being_modified": st.booleans(),
    }
)
REPORTS = st.fixed_dictionaries(
    {
        "status": st.sampled_from(["OPEN", "COMPLETE", "CANCELLED", "REJECTED"]),
        "filled_quantity": st.integers(0, 2),
        "price": st.sampled_from([Decimal(10), Decimal(11)]),
    }
)
LOOKS = st.lists(st.tuples(ORDERS, REPORTS, st.integers(0, 2), st.booleans()), min_size=1, max_size=6)


def ours(number: int, order: dict) -> Believed:
    usual = {"pk": number, "client_order_id": f"T{number}", "trading_date": TODAY, "submitted_at": NOW}
    bound = {"broker_order_id": order["broker_order_id"] and f"SIM{number}"}
    return Believed(**usual | {"order_type": "LIMIT", "quantity": 2} | order | bound)


def theirs(number: int, report: dict) -> OrderReport:
    return OrderReport(
        broker_order_id=f"SIM{number}", tag=f"T{number}", status_message="", exchange="NSE", symbol="A", side="BUY",
        product="CNC", order_type="LIMIT", quantity=2, placed_at=NOW, **report,
    )  # fmt: skip


def traded(number: int, count: int) -> list[TradeReport]:
    return [
        TradeReport(
            trade_id=f"X{trade}", broker_order_id=f"SIM{number}", exchange="NSE", symbol="A", side="BUY", product="CNC",
            quantity=1, price=Decimal(10), filled_at=NOW,
        )
        for trade in range(count)
    ]  # fmt: skip


def found(look: tuple, settled: Settled) -> Comparison:
    order, report, trades, twice = look
    orders, reports = [ours(1, order), ours(2, order)], [theirs(1, report), *([theirs(2, report)] if twice else [])]
    book = BrokerBook(as_of=NOW, orders=tuple(reports), trades=tuple(traded(1, trades) + traded(2, trades)))
    return compare(orders, book, prefix="T", book_date=TODAY, absence_window=timedelta(seconds=120), settled=settled)


@given(looks=LOOKS)
def test_what_was_found_before_changes_nothing_of_what_is_found(looks):
    settled = Settled()
    for look in looks:
        for _ in ("first", "again"):
            assert found(look, settled) == found(look, Settled())


KNOWN = {
    "broker_order_id": "SIM", "status": "FILLED", "broker_status": "COMPLETE", "filled_quantity": 2, "broker_fills": 2,
    "price": Decimal(10), "missed_at": None, "cancel_requested_at": None, "being_modified": False,
}  # fmt: skip
TOLD = {"status": "COMPLETE", "filled_quantity": 2, "price": Decimal(10)}


def test_what_said_nothing_new_is_looked_at_again_once_either_side_says_something_else():
    settled = Settled()

    assert found((KNOWN, TOLD, 2, True), settled).matches == []
    assert len(found((KNOWN, TOLD | {"status": "CANCELLED"}, 2, True), settled).matches) == 2
    assert found((KNOWN, TOLD, 2, True), settled).matches == []
    assert len(found((KNOWN, TOLD, 1, True), settled).matches) == 2
    assert len(found((KNOWN | {"broker_status": "OPEN"}, TOLD, 2, True), settled).matches) == 2


def test_what_is_no_longer_believed_is_forgotten_once_it_is_most():
    settled = Settled()
    orders = [ours(number, KNOWN) for number in range(1, 6)]
    for order in orders:
        settled.has_all_of(order, theirs(order.pk, TOLD), tuple(traded(order.pk, 2)))

    settled.keep_only(orders[:3])
    assert len(settled) == 5, "less than twice as many as there are"
    settled.keep_only(orders[:2])
    assert len(settled) == 2
