"""The comparison of the witnesses. Each finding is one sentence that names the signal or the order it is about."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.soak.prices import PRICES
from tests.soak.witnesses import Placed, Statements, net_by_symbol

NOT_AT_THE_BROKER = {"WITHDRAWN", "NOT_PLACED", "REJECTED"}
READ_SECONDS = 3.0  # in which a book that shows an order is read and taken over, take-overs of the lead included
SURE_REFUSAL = "error_429_after"  # the one fault of the plan that says "not placed" of an order it placed
HIDDEN_SECONDS_MIN = 5.0  # an order hidden for longer may be taken for not placed, and counts again only when it shows


@dataclass(kw_only=True)
class Findings:
    """What differs, by kind; all four are empty when no order was lost, doubled or unexplained and every limit held."""

    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    limit_breaches: list[str] = field(default_factory=list)
    pubsub_missed: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not (self.lost or self.duplicated or self.unexplained or self.limit_breaches)


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The limits that were set, for the journal to be held against. Money is INR."""

    order_value_max: Decimal
    position_value_max: Decimal
    daily_trades_max: int


def compare(heard: Statements, bounds: Bounds) -> Findings:
    """Return everything that differs."""
    found = Findings()
    _signals(heard, found)
    _approved(heard, found)
    _sent_once(heard, found)
    _orders(heard, found)
    _histories(heard, found)
    _modifications(heard, found)
    _flattens(heard, found)
    _fills(heard, found)
    _positions(heard, found)
    _limits(heard, bounds, found)
    _sold_once(heard, found)
    return found


def _signals(heard: Statements, found: Findings) -> None:
    """Each stream entry has exactly one concluded row; what the publisher was told is in the stream is there."""
    rows_of = _rows_by_message(heard)
    for entry_id, message in heard.entries:
        rows = rows_of[_identity(message)]
        if len(rows) != 1:
            found.lost.append(f"stream entry {entry_id} ({message[:200]!r}) has {len(rows)} rows")
        elif rows[0]["status"] == "RECEIVED":
            found.lost.append(f"signal {rows[0]['signal_id']} was never concluded: {rows[0]['reason']}")
    there = {entry_id for entry_id, _ in heard.entries}
    for said in heard.ledger:
        if said["way"] == "stream" and said["entry"] not in there:
            found.lost.append(f"stream entry {said['entry']} was published and is gone")
        if said["way"] == "channel" and not rows_of[_identity(said["raw"].encode())]:
            found.pubsub_missed.append(said["id"] or said["raw"])
    for row in heard.signals:
        if row["status"] == "FAILED" and "defect" in row["reason"]:
            found.unexplained.append(f"signal {row['signal_id']} failed: {row['reason']}")
        if row["status"] == "RECEIVED" and row["source"] != "STREAM":
            found.unexplained.append(f"signal {row['signal_id']} was never concluded: {row['reason']}")


def _approved(heard: Statements, found: Findings) -> None:
    """An approved signal has an order that left, or that somebody wished cancelled before it could."""
    left = {
        row["signal_id"]
        for row in heard.orders
        if row["status"] != "WITHDRAWN" or row["cancel_requested_at"] is not None
    }
    for row in heard.signals:
        if row["status"] == "APPROVED" and row["id"] not in left:
            found.lost.append(f"signal {row['signal_id']} was approved, and no order of it ever left")


def _rows_by_message(heard: Statements) -> dict[bytes, list[dict[str, Any]]]:
    """Return our rows by what identifies a message: the publisher's id, or the bytes of a malformed one."""
    rows: dict[bytes, list[dict[str, Any]]] = defaultdict(list)
    for row in heard.signals:
        rows[_identity(bytes.fromhex(row["raw"].removeprefix("\\x")))].append(row)
    return rows


def _identity(message: bytes) -> bytes:
    try:
        return json.loads(message)["signal_id"].encode()
    except ValueError:
        return message


def _sent_once(heard: Statements, found: Findings) -> None:
    by_tag = {row["client_order_id"]: row for row in heard.orders if row["client_order_id"]}
    tags = Counter(order.tag for order in heard.placed.values())
    for tag, count in tags.items():
        if count > 1:
            found.duplicated.append(f"the broker took {count} orders with the tag {tag}")
        if tag not in by_tag:
            found.lost.append(f"the broker took an order with the tag {tag!r}, and there is no row of it")
    of_signal = Counter(by_tag[tag]["signal_id"] for tag in tags if tag in by_tag and by_tag[tag]["signal_id"])
    for signal, count in of_signal.items():
        if count > 1:
            found.duplicated.append(f"the broker took {count} orders of the signal in row {signal}")


def _orders(heard: Statements, found: Findings) -> None:
    by_tag = {order.tag: order for order in heard.placed.values()}
    for row in heard.orders:
        name = f"order {row['client_order_id'] or row['broker_order_id']} ({row['status']})"
        if row["origin"] == "EXTERNAL":
            found.unexplained.append(f"{name} is taken for somebody else's, and nobody else trades here")
            continue
        placed = by_tag.get(row["client_order_id"])
        if placed is None:
            if row["status"] not in NOT_AT_THE_BROKER or row["filled_quantity"]:
                found.unexplained.append(f"{name}: the broker never took it")
        elif differs := _difference(row, placed):
            found.unexplained.append(f"{name}: {differs}")


def _histories(heard: Statements, found: Findings) -> None:
    """
    What the broker took was written down before, and nobody called it over while the broker had it.

    The book repairs both in the end, so the last word on the order does not show them.
    """
    placed = {order.tag: order for order in heard.placed.values()}
    hidden, denied = hidden_orders(heard.journal), denied_orders(heard.journal)
    told: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for event in heard.events:
        told[event["order_id"]].append(event)
    for row in heard.orders:
        order = placed.get(row["client_order_id"])
        if order is None:
            continue
        name, events = f"order {order.tag}", told[row["id"]]
        sending = [datetime.fromisoformat(each["at"]) for each in events if each["after"] == "SUBMITTING"]
        if not sending or min(sending) > datetime.fromisoformat(order.at):
            found.unexplained.append(f"{name}: the broker had it before it was written down as being sent")
        refused = "rejected" in order.ended or order.broker_order_id in denied
        allowed = {"REJECTED"} if refused else set()
        allowed |= {"NOT_PLACED"} if order.broker_order_id in hidden else set()
        for wrong in {each["after"] for each in events} & NOT_AT_THE_BROKER - allowed:
            found.unexplained.append(f"{name} was called {wrong}, and the broker had it")


def _modifications(heard: Statements, found: Findings) -> None:
    """Each change of terms at the broker was written down as being sent before, sent once, and shown to have held."""
    sent: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in heard.modifications:
        sent[row["broker_order_id"], row["quantity"], Decimal(str(row["price"]))].append(row)
        if row["state"] in {"WISHED", "SENDING", "ACCEPTED", "IN_DOUBT"}:
            found.unexplained.append(f"modification {row['id']} never ended: {row['state']}")
    for event in heard.journal:
        if event["event"] != "modified":
            continue
        name = f"modification of {event['order_id']} to {event['quantity']} at {event['price']}"
        rows = sent[event["order_id"], event["quantity"], Decimal(str(event["price"]))]
        at = datetime.fromisoformat(event["at"])
        before = [row for row in rows if row["sent_at"] and datetime.fromisoformat(row["sent_at"]) <= at]
        if not before:
            more = f", and {len(rows)} are here" if rows else ""
            found.unexplained.append(f"{name}: the broker had it before it was written down as being sent{more}")
            continue
        rows.remove(before[0])
        if before[0]["state"] != "TOOK_EFFECT":
            found.unexplained.append(f"{name} was called {before[0]['state']}, and it holds at the broker")
    for rows in sent.values():
        for row in rows:
            if row["state"] == "TOOK_EFFECT":
                found.unexplained.append(f"modification {row['id']} is said to hold, and the broker never had it")


def _flattens(heard: Statements, found: Findings) -> None:
    """A flatten came to its end."""
    for row in heard.flattens:
        if row["state"] == "UNDER_WAY":
            found.unexplained.append(f"the flatten by {row['asked_by']} never ended")


def _difference(row: dict[str, Any], placed: Placed) -> str:
    if row["broker_order_id"] != placed.broker_order_id:
        return f"bound to {row['broker_order_id']!r}, and the broker's id is {placed.broker_order_id}"
    if row["filled_quantity"] != placed.filled:
        return f"{row['filled_quantity']} shares filled here, {placed.filled} at the broker"
    if (row["symbol"], row["side"], row["quantity"]) != (placed.symbol, placed.side, placed.quantity):
        return f"other terms than the broker's {placed.side} {placed.quantity} {placed.symbol}"
    wanted = "FILLED" if placed.filled >= placed.quantity else placed.ended[-1].upper() if placed.ended else "an end"
    return "" if row["status"] == wanted else f"the broker says {wanted}"


def _fills(heard: Statements, found: Findings) -> None:
    theirs = {
        (order.broker_order_id, trade, shares, price)
        for order in heard.placed.values()
        for trade, shares, price in order.fills
    }
    ours = Counter(
        (row["broker_order_id"], row["trade_id"], row["quantity"], Decimal(str(row["price"])))
        for row in heard.fills
        if row["source"] == "BROKER"
    )
    for fill, count in ours.items():
        if count > 1 or fill not in theirs:
            found.unexplained.append(f"fill {fill} is here {count} times, at the broker {int(fill in theirs)}")
    for fill in theirs - set(ours):
        found.unexplained.append(f"fill {fill} of the broker is not here")


def _positions(heard: Statements, found: Findings) -> None:
    theirs = net_by_symbol(heard.placed)
    ours = {row["symbol"]: row["quantity"] for row in heard.positions}
    for symbol in {*theirs, *ours, *heard.at_the_broker}:
        shares = ours.get(symbol, 0), theirs.get(symbol, 0), heard.at_the_broker.get(symbol, 0)
        if len(set(shares)) > 1:
            found.unexplained.append(
                f"{symbol}: {shares[0]} here, {shares[1]} by the journal, {shares[2]} at the broker"
            )
    for incident in heard.incidents:
        if incident["stops_opening"] and incident["status"] != "RESOLVED":
            found.unexplained.append(f"incident {incident['kind']} is not explained: {incident['title']}")


class Exposure:
    """What the journal alone says is held and works, as it goes on."""

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()
        self._filled: Counter[str] = Counter()  # by order
        self._working: dict[str, tuple[str, str, int]] = {}  # symbol, side, shares left

    def of(self, symbol: str) -> int:
        """Return the shares that would be held if every working buy of the symbol filled."""
        return self._held[symbol] + self._left(symbol, "BUY")

    def beyond_what_is_held(self, symbol: str) -> int:
        """Return how many shares would be sold that are not held if every working sale of the symbol filled."""
        return self._left(symbol, "SELL") - self._held[symbol]

    def _left(self, symbol: str, side: str) -> int:
        return sum(left for *of, left in self._working.values() if of == [symbol, side])

    def left(self, order: Placed) -> int:
        """Return the shares of a working order that may fill still."""
        return self._working[order.broker_order_id][2]

    def take(self, row: dict[str, Any], order: Placed) -> None:
        """Go on by one event of the journal."""
        key, event, quantity = order.broker_order_id, row["event"], row.get("quantity", 0)
        if event == "accepted" or (event == "modified" and key in self._working):
            self._working[key] = (order.symbol, order.side, quantity - self._filled[key])
        elif event == "filled":
            self._held[order.symbol] += quantity if order.side == "BUY" else -quantity
            self._filled[key] += quantity
            if key in self._working:
                symbol, side, left = self._working[key]
                self._working[key] = (symbol, side, left - quantity)
        elif event in {"cancelled", "rejected"}:
            self._working.pop(key, None)


def _limits(heard: Statements, bounds: Bounds, found: Findings) -> None:
    """
    Walk through the journal alone: was there room for each opening order, and larger one, when the broker took it?

    A buy that the broker hid for longer than the absence window was rightly taken for not placed: nothing is held
    against it, and it counts for those that follow from when it shows.
    """
    hidden = hidden_orders(heard.journal)
    exposure = Exposure()
    for row in _as_shown(heard, hidden):
        order = heard.placed[row["order_id"]]
        exposure.take(row, order)
        if row["event"] in {"accepted", "modified"} and order.side == "BUY" and row["order_id"] not in hidden:
            terms = exposure.left(order), Decimal(str(row["price"])) if row["price"] else None
            found.limit_breaches += _breaches(order, terms, exposure.of(order.symbol), bounds)
    found.limit_breaches += _trades_too_many(heard, bounds)


def _sold_once(heard: Statements, found: Findings) -> None:
    """No share is sold that is not held, or is sold already. A sale that the broker hid, or denied, is not seen."""
    unseen = {*hidden_orders(heard.journal), *denied_orders(heard.journal)}
    exposure = Exposure()
    for row in (row for row in heard.journal if row["event"] != "fault"):
        order = heard.placed[row["order_id"]]
        if order.side == "SELL" and row["order_id"] in unseen and row["event"] != "filled":
            continue
        exposure.take(row, order)
        beyond = exposure.beyond_what_is_held(order.symbol)
        if row["event"] in {"accepted", "modified"} and order.side == "SELL" and beyond > 0:
            found.duplicated.append(
                f"order {order.tag} sells {beyond} {order.symbol} that are not held, or sold already"
            )


def _trades_too_many(heard: Statements, bounds: Bounds) -> list[str]:
    """
    Return the opening orders that came after the last trade of their day.

    Every order is a trade, and one that closes may always go. Our rows say in which order they were decided, for one
    may overtake another on its way; which of them are trades is the journal's word.
    """
    decided = {row["client_order_id"]: row["id"] for row in heard.orders}
    trades: Counter[str] = Counter()
    late = []
    for order in sorted(heard.placed.values(), key=lambda order: decided.get(order.tag, math.inf)):
        day = order.at[:10]
        trades[day] += 1
        if order.side == "BUY" and trades[day] > bounds.daily_trades_max:
            late.append(f"order {order.tag} opens as trade {trades[day]} of {day}, above {bounds.daily_trades_max}")
    return late


def _as_shown(heard: Statements, hidden: dict[str, float]) -> list[dict[str, Any]]:
    """Return what happened to orders in the order of time, to a hidden buy when it can have been read of it."""

    def shown_at(row: dict[str, Any]) -> datetime:
        order, at = heard.placed[row["order_id"]], datetime.fromisoformat(row["at"])
        if order.side == "BUY" and row["order_id"] in hidden:
            seconds = hidden[row["order_id"]] + READ_SECONDS
            return max(at, datetime.fromisoformat(order.at) + timedelta(seconds=seconds))
        return at

    return sorted((row for row in heard.journal if row["event"] != "fault"), key=shown_at)


def _breaches(order: Placed, terms: tuple[int, Decimal | None], shares: int, bounds: Bounds) -> list[str]:
    last, (quantity, price) = Decimal(PRICES[order.symbol]), terms
    price = price or last
    name = f"order {order.tag} of {quantity} {order.symbol} at {price}"
    breaches = []
    if quantity * price > bounds.order_value_max:
        breaches.append(f"{name}: worth more than {bounds.order_value_max}")
    if shares * max(price, last) > bounds.position_value_max:
        breaches.append(f"{name}: a position of {shares * max(price, last)}, above {bounds.position_value_max}")
    return breaches


def hidden_orders(journal: list[dict[str, Any]]) -> dict[str, float]:
    """Return for how many seconds a fault hid which order for long."""
    hidden = {order_id: _hidden_for(fault) for order_id, fault in _struck(journal).items()}
    return {order_id: seconds for order_id, seconds in hidden.items() if seconds >= HIDDEN_SECONDS_MIN}


def denied_orders(journal: list[dict[str, Any]]) -> set[str]:
    """Return the orders that the broker took and denied with an answer that no honest broker gives then."""
    return {order_id for order_id, fault in _struck(journal).items() if SURE_REFUSAL in fault}


def _struck(journal: list[dict[str, Any]]) -> dict[str, str]:
    """Return the fault, spelled out, that struck the request of each order that was accepted in spite of it."""
    faults = {row["strike"]: row["fault"] for row in journal if row["event"] == "fault" and row["route"] == "place"}
    return {
        row["order_id"]: faults[row["strike"]]
        for row in journal
        if row["event"] == "accepted" and row["strike"] in faults
    }


def _hidden_for(spelled: str) -> float:
    pairs = (pair.partition("=") for pair in spelled.split(":", 2)[-1].split(","))
    return next((float(value) for name, _, value in pairs if name == "hide_seconds"), 0.0)
