"""Orders taken over together: row for row what taking each over by itself writes, whatever the book says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from orders import plain_matches, reconciliation
from orders.lifecycle import OrderStatus
from orders.models import (
    BrokerMessage,
    Decision,
    Fill,
    MissedExit,
    Order,
    OrderEvent,
    OrderModification,
    Position,
    Signal,
)
from orders.plain_matches import RUN_MAX
from orders.reconciliation import reconcile
from risk.models import Incident, TradingControl

from .reckoned import check_the_book
from .stand_ins import BookGateway, report_of, trade_of
from .test_positions_exactly import taken_back

NOW = datetime(2026, 11, 23, 4, 30, tzinfo=UTC)
EARLIER = NOW - timedelta(minutes=5)
ALONE = 10**9  # so many that none are ever taken over together


# --- A drawn book -----------------------------------------------------------------------------------------------------

PLAINLY = {
    "status": "OPEN", "side": "BUY", "symbol": "A", "bound": True, "broker_status": "OPEN", "known": 0, "by_hand": 0,
    "origin": "AUTO", "signal": "BUY", "wished": "", "modified": "", "moment": "", "stranger": False, "waits": False,
    "says": "OPEN", "trades": (), "terms": "same", "clash": False, "odd_trade": False, "message": "",
}  # fmt: skip
DRAWN = st.fixed_dictionaries(
    {
        "status": st.sampled_from(["OPEN"] * 6 + sorted(OrderStatus.values)),
        "side": st.sampled_from(["BUY", "BUY", "SELL"]),
        "symbol": st.sampled_from("AB"),
        "bound": st.sampled_from([True, True, True, False]),
        "broker_status": st.sampled_from(["", "OPEN", "OPEN", "COMPLETE"]),
        "known": st.integers(0, 2),
        "by_hand": st.sampled_from([0, 0, 0, 0, 3, 9]),
        "origin": st.sampled_from(["AUTO"] * 5 + ["MANUAL", "EXTERNAL"]),
        "signal": st.sampled_from(["BUY", "BUY", "SELL"]),
        "wished": st.sampled_from(["", "", "", "asked", "tried"]),
        "modified": st.sampled_from(["", "", "", "", "ACCEPTED", "TOOK_EFFECT", "WITHDRAWN"]),
        "moment": st.sampled_from(["", "", "", "book", "later book", "ended later", "missed"]),
        "stranger": st.sampled_from([False] * 7 + [True]),
        "waits": st.sampled_from([False] * 7 + [True]),
        "says": st.sampled_from(["OPEN", "COMPLETE", "COMPLETE", "CANCELLED", "REJECTED", "TRIGGER PENDING"]),
        "trades": st.lists(st.sampled_from([1, 2, 4, 10]), max_size=4).map(tuple),
        "terms": st.sampled_from(["same"] * 6 + ["quantity", "price"]),
        "clash": st.sampled_from([False] * 9 + [True]),
        "odd_trade": st.sampled_from([False] * 9 + [True]),
        "message": st.sampled_from(["", "", "so it is"]),
    }
)


def lay_out(drawn: list[dict[str, Any]], broker: BookGateway) -> None:
    for number, each in enumerate(drawn):
        order = make(number, each)
        if each["stranger"] and not order.broker_order_id:
            make(1000 + number, {**PLAINLY, "origin": "EXTERNAL", "symbol": each["symbol"]}, f"SIM{number}")
        quantity, price = 10 + (each["terms"] == "quantity"), Decimal(100 + (each["terms"] == "price"))
        trades = tuple(
            trade_of(order, f"T{trade}", shares, "100.5", broker_order_id=f"SIM{number}", filled_at=EARLIER)
            for trade, shares in enumerate(each["trades"])
        )
        if each["odd_trade"]:
            trades += (trade_of(order, "ODD", 0, broker_order_id=f"SIM{number}"),)
        if each["clash"] and each["trades"] and not each["known"]:
            other = make(2000 + number, {**PLAINLY, "symbol": "C"})
            save_fill(other, f"SIM{number}", "T0", trades[0].quantity)
        report = report_of(
            order, each["says"], broker_order_id=f"SIM{number}", quantity=quantity, price=price,
            status_message=each["message"], filled_quantity=sum(each["trades"]),
        )  # fmt: skip
        broker.orders.append(replace(report, raw=f"{number} is {each['says']}"))
        broker.trades += trades


def make(number: int, each: dict[str, Any], broker_order_id: str = "") -> Order:
    ours = each["origin"] != "EXTERNAL"
    signal = None
    if ours and each["origin"] == "AUTO":
        signal = Signal.objects.create(
            mode="PAPER", signal_id=f"s{number}", digest="x", source="CHANNEL", raw=b"", received_at=EARLIER,
            signal_type=each["signal"], exchange="NSE", symbol=each["symbol"], status="APPROVED",
        )  # fmt: skip
    ended = each["status"] in {"FILLED", "CANCELLED", "REJECTED", "NOT_PLACED", "WITHDRAWN"}
    order = Order.objects.create(
        mode="PAPER", client_order_id=f"order{number}" if ours else None, origin=each["origin"], signal=signal,
        broker_order_id=broker_order_id or (f"SIM{number}" if each["bound"] or not ours else ""), exchange="NSE",
        symbol=each["symbol"], product="CNC", side=each["side"], order_type="LIMIT", quantity=10, price=Decimal(100),
        status=each["status"], broker_status=each["broker_status"], trading_date=NOW.date(), created_at=EARLIER,
        submitted_at=EARLIER, filled_quantity=min(10, each["known"]) if each["known"] else 0,
        cancel_requested_at=EARLIER if each["wished"] else None, cancel_requested_by="x" if each["wished"] else "",
        cancel_tried_at=EARLIER if each["wished"] == "tried" else None,
        ended_at=(NOW + timedelta(seconds=1) if each["moment"] == "ended later" else EARLIER) if ended else None,
        book_as_of={"book": EARLIER, "later book": NOW + timedelta(seconds=1)}.get(each["moment"]),
        missed_at=EARLIER if each["moment"] == "missed" else None,
    )  # fmt: skip
    for fill in range(each["known"]):
        save_fill(order, order.broker_order_id or f"SIM{number}", f"T{fill}", 1)
    if each["by_hand"]:
        save_fill(order, "", f"hand{number}", each["by_hand"], source="HAND", recorded_by="tara")
    if each["modified"] and ours:
        modify(order, each["modified"])
    if each["waits"] and signal is not None:
        MissedExit.objects.create(
            mode="PAPER", signal=signal, exchange="NSE", symbol=each["symbol"], why="it was off", at=EARLIER
        )
    return order


def save_fill(order: Order, broker_order_id: str, trade_id: str, quantity: int, **changes: Any) -> None:
    usual = {"trading_date": NOW.date(), "filled_at": EARLIER, "recorded_at": EARLIER, "source": "BROKER"}
    Fill.objects.create(
        order=order, mode="PAPER", exchange="NSE", broker_order_id=broker_order_id, trade_id=trade_id,
        quantity=quantity, price=Decimal("100.5"), **{**usual, **changes},
    )  # fmt: skip


def modify(order: Order, state: str) -> None:
    decision = Decision.objects.create(
        mode="PAPER", exchange="NSE", symbol="A", outcome="APPROVED", at=NOW, facts={}, verdicts=[],
        limits_version=1, control_version=1,
    )  # fmt: skip
    OrderModification.objects.create(
        order=order, decision=decision, token=f"m {order.client_order_id}", asked_by="tara", reason="x",
        quantity_before=10, price_before=100, quantity=12, price=100, state=state, written_at=EARLIER, sent_at=EARLIER,
        ended_at=None if state == "ACCEPTED" else EARLIER,
    )  # fmt: skip


# --- All that was written, without the numbers of rows ----------------------------------------------------------------

NUMBERS = {"id", "order_id", "signal_id", "decision_id", "position_id"}


def written() -> dict[str, list[Any]]:
    """Return every row of the book by what identifies it, all times included: the clock stands still."""
    name = {order.pk: order.client_order_id or order.broker_order_id for order in Order.objects.all()}
    of_order: dict[str, list[Any]] = {}
    for model in (OrderEvent, BrokerMessage, OrderModification):
        rows = [(name[row["order_id"]], bare(row)) for row in model.objects.order_by("order", "id").values()]
        of_order[model.__name__] = sorted(rows, key=lambda row: row[0])  # each order's own in their order
    fills = [(name[row["order_id"]], row["trade_id"], bare(row)) for row in Fill.objects.order_by("id").values()]
    return {
        **of_order,
        "Fill": sorted(fills, key=lambda row: row[:2]),
        "Order": [
            bare(row) for row in Order.objects.order_by("created_at", "client_order_id", "broker_order_id").values()
        ],
        "Position": [bare(row) for row in Position.objects.order_by("symbol").values()],
        "Incident": [bare(row) for row in Incident.objects.order_by("fingerprint", "id").values()],
        "MissedExit": [bare(row) for row in MissedExit.objects.order_by("signal__signal_id").values()],
        "Signal": [bare(row) for row in Signal.objects.order_by("signal_id").values("status", "reason", "symbol")],
        "TradingControl": [bare(row) for row in TradingControl.objects.order_by("mode").values()],
    }


def bare(row: dict[str, Any]) -> dict[str, Any]:
    detail = {"detail": row["detail"].split("\n")[0].split("(")[0]} if "detail" in row else {}  # ids of rows refused
    return {name: value for name, value in {**row, **detail}.items() if name not in NUMBERS}


def after_reading(desk: Any, wired: Any, drawn: list[dict[str, Any]], together_min: int) -> tuple[Any, list[str], int]:
    """Lay the book out, read it twice, and return what was written, what was cancelled, and how many were together."""
    with taken_back(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(reconciliation, "TOGETHER_MIN", together_min)
        alone: list[int] = []
        by_itself = reconciliation._take_over
        patch.setattr(reconciliation, "_take_over", lambda *all: (alone.append(1), by_itself(*all))[1])
        broker = BookGateway()
        lay_out(drawn, broker)
        clock = [NOW]
        there = wired(desk, gateway=broker, clock=lambda: clock[0])
        for _ in range(2):
            reconcile(there)
            clock[0] += timedelta(seconds=2)
        check_the_book()
        return written(), broker.cancelled, len(alone)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.lists(DRAWN, min_size=2, max_size=5))
@example(drawn=[{**PLAINLY, "says": "COMPLETE", "trades": (10,)}, {**PLAINLY, "says": "COMPLETE", "trades": (10,)}])
@example(drawn=[{**PLAINLY, "says": "CANCELLED", "trades": (4,)}, {**PLAINLY, "trades": (4, 2), "known": 1}])
@example(drawn=[{**PLAINLY, "trades": (10,), "odd_trade": True}, {**PLAINLY, "says": "COMPLETE", "trades": (10,)}])
@example(drawn=[{**PLAINLY, "trades": (10,), "clash": True}, {**PLAINLY, "says": "COMPLETE", "trades": (10,)}])
def test_together_they_are_written_as_each_by_itself(desk, wired, drawn):
    one_by_one, cancelled, _ = after_reading(desk, wired, drawn, ALONE)
    together, cancelled_together, _ = after_reading(desk, wired, drawn, 2)

    assert together == one_by_one
    assert sorted(cancelled_together) == sorted(cancelled)


# --- What is plain, and what it costs ---------------------------------------------------------------------------------

PLAIN = [
    {"says": "COMPLETE", "trades": (10,)},
    {"says": "COMPLETE", "trades": (4, 2)},
    {"says": "OPEN", "trades": (4,), "known": 0},
    {"says": "OPEN", "trades": (), "broker_status": ""},
    {"status": "SUBMITTING", "bound": False, "broker_status": ""},
    {"status": "FILLED", "known": 0, "says": "COMPLETE", "trades": (10,)},
    {"says": "CANCELLED", "trades": (4,)},
    {"says": "CANCELLED", "wished": "asked"},
    {"wished": "tried", "trades": (1,)},
    {"modified": "TOOK_EFFECT", "trades": (1,)},
    {"moment": "missed", "trades": (1,)},
]
ODD = [
    {"says": "REJECTED"},
    {"says": "CANCELLED", "signal": "SELL"},
    {"says": "OPEN", "trades": (10,), "status": "FILLED", "known": 0, "terms": "quantity"},
    {"trades": (10, 1)},
    {"by_hand": 3, "trades": (1,)},
    {"origin": "EXTERNAL", "trades": (1,)},
    {"wished": "asked", "trades": (1,)},
    {"modified": "ACCEPTED", "trades": (1,)},
    {"moment": "later book", "trades": (1,)},
    {"status": "FILLED", "moment": "ended later", "says": "COMPLETE", "trades": (10,)},
    {"status": "FILLED", "broker_status": "", "trades": (9,)},
    {"status": "CANCELLED", "says": "CANCELLED", "trades": (1,)},
    {"status": "IN_DOUBT", "bound": False},
    {"status": "PENDING", "bound": False},
    {"status": "REJECTED", "bound": False},
    {"status": "WITHDRAWN", "bound": False},
    {"stranger": True, "bound": False, "broker_status": ""},
    {"terms": "price", "trades": (1,)},
    {"terms": "quantity", "broker_status": ""},
    {"waits": True, "trades": (1,)},
]


@pytest.mark.parametrize(("drawn", "alone"), [*((each, 0) for each in PLAIN), *((each, 1) for each in ODD)], ids=str)
def test_what_is_plain_goes_together_and_whatever_is_odd_by_itself(desk, wired, drawn, alone):
    another = {**PLAINLY, "symbol": "B", "says": "COMPLETE", "trades": (10,)}
    book = [another, {**PLAINLY, **drawn}]

    found, _, by_itself = after_reading(desk, wired, book, 2)

    assert min(by_itself, 1) == alone
    assert found == after_reading(desk, wired, book, ALONE)[0]


def statements_of(desk, wired, count: int) -> int:
    with taken_back():
        broker = BookGateway()
        lay_out([{**PLAINLY, "says": "COMPLETE", "trades": (10,)}] * count, broker)
        there = wired(desk, gateway=broker, clock=lambda: NOW)
        with CaptureQueriesContext(connection) as captured:
            reconcile(there)
        assert Order.objects.filter(status="FILLED").count() == count
    return len(captured)


def test_a_run_of_one_symbol_asks_no_more_for_many_orders_than_for_few(desk, wired):
    assert statements_of(desk, wired, 40) == statements_of(desk, wired, reconciliation.TOGETHER_MIN)


def test_a_row_that_is_refused_keeps_no_run_from_being_taken_over(desk, wired):
    """The run with it is taken over one by one, the next one together."""
    plain = {**PLAINLY, "says": "COMPLETE", "trades": (10,)}
    drawn = [{**plain, "odd_trade": number == 3} for number in range(RUN_MAX)] + [{**plain, "symbol": "B"}] * 3

    found, _, by_itself = after_reading(desk, wired, drawn, 2)

    assert [row["status"] for row in found["Order"]].count("FILLED") == RUN_MAX + 2
    assert [row["kind"] for row in found["Incident"]] == ["UNREADABLE_ROW"]
    assert by_itself == RUN_MAX + 1, "the refused one is tried again at the second read"


def test_an_order_that_moves_without_the_lock_is_not_moved_over(desk, wired, monkeypatch):
    """All writers hold the lock; should one not, the run is taken back, and each order looked at anew."""
    write = plain_matches.write_columns

    def moved_before(orders, *what, **how):
        Order.objects.filter(pk=orders[0].pk).update(status="CANCELLED")
        return write(orders, *what, **how)

    monkeypatch.setattr(plain_matches, "write_columns", moved_before)
    book = [{**PLAINLY, "says": "COMPLETE", "trades": (10,)}] * 2

    found, _, by_itself = after_reading(desk, wired, book, 2)

    assert by_itself == 2
    assert found == after_reading(desk, wired, book, ALONE)[0]
