"""The book in the shape the risk engine wants: counters are queries over the ledger, never state of their own."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from django.db.models import F, Max, QuerySet, Subquery, Value

from orders import external
from orders.broker.sessions import SESSION
from orders.committed_funds import ask_committed, price_of
from orders.day import Held, Youngest, ask_day, ask_held, day_of_account
from orders.desk import Desk, trading_date
from orders.lifecycle import INFERRED, UNFINISHED, OrderStatus
from orders.models import (
    Adjustment,
    Fill,
    Instrument,
    Order,
    OrderEvent,
)
from orders.models.quarters import FUTURE_MAX, dated_since
from orders.observed import Observed
from orders.rejections import ask_rejections
from orders.session_hours import market_of
from orders.traffic import ask_traffic_and_trades
from risk.engine.day import DayOfSymbol, loss_of_day
from risk.engine.facts import Elsewhere, Holding, Portfolio, Side, TradingState
from risk.engine.limits import Limits
from risk.models import TradingControl
from risk.models.incident import STOPS
from risk.questions import Later, Question, together

Key = tuple[str, str]  # exchange and symbol

_OF_AN_ORDER = (
    "exchange",
    "symbol",
    "side",
    "filled_quantity",
    "status",
    "quantity_at_worst",
    "price_at_worst",
    "price_at_decision",
)


def snapshot(
    desk: Desk,
    control: TradingControl,
    instrument: Instrument,
    observed: Observed,
    *,
    limits: Limits,
    now: datetime,
    without: Order | None = None,
) -> Portfolio:
    """
    Return the book as it is while the caller holds the lock.

    It is `without` the rest of a working order that is to be modified; what that takes of the funds it still takes.
    """
    with together():
        book = ask_book(desk, (instrument.exchange, instrument.symbol), observed, now)
    return book(control, instrument, limits, without)


def ask_book(desk: Desk, key: Key, observed: Observed, now: datetime) -> Callable[..., Portfolio]:
    """
    Ask for the book as `snapshot` returns it, for an exchange and symbol.

    What is returned tells it, for the switch, the instrument of that name and the limits in force.
    """
    exchange, symbol = key
    here: dict[str, Any] = {"mode": desk.mode, "now": now, "exchange": exchange, "symbol": symbol}
    today = trading_date(now)
    session = SESSION.ask(mode=desk.mode)
    day, lines = ask_day(desk, now), _ask_lines(desk, now)
    made = _MADE.ask(**here, today=today, day_before=today - timedelta(days=1))
    rejections = ask_rejections(desk.mode, now=now)
    stops = STOPS.ask(mode=desk.mode, symbol=symbol)
    sent = ask_traffic_and_trades(desk, now)
    committed = None if observed.funds is None else ask_committed(desk.mode, observed.funds, now)
    moved = None if observed.broker_as_of is None else _ask_changed(**here, since=observed.broker_as_of)

    def told(
        control: TradingControl, instrument: Instrument, limits: Limits, without: Order | None = None
    ) -> Portfolio:
        login = next(iter(session()), None)
        (held, result), prices = day(), Youngest(desk, now)
        by_symbol, orders = lines(held, prices, limits, without)
        line = by_symbol.pop(key, _Line())
        if limits.include_external and not external.is_known(desk):
            line.external = None
        (newest,), (traffic, trades), (streak, lately) = made(), sent(), rejections()
        return Portfolio(
            state=TradingState(control.state),
            auto_trading=control.auto_trading and desk.auto_trading_allowed,
            is_live=desk.is_live,
            armed=bool(login and control.armed_user_id and control.armed_user_id == login.user_id),
            session_valid=desk.vault.is_valid(now, login),
            reconciled_at=login.reconciled_at if login else None,
            trades_today=trades,
            orders_in_doubt=sum(order["status"] == OrderStatus.IN_DOUBT for order in orders),
            day_loss=_day_loss(desk, limits, now, result(prices)),
            holding=_holding(observed, line, _Newest._make(newest), stale=moved is not None and moved()),
            quote=observed.quote,
            market=market_of(desk, instrument, now=now),
            stops=tuple(title for (title,) in stops()),
            traffic=traffic,
            band=observed.band,
            funds=None if committed is None else committed(),
            others=tuple(each.elsewhere(symbol) for (_, symbol), each in sorted(by_symbol.items()) if each.is_open),
            open_orders=len(orders),
            rejections_in_a_row=streak,
            rejections_lately=lately,
        )

    return told


def _day_loss(desk: Desk, limits: Limits, now: datetime, ours: Iterable[DayOfSymbol]) -> Decimal | None:
    if not limits.include_external:
        return loss_of_day(ours, charges_percent=limits.charges_percent)
    return day_of_account(desk, charges_percent=limits.charges_percent, now=now, include_external=True).loss


@dataclass(frozen=True, kw_only=True)
class OpenBook:
    """Every symbol that is held or may be, how many orders of ours are unfinished, and how many of those in doubt."""

    lines: tuple[tuple[Key, Elsewhere], ...]
    open_orders: int
    in_doubt: int
    busiest: tuple[str, int]  # the side and symbol with most unfinished orders, and how many; "" for none


def open_book(desk: Desk, limits: Limits, now: datetime) -> OpenBook:
    """Return the whole book for a page, with no symbol at hand and no lock."""
    with together():
        positions, asked = ask_held(desk), _ask_lines(desk, now)
    lines, orders = asked(positions(), Youngest(desk, now), limits)
    found = tuple((key, line.elsewhere(key[1])) for key, line in sorted(lines.items()) if line.is_open)
    doubted = sum(order["status"] == OrderStatus.IN_DOUBT for order in orders)
    alike = Counter(f"{order['side']} {order['symbol']}" for order in orders)
    busiest = max(alike.items(), key=lambda side: side[1], default=("", 0))
    return OpenBook(lines=found, open_orders=len(orders), in_doubt=doubted, busiest=busiest)


@dataclass(kw_only=True, slots=True)
class _Line:
    """One symbol of the book, gathered from its positions and its unfinished orders: most have none of those."""

    own: int = 0
    buys: tuple[dict[str, Any], ...] = ()
    sells: tuple[dict[str, Any], ...] = ()
    prices: tuple[Decimal | None, ...] = ()  # of what is held; None where there is none
    external: int | None = 0  # shares, where they count; None where that is not known
    external_buys: tuple[dict[str, Any], ...] = ()
    external_sells: tuple[dict[str, Any], ...] = ()

    @property
    def is_open(self) -> bool:
        return bool(self.own or self.buys or self.sells or self.external or self.external_buys or self.external_sells)

    @property
    def all_buys(self) -> tuple[dict[str, Any], ...]:
        return self.buys + self.external_buys

    def elsewhere(self, symbol: str) -> Elsewhere:
        """Return it as another symbol's part of the book, at the worst of all its prices."""
        if len(self.prices) == 1 and not (self.buys or self.sells or self.external_buys or self.external_sells):
            price = None if self.prices[0] is None else str(self.prices[0])
            return _only_held(symbol, self.own, price, self.external or 0)
        prices = [*self.prices, *(price_of(order) for order in (*self.all_buys, *self.sells, *self.external_sells))]
        known = [price for price in prices if price is not None]
        return Elsewhere(
            symbol=symbol,
            own=self.own,
            working_buys=_unfilled(self.buys),
            working_sells=_unfilled(self.sells),
            price=max(known) if len(known) == len(prices) else None,
            market_buys_work=any(order["price_at_worst"] is None for order in self.all_buys),
            external=self.external or 0,
            external_buys=_unfilled(self.external_buys),
            external_sells=_unfilled(self.external_sells),
        )


@lru_cache(maxsize=4096)
def _only_held(symbol: str, own: int, price: str | None, external: int) -> Elsewhere:
    """
    Return a symbol's part of which nothing works: mostly it is as it was at the decision before.

    Its price comes as text, for 1.5 and 1.50 are equal and kept as they are.
    """
    return Elsewhere(symbol=symbol, own=own, price=None if price is None else Decimal(price), external=external)


_MAY_FILL = Question[dict[str, Any]](
    lambda mode, today: Order.objects.may_fill(mode, today).at_worst().values("pk", *_OF_AN_ORDER), mode=str, today=date
)


def _ask_lines(desk: Desk, now: datetime) -> Callable[..., tuple[dict[Key, _Line], list[dict[str, Any]]]]:
    """
    Ask for every symbol that is held or has an order that may fill, of ours or of all that counts, and our unfinished
    orders; each order at the worst of its terms. What is returned wants our positions.
    """
    may_fill = _MAY_FILL.ask(mode=desk.mode, today=trading_date(now))

    def told(
        positions: Iterable[Held], prices: Youngest, limits: Limits, without: Order | None = None
    ) -> tuple[dict[Key, _Line], list[dict[str, Any]]]:
        lines: defaultdict[Key, _Line] = defaultdict(_Line)
        beyond: dict[Key, int] = {}
        if limits.include_external:
            beyond = {key: line.external for key, line in external.whole_account(desk.mode).items() if line.external}
        here = [each for each in positions if each.quantity or beyond.get((each.exchange, each.symbol))]
        prices.ask((held.exchange, held.symbol) for held in here)
        for held in here:
            _add_position(lines[held.exchange, held.symbol], held, beyond, prices)
        orders = [order for order in may_fill() if without is None or order["pk"] != without.pk]
        for (key, side), of_side in _by_side(orders):
            if side == Side.BUY:
                lines[key].buys = of_side
            else:
                lines[key].sells = of_side
        if limits.include_external:
            theirs = external.working_orders(desk.mode, trading_date(now)).at_worst().values(*_OF_AN_ORDER)
            for (key, side), of_side in _by_side(theirs):
                if side == Side.BUY:
                    lines[key].external_buys = of_side
                else:
                    lines[key].external_sells = of_side
        return lines, _unfinished(orders)

    return told


def _by_side(orders: Iterable[dict[str, Any]]) -> Iterator[tuple[tuple[Key, str], tuple[dict[str, Any], ...]]]:
    """Yield the orders of each symbol and side."""
    found: defaultdict[tuple[Key, str], list[dict[str, Any]]] = defaultdict(list)
    for order in orders:
        found[(order["exchange"], order["symbol"]), order["side"]].append(order)
    for of_it, alike in found.items():
        yield of_it, tuple(alike)


def _add_position(line: _Line, held: Held, beyond: dict[Key, int], prices: Youngest) -> None:
    """Add a position, of which anything is held by us or by others, to its symbol's line."""
    line.own += held.quantity
    line.external = beyond.get((held.exchange, held.symbol), 0)
    line.prices += (prices.of(held) or held.average_price or None,)


def _unfinished(orders: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out what was turned away: its shares may fill, but it is no order that works."""
    return [order for order in orders if OrderStatus(order["status"]) in UNFINISHED]


class _Newest(NamedTuple):
    """When the newest trade of each side was made, of today and the day before."""

    buy: datetime | None
    sell: datetime | None


def _holding(observed: Observed, line: _Line, newest: _Newest, *, stale: bool) -> Holding:
    """Return the symbol's part; where something happened since the broker's position was read, that is `stale`."""
    bids = [order["price_at_worst"] for order in line.all_buys if order["price_at_worst"] is not None]
    return Holding(
        own=line.own,
        broker=None if stale else observed.broker_quantity,
        broker_as_of=None if stale else observed.broker_as_of,
        working_buys=_unfilled(line.buys),
        working_sells=_unfilled(line.sells),
        highest_working_bid=max(bids, default=None),
        market_buys_work=len(bids) < len(line.all_buys),
        buy_orders=len(_unfinished(line.buys)),
        sell_orders=len(_unfinished(line.sells)),
        last_buy_at=newest.buy,
        last_sell_at=newest.sell,
        external=line.external,
        external_buys=_unfilled(line.external_buys),
    )


def _made(
    mode: str, exchange: str, symbol: str, now: datetime, today: date, day_before: date
) -> QuerySet[TradingControl, Any]:
    """
    Find when the newest trade of each side of the symbol was made, of today and the day before: one row, the switch's.

    What the broker refused is no first order that a second would double; one from the future was dated by a clock that
    was set back since.
    """
    trades = Order.objects.trades_of(mode, today, day_before).filter(exchange=exchange, symbol=symbol)
    alike = trades.filter(created_at__lte=now + FUTURE_MAX).exclude(status__in=INFERRED).order_by()
    newest = (
        Subquery(alike.filter(side=side.value).values(in_all=Value(1)).annotate(at=Max("created_at")).values("at"))
        for side in Side
    )
    return TradingControl.objects.filter(mode=mode).values_list(*newest)


_MADE = Question[tuple[datetime | None, datetime | None]](
    _made, mode=str, exchange=str, symbol=str, now=datetime, today=date, day_before=date
)


def _unfilled(orders: Sequence[dict[str, Any]]) -> int:
    return sum(max(0, order["quantity_at_worst"] - order["filled_quantity"]) for order in orders)


def _ask_changed(mode: str, exchange: str, symbol: str, since: datetime, now: datetime) -> Later[bool]:
    """Ask whether anything of the symbol happened since: the broker's position, begun to be read then, may lack it."""
    of_it = {"mode": mode, "exchange": exchange, "symbol": symbol, "since": since, "now": now}
    asked = [question.ask(**of_it) for question in (_MOVED, _FILLED, _ADJUSTED)]
    return lambda: any(rows() for rows in asked)


def _moved(mode: str, exchange: str, symbol: str, since: datetime, now: datetime) -> QuerySet[Any, Any]:
    of_it = {"order__mode": mode, "order__exchange": exchange, "order__symbol": symbol}
    moved = OrderEvent.objects.filter(dated_since("at", since, now), **of_it).exclude(before=F("after"))
    return moved.order_by().values_list("pk")[:1]


def _filled(mode: str, exchange: str, symbol: str, since: datetime, now: datetime) -> QuerySet[Any, Any]:
    of_it = {"order__mode": mode, "order__exchange": exchange, "order__symbol": symbol}
    return Fill.objects.filter(dated_since("recorded_at", since, now), **of_it).order_by().values_list("pk")[:1]


def _adjusted(mode: str, exchange: str, symbol: str, since: datetime, now: datetime) -> QuerySet[Any, Any]:
    of_it = {"mode": mode, "exchange": exchange, "symbol": symbol}
    return Adjustment.objects.filter(dated_since("at", since, now), **of_it).order_by().values_list("pk")[:1]


_OF_A_SYMBOL = {"mode": str, "exchange": str, "symbol": str, "since": datetime, "now": datetime}
_MOVED, _FILLED, _ADJUSTED = (Question[tuple[int]](each, **_OF_A_SYMBOL) for each in (_moved, _filled, _adjusted))
