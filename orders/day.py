"""The account's day so far, from the positions and the fills of its Mumbai date, at the youngest prices known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from django.db.models import BooleanField, ExpressionWrapper, F, Q, QuerySet, Sum

from orders import external
from orders.counted_fills import counted_fills
from orders.desk import Desk, trading_date
from orders.external import Key
from orders.models import Fill, Order, Position
from orders.models.order import OrderQuerySet
from orders.reckoning import midnight
from risk.engine.day import DayOfSymbol, DayResult, day_result
from risk.engine.facts import Origin, Side
from risk.questions import Later, Question

Line = tuple[str, str, str]  # exchange, symbol, product
_OF_A_DAY = ("trading_date", "bought", "sold", "paid", "received", "newest_at", "newest_fill", "newest_price")


def day_of_account(desk: Desk, *, charges_percent: Decimal, now: datetime, include_external: bool = False) -> DayResult:
    """Return what our own orders made of the day, in INR, or with what is external what the whole account did."""
    if include_external:
        return day_result(symbols_in_all(desk, now=now), charges_percent=charges_percent)
    _, day = ask_day(desk, now)()
    return day_result(day(Youngest(desk, now)), charges_percent=charges_percent)


def ask_day(desk: Desk, now: datetime) -> Later[tuple[list[Held], Callable[[Youngest], Iterator[DayOfSymbol]]]]:
    """
    Ask for all positions of the desk, flat ones, too, and for what our own orders made of the day.

    The day is told by the youngest prices.
    """
    today = trading_date(now)
    asked = _HELD_TODAY.ask(mode=desk.mode, day=today)

    def told() -> tuple[list[Held], Callable[[Youngest], Iterator[DayOfSymbol]]]:
        rows = asked()
        positions = [Held._make(row[: len(Held._fields)]) for row in rows]
        traded = _traded_by_us(desk.mode, today, rows)
        return positions, lambda prices: (_day_of(position, traded, prices) for position in positions)

    return told


def days_of_positions(
    desk: Desk, positions: Iterable[Position], *, now: datetime
) -> Iterator[tuple[Position, DayOfSymbol]]:
    """Yield each of the desk's positions with what this date brought it."""
    traded, prices = _traded_by_us(desk.mode, trading_date(now)), Youngest(desk, now)
    for position in positions:
        yield position, _day_of(position, traded, prices)


def _day_of(position: Position | Held, traded: dict[Line, _Traded], prices: Youngest) -> DayOfSymbol:
    of_it = traded.get((position.exchange, position.symbol, position.product), _UNTRADED)
    return DayOfSymbol(
        position.symbol,
        position.quantity,
        of_it.bought,
        of_it.sold,
        of_it.paid,
        of_it.received,
        # Not of what is flat: whatever is asked for, the stream is made to follow.
        _price_now(position, of_it, prices) if position.quantity else None,
        position.close_price,
    )


def symbols_in_all(desk: Desk, *, now: datetime) -> list[DayOfSymbol]:
    """
    Return each symbol that the account holds or traded on this date, by whomever.

    What is external is by the broker's own numbers: its shares, its trades of the day and its close before. Where one
    is missing the result is unknown, and so it is before the broker's positions were noted at all.
    """
    traded: defaultdict[Key, _Traded] = defaultdict(_Traded)
    day = trading_date(now)
    ours = _traded_by_us(desk.mode, day)
    for by_whom in (ours, _traded_by_others(desk.mode, day)):
        for (exchange, symbol, _), of_line in by_whom.items():
            traded[exchange, symbol].join(of_line)
    rows: defaultdict[Key, list[Position]] = defaultdict(list)
    for position in Position.objects.filter(mode=desk.mode):
        rows[position.exchange, position.symbol].append(position)
    account, youngest = external.whole_account(desk.mode), Youngest(desk, now)
    symbols = []
    for key in sorted(rows.keys() | traded.keys()):
        of_it, shares = traded[key], account[key].shares if key in account else 0
        prices = [_price_now(row, of_it, youngest) for row in rows[key]] if shares else []
        symbols.append(
            DayOfSymbol(
                name=key[1],
                quantity=shares,
                bought=of_it.bought,
                sold=of_it.sold,
                paid=of_it.paid,
                received=of_it.received,
                last_price=next((price for price in prices if price is not None), None),
                close_price=next((row.close_price for row in rows[key] if row.close_price is not None), None),
            )
        )
    unknown = [] if external.is_known(desk) else [DayOfSymbol(name="what is external", quantity=1)]
    return symbols + unknown


class Youngest:
    """The youngest price of each position in INR: what the stream told a moment ago, else the broker's book with it."""

    def __init__(self, desk: Desk, now: datetime) -> None:
        self._stream, self._now = desk.streamed_prices, now
        self._told: dict[Key, Decimal | None] = {}  # each is asked for once

    def ask(self, keys: Iterable[Key]) -> None:
        """Ask the stream for all of these at once."""
        if self._stream is None:
            return
        unasked = [key for key in dict.fromkeys(keys) if key not in self._told]
        told = self._stream.last_of(unasked, now=self._now)
        self._told |= {key: told[key].price if key in told else None for key in unasked}

    def of(self, position: Position | Held) -> Decimal | None:
        if self._stream is None:
            return position.last_price
        key = (position.exchange, position.symbol)
        if key not in self._told:
            told = self._stream.last(*key, now=self._now)
            self._told[key] = told.price if told else None
        price = self._told[key]
        return position.last_price if price is None else price


def _price_now(position: Position | Held, traded: _Traded, prices: Youngest) -> Decimal | None:
    """
    Return the last price, or that of a fill which the broker's positions were not read after.

    The fill is written down a moment before the price of what it opened: in between, nothing would be known of it.
    """
    known, newest = prices.of(position), traded.newest
    if known is not None or newest is None:
        return known
    read_since = position.broker_as_of is not None and position.broker_as_of > newest.recorded_at
    return None if read_since else newest.price


class _Newest(NamedTuple):
    """The fill that was written down last, at INR a share."""

    recorded_at: datetime
    pk: int
    price: Decimal


@dataclass(slots=True)
class _Traded:
    """Shares and INR of one line's executions, and the one that was written down last."""

    bought: int = 0
    sold: int = 0
    paid: Decimal = Decimal(0)
    received: Decimal = Decimal(0)
    newest: _Newest | None = None

    def join(self, other: _Traded) -> None:
        self.bought, self.paid = self.bought + other.bought, self.paid + other.paid
        self.sold, self.received = self.sold + other.sold, self.received + other.received
        self.newest = max(filter(None, [self.newest, other.newest]), default=None)

    @classmethod
    def of(cls, side: str, quantity: int, value: Decimal) -> _Traded:
        return cls(bought=quantity, paid=value) if side == Side.BUY else cls(sold=quantity, received=value)


_UNTRADED = _Traded()


def _traded_by_us(mode: str, day: date, positions: Iterable[tuple[Any, ...]] | None = None) -> dict[Line, _Traded]:
    """
    Return what our orders traded on this date, as it was reckoned with the `positions`; without those they are read.

    Where that was for another date and something was traded since, or does not say it at all, the fills are added up.
    """
    traded: dict[Line, _Traded] = {}
    unknown: set[Line] = set()
    for row in _HELD_TODAY.rows(mode=mode, day=day) if positions is None else positions:
        (exchange, symbol, product), (may_have, in_force, its_date, *of_it) = row[:3], row[len(Held._fields) :]
        if not may_have:
            continue
        if not in_force or its_date != day:
            unknown.add((exchange, symbol, product))
            continue
        bought, sold, paid, received, *newest = of_it
        known = _Newest._make(newest) if newest[0] is not None else None
        traded[exchange, symbol, product] = _Traded(bought, sold, paid, received, known)
    if unknown:
        of_them = _traded_on(Order.objects.ours(mode).filter(symbol__in={symbol for _, symbol, _ in unknown}), day)
        traded.update((line, of_line) for line, of_line in of_them.items() if line in unknown)
    return traded


def _held_today(mode: str, day: date) -> QuerySet[Position, Any]:
    """Return all positions, and of each whether it may have been traded on this date, or since, and its day."""
    in_force = Q(day__reckoned_at=F("updated_at"))
    has_moved = ~Q(quantity=0) | ~Q(cost=0) | ~Q(realised_pnl=0)  # else it is only there to show what is external
    unreckoned = Q(day__isnull=True) & has_moved | Q(day__isnull=False) & ~in_force
    may_have = unreckoned | Q(day__last_traded__gte=day)
    said = {"may_have": may_have, "in_force": in_force}
    return (
        Position.objects.filter(mode=mode)
        .annotate(**{name: ExpressionWrapper(each, BooleanField()) for name, each in said.items()})
        .values_list(*Held._fields, *said, *(f"day__{name}" for name in _OF_A_DAY))
    )


class Held(NamedTuple):
    """What a decision goes by of a position, and no more: a desk may have hundreds, and each reads them all."""

    exchange: str
    symbol: str
    product: str
    quantity: int
    average_price: Decimal
    last_price: Decimal | None
    close_price: Decimal | None
    broker_as_of: datetime | None
    broker_quantity: int | None


def ask_held(desk: Desk) -> Later[list[Held]]:
    """Ask for all positions of the desk, flat ones, too."""
    asked = _HELD.ask(mode=desk.mode)
    return lambda: [Held._make(row) for row in asked()]


_HELD = Question[tuple[Any, ...]](lambda mode: Position.objects.filter(mode=mode).values_list(*Held._fields), mode=str)
_HELD_TODAY = Question[tuple[Any, ...]](_held_today, mode=str, day=date)


def _traded_by_others(mode: str, day: date) -> dict[Line, _Traded]:
    """Return what others' orders traded: the broker's fills alone, for nobody marks what is not ours by hand."""
    theirs = Order.objects.filter(mode=mode, origin=Origin.EXTERNAL.value, fills__trading_date=day).order_by()
    fills = Fill.objects.filter(order__in=theirs.values("pk")).order_by()
    line = ("order__exchange", "order__symbol", "order__product")
    of_day = fills.filter(filled_at__gte=midnight(day), filled_at__lt=midnight(day + timedelta(days=1)))
    sums = of_day.values(*line, "order__side").annotate(shares=Sum("quantity"), value=Sum(F("quantity") * F("price")))
    traded: defaultdict[Line, _Traded] = defaultdict(_Traded)
    for exchange, symbol, product, side, shares, value in sums.values_list(*line, "order__side", "shares", "value"):
        traded[exchange, symbol, product].join(_Traded.of(side, shares, value))
    newest = fills.order_by(*line, "-recorded_at", "-pk").distinct(*line)
    for exchange, symbol, product, *fill in newest.values_list(*line, "recorded_at", "pk", "price"):
        traded[exchange, symbol, product].newest = _Newest(*fill)
    return dict(traded)


def _traded_on(orders: OrderQuerySet, day: date) -> dict[Line, _Traded]:
    """Add up what these orders traded on the date: of those with a fill of it, each execution by its own time."""
    traded: dict[Line, _Traded] = {}
    for order in orders.filter(fills__trading_date=day).distinct().prefetch_related("fills"):
        of_line = traded.setdefault((order.exchange, order.symbol, order.product), _Traded())
        newest = max(_Newest(fill.recorded_at, fill.pk, fill.price) for fill in order.fills.all())
        of_line.join(_Traded(newest=newest))
        for each in counted_fills(order.fills.all()):
            if trading_date(each.at) == day:
                of_line.join(_Traded.of(order.side, each.quantity, each.quantity * each.price))
    return traded
