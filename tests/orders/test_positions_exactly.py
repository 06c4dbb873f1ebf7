"""
Positions through PostgreSQL: whatever is recorded, and in whatever order, they are what a plain recomputation says.

How near: nothing is carried along rounded. Cost and realised P&L are reckoned in Decimals of 28 digits, all of which
are kept with the position's day, and each is rounded once, as the position shows it, by at most ₹0.00005. So each is
within ₹0.0001 of the fractions that the recomputation uses, and realised less cost within ₹0.0001 of the cash flow,
however many fills there are.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orders.adjusting import AdjustmentRefused, Wish, adjust
from orders.average_cost import realised_on
from orders.by_hand import HandFill, MarkRefused, mark_filled
from orders.desk import trading_date
from orders.ledger import Line, steps_of
from orders.models import Adjustment, Fill, Order, Position
from orders.reconciliation import reconcile

from .reckoned import check_days_around, check_the_book
from .stand_ins import BookGateway, report_of, trade_of

Kind = Adjustment.Kind
HISTORIES_DRAWN = int(os.environ.get("HISTORIES", "15"))
LINES = [("NSE", "CNC"), ("NSE", "MIS"), ("BSE", "CNC"), ("BSE", "MIS")]
ORDERS = [(line, side) for line in LINES[:3] for side in ("BUY", "SELL")] + [(LINES[3], "BUY")]
ORDER_QUANTITY = 100_000
MONDAY = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
STORED = Fraction(1, 10_000)  # ₹: see above


@contextlib.contextmanager
def taken_back() -> Iterator[None]:
    """Leave nothing of the block in the database. What is durable takes it for a test's own transaction."""
    block = transaction.atomic()
    block._from_testcase = True  # as Django marks those of its TestCase
    with block:
        yield
        transaction.set_rollback(True)


# --- The plain recomputation ------------------------------------------------------------------------------------------


@dataclass
class Plain:
    """What was done, kept as it was done, and added up share by share."""

    hand: dict[int, list[tuple[datetime, int, Fraction]]] = field(default_factory=dict)  # by order
    broker: dict[int, list[tuple[datetime, str, int, Fraction]]] = field(default_factory=dict)
    adjusted: dict[tuple[str, str], list[tuple[datetime, int, Kind, tuple[int, int] | Fraction]]] = field(
        default_factory=dict
    )

    def happenings(self, line: tuple[str, str]) -> list[tuple[tuple[datetime, int, int, str], object]]:
        found: list[tuple[tuple[datetime, int, int, str], object]] = []
        for number, (its, side) in enumerate(ORDERS):
            if its != line:
                continue
            sign, by_hand, by_broker = (
                (1 if side == "BUY" else -1),
                self.hand.get(number, []),
                self.broker.get(number, []),
            )
            found += [((at, 0, number, name), (sign, shares, price)) for at, name, shares, price in by_broker]
            if by_hand:
                at, marked, price = by_hand[-1]  # it says what was filled in all
                lacking = marked - sum(shares for _, _, shares, _ in by_broker)
                if lacking > 0:
                    found.append(((at, 0, number, "HAND"), (sign, lacking, price)))
        for at, number, kind, numbers in self.adjusted.get(line, []):
            found.append(((at, 1, number, ""), (kind, numbers)))
        return sorted(found, key=lambda pair: pair[0])

    def position(self, line: tuple[str, str]) -> tuple[int, Fraction, Fraction, Fraction, dict[object, Fraction]]:
        """Return shares, cost, realised, what cash flow and restatements come to, and what was realised by date."""
        quantity, cost, realised, flow, days = 0, Fraction(0), Fraction(0), Fraction(0), {}
        for (at, *_), what in self.happenings(line):
            gained = Fraction(0)
            if len(what) == 3:
                sign, shares, price = what
                flow -= sign * shares * price
                closing = min(shares, abs(quantity)) if quantity * sign < 0 else 0
                if closing:
                    average = cost / quantity
                    gained = sign * closing * (average - price)
                    cost, quantity = cost + sign * closing * average, quantity + sign * closing
                cost, quantity = cost + sign * (shares - closing) * price, quantity + sign * (shares - closing)
            elif what[0] in {Kind.BONUS, Kind.SPLIT}:
                new, old = what[1]
                quantity = int(Fraction(quantity * new, old))
                if quantity == 0:
                    gained, cost = -cost, Fraction(0)
            else:
                quantity, price = what[1]
                flow, cost = flow + cost - quantity * price, quantity * price
            realised += gained
            day = (at + timedelta(hours=5, minutes=30)).date()
            days[day] = days.get(day, Fraction(0)) + gained
        return quantity, cost, realised, flow, days


# --- What is done -----------------------------------------------------------------------------------------------------


PRICES = st.integers(1, 10**8).map(lambda units: Decimal(units) / 10_000)
DOINGS = st.one_of(
    st.tuples(st.just("trade"), st.integers(0, len(ORDERS) - 1), st.integers(1, 300), PRICES, st.integers(0, 3)),
    st.tuples(st.just("trade"), st.integers(0, len(ORDERS) - 1), st.integers(1, 300), PRICES, st.integers(0, 3)),
    st.tuples(st.just("hand"), st.integers(0, len(ORDERS) - 1), st.integers(1, 300), PRICES, st.just(0)),
    st.tuples(st.just("scale"), st.integers(0, 3), st.integers(1, 5), st.integers(1, 3), st.booleans()),
    st.tuples(st.just("correct"), st.integers(0, 3), st.integers(-300, 300), PRICES, st.just(0)),
    st.tuples(st.just("accept"), st.integers(0, 3), st.integers(-300, 300), st.one_of(st.none(), PRICES), st.just(0)),
)
EXPECTED_REFUSALS = ("changes nothing", "no whole share", "what a share cost")
# Seconds between two doings: some at the same second, some over a night in Mumbai.
GAPS = st.sampled_from([0, 0, 1, 60, 3600, 5 * 3600, 20 * 3600])
HISTORIES = st.lists(st.tuples(DOINGS, GAPS), min_size=2, max_size=14)


class Told:
    """The real system, told through its own doors, and the plain recomputation beside it."""

    def __init__(self, desk, wired) -> None:
        self.now = MONDAY
        self.broker = BookGateway()
        self.desk = wired(desk, gateway=self.broker, clock=lambda: self.now)
        self.plain = Plain()
        self.unread: list[tuple[int, object]] = []  # traded, and not in the book yet
        self.orders = [
            Order.objects.create(
                mode="PAPER", client_order_id=f"order{number}", broker_order_id=f"SIM{number}", origin="MANUAL",
                exchange=line[0], symbol="RELIANCE", product=line[1], side=side, order_type="LIMIT",
                quantity=ORDER_QUANTITY, price=Decimal(1), status="CANCELLED", broker_status="CANCELLED",
                trading_date=MONDAY.date(), created_at=MONDAY, submitted_at=MONDAY, ended_at=MONDAY,
            )
            for number, (line, side) in enumerate(ORDERS)
        ]  # fmt: skip
        self.broker.orders = [report_of(order, "CANCELLED") for order in self.orders]

    def trade(self, serial, number, shares, price, patience) -> None:
        """Trade now; the book shows it once so many other trades are shown: late, and out of order."""
        row = trade_of(
            self.orders[number], f"T{97 * serial % 100}", shares, str(price), filled_at=self.now.replace(microsecond=0)
        )
        self.unread.append((patience, row))
        self.read([row for left, row in self.unread if left == 0])
        self.unread = [(left - 1, row) for left, row in self.unread if left > 0]

    def read(self, rows) -> None:
        self.broker.trades += rows
        reconcile(self.desk)
        for row in rows:
            number = int(row.broker_order_id[3:])
            of_it = self.plain.broker.setdefault(number, [])
            of_it.append((row.filled_at, row.trade_id, row.quantity, Fraction(row.price)))

    def hand(self, serial, number, shares, price, _) -> None:
        fill = HandFill(token=f"h{serial}", quantity=shares, price=price, by="tara", reason="contract note")
        marked = self.plain.hand.setdefault(number, [])
        if marked and marked[-1][1] > shares:
            with pytest.raises(MarkRefused, match="is not taken back"):
                mark_filled(self.desk, self.orders[number], fill)
        else:
            mark_filled(self.desk, self.orders[number], fill)
            marked.append((self.now, shares, Fraction(price)))

    def scale(self, serial, line, new, old, is_bonus) -> None:
        kind = Kind.BONUS if is_bonus else Kind.SPLIT
        self.adjust(serial, line, (new + old if is_bonus else new, old), kind=kind, ratio_new=new, ratio_old=old)

    def correct(self, serial, line, shares, price, _) -> None:
        self.adjust(
            serial, line, (shares, Fraction(price)), kind=Kind.CORRECTION, quantity=shares, price=price
        )  # fmt: skip

    def accept(self, serial, line, shares, price, _) -> None:
        """Let the broker hold so many, read that, and take it for ours at the price given, or at the average."""
        exchange, product = LINES[line]
        self.now += timedelta(seconds=1)
        self.broker.holds = {(exchange, "RELIANCE"): shares}
        reconcile(self.desk)
        elsewhere = sum(self.plain.position(each)[0] for each in LINES if each[0] == exchange and each[1] != product)
        quantity, cost, *_ = self.plain.position(LINES[line])
        left = shares - elsewhere
        given = Fraction(price) if price is not None else None
        if given is None and quantity * left > 0:
            given = Fraction(round(cost / quantity * 10_000), 10_000)
        self.adjust(serial, line, (left, given or Fraction(0)), kind=Kind.BROKER, quantity=shares, price=price)

    def adjust(self, serial, line, numbers, **wished) -> None:
        exchange, product = LINES[line]
        position = Position.objects.filter(exchange=exchange, product=product).first()
        if position is None:
            return
        made, refused = None, ""
        try:
            made = adjust(self.desk, position, Wish(token=f"a{serial}", by="tara", reason="told", **wished))
        except AdjustmentRefused as refusal:
            refused = str(refusal)
        if made:
            self.plain.adjusted.setdefault(LINES[line], []).append((self.now, made.pk, wished["kind"], numbers))
        assert made or any(words in refused for words in EXPECTED_REFUSALS), refused

    def check(self) -> None:
        for exchange, product in LINES:
            position = Position.objects.filter(exchange=exchange, product=product).first()
            quantity, cost, realised, flow, days = self.plain.position((exchange, product))
            if position is None:
                assert (quantity, cost, realised) == (0, 0, 0)
                continue
            assert position.quantity == quantity
            assert abs(Fraction(position.cost) - cost) < STORED
            assert abs(Fraction(position.realised_pnl) - realised) < STORED
            assert abs(Fraction(position.realised_pnl - position.cost) - flow) <= STORED + Fraction(1, 10**12)
            if quantity:
                assert abs(Fraction(position.average_price) - cost / quantity) < STORED
            for day, gained in days.items():
                found = realised_on(steps_of(Line.of(position)), day)
                assert abs(Fraction(found) - gained) < Fraction(1, 10**9)


@settings(max_examples=HISTORIES_DRAWN, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=HISTORIES)
def test_positions_are_what_a_plain_recomputation_of_all_that_was_recorded_says(desk, wired, history):
    with taken_back():
        told = Told(desk, wired)
        for serial, ((what, *numbers), gap) in enumerate(history):
            told.now += timedelta(seconds=gap)
            getattr(told, what)(serial, *numbers)
            told.check()
        told.now += timedelta(seconds=1)
        told.read([row for _, row in told.unread])
        told.check()
        check_the_book()
        check_days_around(trading_date(told.now))


@pytest.mark.parametrize(("shares", "counted", "cost"), [(4, 10, "13400"), (10, 10, "14000"), (12, 12, "16800")])
def test_hand_fills_give_way_to_fewer_as_many_or_more_of_the_brokers(desk, wired, shares, counted, cost):
    told = Told(desk, wired)
    told.hand(1, 0, 10, Decimal(1300), 0)

    told.trade(2, 0, shares, Decimal(1400), 0)

    told.check()
    position = Position.objects.get()
    assert (position.quantity, position.cost) == (counted, Decimal(cost))
    assert Fill.objects.count() == 2


@pytest.mark.proof
def test_a_thousand_uneven_fills_leave_the_cash_flow_whole(desk, wired):
    """Twelve in each of eighty readings: rounding once a fill, and not once in all, would be ₹0.04 off."""
    told = Told(desk, wired)
    for reading in range(80):
        told.now += timedelta(seconds=1)
        rows = [
            trade_of(
                told.orders[(reading + part) % 2], f"T{reading}-{part}", 7 + part, f"{100 + part}.{1234 + reading}",
                filled_at=told.now,
            )
            for part in range(12)
        ]  # fmt: skip
        told.read(rows)

    told.check()
    check_the_book()
    assert Fill.objects.count() == 960
