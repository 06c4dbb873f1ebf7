"""The judge is judged: each thing that could go wrong with an order is found in what the witnesses say."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.soak.accounting import Bounds, Findings, compare
from tests.soak.witnesses import Statements, placed_orders

BOUNDS = Bounds(order_value_max=Decimal(3000), position_value_max=Decimal(2900), daily_trades_max=2)


def happening(event: str, order: int, **more: Any) -> dict[str, Any]:
    return {
        "event": event,
        "at": "2026-11-26T10:00:00+05:30",
        "order_id": f"SIM{order}",
        "tag": f"TAG{order}",
        "tradingsymbol": "RELIANCE",
        "transaction_type": "BUY",
        "quantity": 1,
        "price": 1400.0,
        "order_type": "LIMIT",
        "trade_id": str(order),
        "strike": None,
        **more,
    }


def bought(order: int, **more: Any) -> list[dict[str, Any]]:
    return [happening("accepted", order, **more), happening("filled", order, **more)]


def order_row(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": number,
        "client_order_id": f"TAG{number}",
        "broker_order_id": f"SIM{number}",
        "origin": "AUTO",
        "signal_id": number,
        "symbol": "RELIANCE",
        "side": "BUY",
        "quantity": 1,
        "status": "FILLED",
        "filled_quantity": 1,
        "cancel_requested_at": None,
        **changes,
    }


def event(order: int, after: str, at: str = "2026-11-26T04:29:59.9+00:00") -> dict[str, Any]:
    return {"order_id": order, "at": at, "actor": "executor", "before": "", "after": after, "note": ""}


def signal_row(message: bytes, **changes: Any) -> dict[str, Any]:
    raw = "\\x" + message.hex()
    return {"id": 1, "signal_id": "one", "raw": raw, "status": "APPROVED", "reason": "", "source": "STREAM", **changes}


@pytest.fixture
def heard() -> Callable[..., Statements]:
    """Return what all witnesses say of one signal that became one filled order; keywords change what one says."""

    def make(**changes: Any) -> Statements:
        message = json.dumps({"signal_id": "one"}).encode()
        said: dict[str, Any] = {
            "entries": [("1-0", message)],
            "ledger": [{"way": "stream", "id": "one", "raw": message.decode(), "entry": "1-0"}],
            "signals": [signal_row(message)],
            "orders": [order_row(1)],
            "fills": [{"broker_order_id": "SIM1", "trade_id": "1", "quantity": 1, "price": 1400.0, "source": "BROKER"}],
            "positions": [{"symbol": "RELIANCE", "quantity": 1}],
            "at_the_broker": {"RELIANCE": 1},
            "journal": bought(1),
            "incidents": [],
            "decisions": [],
            "modifications": [],
            "flattens": [],
            **changes,
        }
        said.setdefault("events", [event(row["id"], "SUBMITTING") for row in said["orders"]])
        return Statements(placed=placed_orders(said["journal"]), **said)

    return make


def findings(testimony: Statements, bounds: Bounds = BOUNDS) -> Findings:
    return compare(testimony, bounds)


def test_what_all_witnesses_tell_alike_is_clean(heard):
    assert findings(heard()) == Findings()


def test_a_stream_entry_without_a_row_is_lost(heard):
    assert findings(heard(signals=[])).lost


def test_a_stream_entry_with_two_rows_is_lost(heard):
    one = heard().signals[0]
    assert findings(heard(signals=[one, one])).lost


def test_a_signal_that_was_never_concluded_is_lost(heard):
    waiting = {**heard().signals[0], "status": "RECEIVED"}
    assert findings(heard(signals=[waiting])).lost


def test_an_entry_that_the_stream_acknowledged_and_forgot_is_lost(heard):
    assert findings(heard(entries=[])).lost


def test_an_order_at_the_broker_without_a_row_is_lost(heard):
    assert findings(heard(orders=[])).lost


def test_two_orders_with_one_tag_are_a_duplicate(heard):
    journal = [*bought(1), *bought(2, tag="TAG1")]
    assert findings(heard(journal=journal)).duplicated


def test_two_orders_of_one_signal_are_a_duplicate(heard):
    orders = [order_row(1), order_row(2, signal_id=1)]
    assert findings(heard(journal=[*bought(1), *bought(2)], orders=orders)).duplicated


@pytest.mark.parametrize("rows", [[], [order_row(1, status="WITHDRAWN", filled_quantity=0, broker_order_id="")]])
def test_an_approved_signal_whose_order_never_left_is_lost(heard, rows):
    nothing = {"orders": rows, "journal": [], "fills": [], "positions": [], "at_the_broker": {}}
    assert findings(heard(**nothing)).lost


@pytest.mark.parametrize(
    "changes",
    [{"status": "NOT_PLACED"}, {"status": "REJECTED"}, {"status": "WITHDRAWN", "cancel_requested_at": "10:00"}],
)
def test_an_approved_signal_whose_order_ended_for_a_reason_is_not_lost(heard, changes):
    ended = order_row(1, filled_quantity=0, broker_order_id="", **changes)
    assert findings(heard(orders=[ended], journal=[], fills=[], positions=[], at_the_broker={})).clean


def test_two_orders_by_hand_are_no_duplicate(heard):
    orders = [order_row(1, signal_id=None), order_row(2, signal_id=None)]
    assert not findings(heard(journal=[*bought(1), *bought(2)], orders=orders)).duplicated


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "IN_DOUBT"},
        {"status": "OPEN"},
        {"status": "CANCELLED"},
        {"filled_quantity": 0},
        {"broker_order_id": "SIM9"},
        {"quantity": 2},
        {"origin": "EXTERNAL"},
    ],
    ids=str,
)
def test_an_order_that_differs_from_the_journal_is_unexplained(heard, changes):
    assert findings(heard(orders=[order_row(1, **changes)])).unexplained


@pytest.mark.parametrize("told", [[], [event(1, "PENDING")], [event(1, "SUBMITTING", "2026-11-26T04:30:00.1+00:00")]])
def test_an_order_that_was_not_written_down_before_the_broker_had_it_is_unexplained(heard, told):
    assert findings(heard(events=told)).unexplained


@pytest.mark.parametrize("wrong", ["REJECTED", "NOT_PLACED", "WITHDRAWN"])
def test_an_order_that_was_called_ended_although_the_broker_had_it_is_unexplained(heard, wrong):
    events = [event(1, "SUBMITTING"), event(1, wrong, "2026-11-26T04:30:01+00:00"), event(1, "FILLED")]
    assert findings(heard(events=events)).unexplained


def test_an_order_that_the_broker_rejected_may_be_called_so(heard):
    rejected = [happening("accepted", 1), happening("rejected", 1)]
    row = order_row(1, status="REJECTED", filled_quantity=0)
    events = [event(1, "SUBMITTING"), event(1, "REJECTED")]
    testimony = heard(journal=rejected, orders=[row], events=events, fills=[], positions=[], at_the_broker={})
    assert findings(testimony).clean


@pytest.mark.parametrize(("kind", "right"), [("error_429_after", True), ("error_504_after", False)])
def test_only_an_order_that_the_broker_denied_may_have_been_called_rejected(heard, kind, right):
    fault = {"event": "fault", "route": "place", "fault": f"place:{kind}", "strike": 7}
    events = [event(1, "SUBMITTING"), event(1, "REJECTED"), event(1, "FILLED")]
    assert findings(heard(journal=[fault, *bought(1, strike=7)], events=events)).clean is right
    assert not findings(heard(journal=[fault, *bought(1)], events=events)).clean  # it struck another


@pytest.mark.parametrize(("seconds", "right"), [(4.9, False), (5, True)])
def test_only_an_order_that_was_hidden_for_long_may_have_been_called_not_placed(heard, seconds, right):
    fault = {"event": "fault", "route": "place", "fault": f"place:drop_after:hide_seconds={seconds}", "strike": 7}
    events = [event(1, "SUBMITTING"), event(1, "NOT_PLACED"), event(1, "FILLED")]
    assert findings(heard(journal=[fault, *bought(1, strike=7)], events=events)).clean is right
    assert not findings(heard(journal=[fault, *bought(1)], events=events)).clean  # it struck another


@pytest.mark.parametrize(("status", "count"), [("NOT_PLACED", 0), ("WITHDRAWN", 0), ("REJECTED", 0), ("IN_DOUBT", 1)])
def test_an_order_that_never_arrived_must_have_ended_so(heard, status, count):
    never = order_row(2, status=status, filled_quantity=0, broker_order_id="")
    assert len(findings(heard(orders=[order_row(1), never])).unexplained) == count


def test_a_fill_that_is_missing_or_another_or_double_is_unexplained(heard):
    fill = heard().fills[0]
    for fills in ([], [fill, fill], [{**fill, "price": 1401.0}]):
        assert findings(heard(fills=fills)).unexplained


def test_a_fill_by_hand_is_not_the_brokers(heard):
    fill = heard().fills[0]
    assert findings(heard(fills=[fill, {**fill, "source": "HAND", "trade_id": "HAND-1"}])).clean


def test_a_position_that_differs_is_unexplained(heard):
    assert findings(heard(positions=[{"symbol": "RELIANCE", "quantity": 2}])).unexplained
    assert findings(heard(at_the_broker={})).unexplained


def test_an_incident_that_still_stops_opening_is_unexplained(heard):
    incident = {"kind": "OVERFILL", "title": "", "stops_opening": True, "status": "ACKNOWLEDGED"}
    assert findings(heard(incidents=[incident])).unexplained
    assert findings(heard(incidents=[{**incident, "status": "RESOLVED"}])).clean


def breaches(journal: list[dict[str, Any]], heard: Callable[..., Statements], **bounds: Any) -> list[str]:
    return findings(heard(journal=journal), replace(BOUNDS, **bounds)).limit_breaches


def test_two_shares_are_at_the_limit_of_a_position_and_three_are_past_it(heard):
    assert breaches([*bought(1), *bought(2)], heard) == []
    assert len(breaches([*bought(1), *bought(2), *bought(3)], heard, daily_trades_max=3)) == 1


def test_an_order_that_works_counts_for_the_position_and_one_that_ended_does_not(heard):
    resting = [happening("accepted", 1), happening("accepted", 2), happening("accepted", 3)]
    assert len(breaches(resting, heard, daily_trades_max=3)) == 1
    ended = [*resting[:2], happening("cancelled", 1), resting[2]]
    assert breaches(ended, heard, daily_trades_max=3) == []


def test_one_order_too_many_or_too_large_is_a_breach(heard):
    two = [*bought(1), *bought(2)]
    assert len(breaches(two, heard, daily_trades_max=1)) == 1
    assert breaches(bought(1), heard, order_value_max=Decimal(1400)) == []
    assert len(breaches(bought(1), heard, order_value_max=Decimal("1399.99"))) == 1


def test_a_sale_is_one_of_the_days_trades_and_no_breach_itself(heard):
    sold = [happening("accepted", 2, transaction_type="SELL"), happening("filled", 2, transaction_type="SELL")]
    assert len(breaches([*bought(1), *sold, *bought(3)], heard)) == 1
    assert breaches([*bought(1), *bought(3), *sold], heard) == []


def test_trades_are_counted_in_the_order_they_were_decided_in(heard):
    """A sale may overtake a buy on the way to the broker."""
    sold = [happening("accepted", 3, transaction_type="SELL"), happening("filled", 3, transaction_type="SELL")]
    rows = [order_row(1), order_row(2), order_row(3, side="SELL")]
    assert findings(heard(journal=[*bought(1), *sold, *bought(2)], orders=rows)).limit_breaches == []


def test_an_order_that_was_hidden_for_long_is_not_held_against_the_position(heard):
    fault = {"event": "fault", "route": "place", "fault": "place:drop_after:hide_seconds=9.0", "strike": 7}
    shortly = {**fault, "fault": "place:drop_after:hide_seconds=2.0"}
    three = [*bought(2), *bought(3)]
    assert breaches([fault, *bought(1, strike=7), *three], heard, daily_trades_max=3) == []
    assert len(breaches([shortly, *bought(1, strike=7), *three], heard, daily_trades_max=3)) == 1


def modification(quantity: int, **changes: Any) -> dict[str, Any]:
    usual = {"id": 7, "broker_order_id": "SIM1", "quantity": quantity, "price": 1400.0, "state": "TOOK_EFFECT"}
    return {**usual, "sent_at": "2026-11-26T04:29:59.9+00:00", **changes}


def modified(heard: Callable[..., Statements], *rows: dict[str, Any], quantity: int = 2) -> Findings:
    """Return what is found of an order that is modified to two shares and filled, and of our rows about it."""
    journal = [
        happening("accepted", 1),
        happening("modified", 1, quantity=quantity),
        happening("filled", 1, quantity=quantity),
    ]
    row = order_row(1, quantity=quantity, filled_quantity=quantity)
    fills = [{**heard().fills[0], "quantity": quantity}]
    held = {
        "positions": [{"symbol": "RELIANCE", "quantity": quantity}],
        "at_the_broker": {"RELIANCE": quantity},
    }
    return findings(heard(journal=journal, orders=[row], fills=fills, modifications=list(rows), **held))


def test_a_modification_that_was_written_down_sent_once_and_holds_is_clean(heard):
    assert modified(heard, modification(2)) == Findings()


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [modification(3)],
        [modification(2, sent_at=None)],
        [modification(2, sent_at="2026-11-26T04:30:00.1+00:00")],
        [modification(2, state="DID_NOT")],
        [modification(2, state="IN_DOUBT")],
        [modification(2), modification(2, id=8)],
    ],
)
def test_a_modification_that_the_broker_and_we_tell_differently_is_unexplained(heard, rows):
    assert modified(heard, *rows).unexplained


def test_an_order_that_grows_beyond_a_limit_is_a_breach(heard):
    assert modified(heard, modification(2)).limit_breaches == []
    assert len(modified(heard, modification(3), quantity=3).limit_breaches) == 2  # of the order, and of the position


def test_what_is_sold_twice_is_a_duplicate(heard):
    sales = [happening("accepted", number, transaction_type="SELL") for number in (2, 3)]
    assert not findings(heard(journal=[*bought(1), sales[0]])).duplicated
    assert len(findings(heard(journal=[*bought(1), *sales])).duplicated) == 1
    assert not findings(heard(journal=[*bought(1), sales[0], {**sales[0], "event": "cancelled"}, sales[1]])).duplicated


def test_a_flatten_that_never_ended_is_unexplained(heard):
    flatten = {"state": "UNDER_WAY", "asked_by": "operator", "outcome": ""}
    assert findings(heard(flattens=[flatten])).unexplained
    assert findings(heard(flattens=[{**flatten, "state": "INCOMPLETE"}])).clean


def test_what_nobody_heard_on_the_channel_is_told_apart(heard):
    ledger = [{"way": "channel", "id": "unheard", "raw": '{"signal_id": "unheard"}', "entry": ""}]
    found = findings(heard(ledger=ledger))
    assert found.pubsub_missed == ["unheard"]
    assert found.clean
