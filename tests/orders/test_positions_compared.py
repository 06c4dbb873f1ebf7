"""The broker's positions beside ours, all of them in a few statements: each as the plain rule says of it by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import DataError, connection
from django.db.models import Q, Sum
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orders.broker.gateway import BrokerBook, HoldingReport
from orders.differences import compare_positions, lacking_shares
from orders.lifecycle import UNFINISHED
from orders.many_rows import write_columns
from orders.models import Adjustment, Fill, Holding, Order, Position
from orders.models.quarters import FUTURE_MAX
from risk.models import AuditEntry, Incident

from .test_positions_exactly import taken_back

NOW = datetime(2026, 11, 23, 4, 30, tzinfo=UTC)
READ = NOW - timedelta(seconds=1)
NOTED = ("broker_quantity", "broker_as_of", "last_price", "close_price", "missing", "told_missing")


@pytest.fixture
def there(desk, wired):
    return wired(desk, clock=lambda: NOW)


def make_position(symbol: str, quantity: int, **changes) -> Position:
    same = {"mode": "PAPER", "exchange": "NSE", "product": "CNC", "updated_at": NOW}
    return Position.objects.create(**{**same, "symbol": symbol, "quantity": quantity, **changes})


def make_order(symbol: str, **changes) -> Order:
    number = Order.objects.count()
    usual = {
        "mode": "PAPER", "client_order_id": f"order{number}", "broker_order_id": f"SIM{number}", "origin": "MANUAL",
        "exchange": "NSE", "symbol": symbol, "product": "CNC", "side": "BUY", "order_type": "LIMIT", "quantity": 10,
        "price": Decimal(1), "status": "FILLED", "trading_date": NOW.date(), "created_at": NOW,
    }  # fmt: skip
    return Order.objects.create(**{**usual, **changes})


def fill(order: Order, recorded_at: datetime, **changes) -> None:
    Fill.objects.create(
        order=order, mode="PAPER", exchange="NSE", broker_order_id=order.broker_order_id, trade_id="T", quantity=1,
        price=1, trading_date=NOW.date(), filled_at=NOW, recorded_at=recorded_at, source="BROKER", **changes,
    )  # fmt: skip


def book_of(holds: dict[str, int], **prices: Decimal) -> BrokerBook:
    keys = {symbol: ("NSE", symbol) for symbol in {*holds, *prices}}
    return BrokerBook(
        as_of=READ,
        orders=(),
        trades=(),
        positions={keys[symbol]: shares for symbol, shares in holds.items()},
        last_prices={keys[symbol]: price for symbol, price in prices.items()},
    )


# --- What it costs ----------------------------------------------------------------------------------------------------


def statements(there, book) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        compare_positions(there, book)
    return [each["sql"] for each in captured]


def test_it_asks_no_more_for_sixty_positions_than_for_two(there):
    def asked() -> list[int]:
        held = dict.fromkeys(Position.objects.values_list("symbol", flat=True), 2)
        half = dict.fromkeys(held, 1)
        return [len(statements(there, book_of(said))) for said in (held, held, half, held)]

    make_position("A", 2), make_position("B", 2)
    of_two = asked()
    for number in range(58):
        make_position(f"S{number}", 2)

    assert asked() == of_two
    assert max(of_two) <= 11  # beginning and end of the transaction among them


def test_a_book_that_says_nothing_new_makes_it_write_only_when_it_was_read(there):
    for number in range(3):
        make_position(f"S{number}", number)
    make_position("TELLS", 1)
    book = book_of({"S1": 1, "S2": 2, "TELLS": 1}, S1=Decimal("10.5"), TELLS=Decimal(7))
    compare_positions(there, book)
    trail = AuditEntry.objects.count()

    said = statements(there, book)

    written = [sql for sql in said if "UPDATE" in sql and "FOR UPDATE" not in sql]
    assert len(written) == 1
    assert "broker_as_of" in written[0]
    assert "json" not in written[0]
    assert AuditEntry.objects.count() == trail


def test_a_price_that_moved_is_no_entry_in_the_trail_and_a_quantity_is_one(there):
    make_position("A", 1), make_position("B", 1)
    compare_positions(there, book_of({"A": 1, "B": 1}, A=Decimal(5)))
    trail = AuditEntry.objects.count()

    compare_positions(there, book_of({"A": 1, "B": 1}, A=Decimal(6)))
    assert AuditEntry.objects.count() == trail

    compare_positions(there, book_of({"A": 2, "B": 1}, A=Decimal(6)))
    (entry,) = AuditEntry.objects.order_by("-id")[: AuditEntry.objects.count() - trail]
    assert entry.changes == {"broker_quantity": [1, 2]}


def test_what_was_filled_since_is_found_without_reading_every_fill(there):
    """The fills of five years are in the table."""
    make_position("A", 2)
    order = make_order("A")
    many = {"order": order, "mode": "PAPER", "exchange": "NSE", "broker_order_id": "SIM0", "quantity": 1, "price": 1}
    at = {"trading_date": NOW.date(), "filled_at": NOW, "source": "BROKER"}
    Fill.objects.bulk_create(
        Fill(**many, **at, trade_id=f"T{number}", recorded_at=NOW - timedelta(minutes=number)) for number in range(2000)
    )
    (asked,) = [sql for sql in statements(there, book_of({"A": 1})) if "orders_fill" in sql]

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE orders_fill")
        cursor.execute(f"EXPLAIN {asked}")
        plan = "\n".join(line for (line,) in cursor)

    assert "fill_recorded" in plan


def holding(symbol: str, **changes) -> HoldingReport:
    usual = {
        "exchange": "NSE", "symbol": symbol, "isin": "", "quantity": 5, "t1_quantity": 0, "sold_today": 0,
        "authorised_quantity": 0, "collateral_quantity": 0, "average_price": Decimal(10), "last_price": None,
        "close_price": None, "discrepancy": False,
    }  # fmt: skip
    return HoldingReport(**{**usual, **changes})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["A", "B"], ["A", "B"]),
        (["A", "B"], ["A"]),
        (["A"], ["A", "B"]),
        (["A"], ["B"]),
        (["A"], []),
        ([], ["A"]),
        ([], []),
    ],
)
@pytest.mark.parametrize("sold", [0, 1])
def test_holdings_are_what_the_last_reading_said_whatever_the_one_before_did(there, before, after, sold):
    def read(as_of, symbols, **changes):
        holdings = tuple(holding(symbol, **changes) for symbol in symbols)
        compare_positions(there, BrokerBook(as_of=as_of, orders=(), trades=(), holdings=holdings))

    read(READ, before)

    read(NOW, after, sold_today=sold)

    kept = Holding.objects.order_by("symbol").values_list("symbol", "sold_today", "quantity", "as_of")
    assert list(kept) == [(symbol, sold, 5, NOW) for symbol in after]


# --- What it says -----------------------------------------------------------------------------------------------------


def plainly(position: Position, book: BrokerBook) -> dict[str, object]:
    """What is to be noted of one position, asked for it alone; and whether that is to be told."""
    same = {"exchange": position.exchange, "symbol": position.symbol}
    held = book.positions.get((position.exchange, position.symbol), 0)
    ours = Position.objects.filter(mode="PAPER", **same).aggregate(own=Sum("quantity"))["own"] or 0
    lately = Q(fills__recorded_at__gte=READ, fills__recorded_at__lte=NOW + FUTURE_MAX) | Q(status__in=UNFINISHED)
    of_ours = Order.objects.ours("PAPER").filter(**same)
    adjusted = Adjustment.objects.filter(mode="PAPER", at__gte=READ, at__lte=NOW + FUTURE_MAX, **same)
    moved = adjusted.exists() or of_ours.filter(lately).exists()
    lacking = 0 if moved else lacking_shares(ours, held)
    if lacking and ours == 0 and not of_ours.exists():
        lacking = 0
    told = position.told_missing if lacking or moved else 0
    tell = bool(lacking) and lacking == position.missing and lacking != told
    return {
        "broker_quantity": held,
        "broker_as_of": READ,
        "last_price": book.last_prices.get((position.exchange, position.symbol)),
        "close_price": None,
        "missing": lacking,
        "told_missing": lacking if tell else told,
        "tell": tell,
    }


@dataclass(frozen=True)
class Line:
    """One symbol before a read: what is ours of two products, what was noted of it, and what happened to it lately."""

    ours: tuple[int, int | None]
    missing: int
    told: int
    held: int
    price: int | None
    order: str  # its status, with when it was filled
    adjusted: int | None
    exchange: str


moments = st.sampled_from([-3, -1, 0, 29, 31])  # seconds from now; the book was read one second ago
LINES = st.lists(
    st.builds(
        Line,
        ours=st.tuples(st.integers(-2, 3), st.none() | st.integers(-2, 2)),
        missing=st.integers(0, 2),
        told=st.integers(0, 2),
        held=st.integers(-2, 4),
        price=st.none() | st.integers(1, 2),
        order=st.sampled_from(["none", "OPEN", "FILLED", "IN_DOUBT", "EXTERNAL", *map(str, [-3, -1, 0, 29, 31])]),
        adjusted=st.none() | moments,
        exchange=st.sampled_from(["NSE", "BSE"]),
    ),
    min_size=1,
    max_size=6,
)


def lay_out(lines: list[Line]) -> Iterator[tuple[tuple[str, str], Line]]:
    for number, line in enumerate(lines):
        symbol = f"S{number // 2}"  # the same at both exchanges, now and then
        key = (line.exchange, symbol)
        if Position.objects.filter(exchange=key[0], symbol=symbol).exists():
            continue
        same = {"exchange": line.exchange, "missing": line.missing, "told_missing": line.told}
        for product, quantity in zip(("CNC", "MIS"), line.ours, strict=True):
            if quantity is not None:
                make_position(symbol, quantity, product=product, **same)
        seconds = int(line.order) if line.order.lstrip("-").isdigit() else None
        if line.order != "none":
            origin = "EXTERNAL" if line.order == "EXTERNAL" else "AUTO"
            status = line.order if line.order in {"OPEN", "FILLED", "IN_DOUBT"} else "FILLED"
            order = make_order(symbol, exchange=line.exchange, status=status, origin=origin)
            if seconds is not None or origin == "EXTERNAL":
                fill(order, NOW + timedelta(seconds=seconds or 0))
        if line.adjusted is not None:
            Adjustment.objects.create(
                mode="PAPER", exchange=line.exchange, symbol=symbol, product="CNC", kind="CORRECTION", new_quantity=0,
                at=NOW + timedelta(seconds=line.adjusted), quantity_before=0, quantity_after=0, token=f"a{number}",
                made_by="tara", reason="told",
            )  # fmt: skip
        yield key, line


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=LINES)
def test_each_position_is_noted_as_the_plain_rule_says_of_it_alone(there, lines):
    with taken_back():
        laid = dict(lay_out(lines))
        book = BrokerBook(
            as_of=READ,
            orders=(),
            trades=(),
            positions={key: line.held for key, line in laid.items() if line.held},
            last_prices={key: Decimal(line.price) for key, line in laid.items() if line.price},
        )
        expected = {position.pk: plainly(position, book) for position in Position.objects.all()}
        told = {
            position.symbol for position in Position.objects.all() if expected[position.pk].pop("tell")
        }  # fmt: skip

        compare_positions(there, book)

        found = {row.pop("pk"): row for row in Position.objects.values("pk", *NOTED)}
        assert found == expected
        assert set(Incident.objects.values_list("symbol", flat=True)) == told


# --- Many rows at once ------------------------------------------------------------------------------------------------


def test_columns_are_written_where_their_rows_are_and_nowhere_else(db):
    one, two, other = (make_position(symbol, 1, last_price=Decimal(3)) for symbol in ("A", "B", "C"))
    one.last_price, one.broker_quantity, one.quantity = None, -5, 99
    two.last_price, two.broker_as_of = Decimal("1.2345"), NOW

    assert write_columns([one, two], ["last_price", "broker_quantity", "broker_as_of"]) == 2

    rows = Position.objects.order_by("symbol").values_list("quantity", "last_price", "broker_quantity", "broker_as_of")
    assert list(rows) == [(1, None, -5, None), (1, Decimal("1.2345"), None, NOW), (1, Decimal(3), None, None)]
    assert write_columns([], ["last_price"]) == 0
    assert other.pk


def test_words_are_written_as_they_are_and_what_a_column_does_not_hold_is_refused(db):
    order = make_order("A")
    order.status_reason, order.cancel_reason = 'a "word", {and} \\ an NULL', ""
    write_columns([order], ["status_reason", "cancel_reason"])
    assert Order.objects.get().status_reason == 'a "word", {and} \\ an NULL'

    order.broker_status = "x" * 41
    with pytest.raises(DataError):
        write_columns([order], ["broker_status"])
