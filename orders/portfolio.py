"""The book in the shape the risk engine wants: counters are queries over the ledger, never state of their own."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Count, F, Max, Q, QuerySet, Value

from orders import external
from orders.broker.sessions import SESSION
from orders.day import POSITIONS, ask_day, day_of_account, last_price
from orders.desk import Desk, trading_date
from orders.lifecycle import INFERRED, MODIFICATION_UNFINISHED, UNFINISHED, ModificationState, OrderStatus
from orders.models import (
    Adjustment,
    Fill,
    Instrument,
    Order,
    OrderEvent,
    OrderModification,
    Position,
)
from orders.models.order import FUTURE_MAX, OrderQuerySet, dated_since
from orders.observed import Observed
from orders.rejections import ask_rejections
from orders.session_hours import market_of
from orders.traffic import ask_traffic
from risk.engine.day import DayResult
from risk.engine.facts import Elsewhere, Funds, Holding, Origin, Portfolio, Side, TradingState
from risk.engine.limits import Limits
from risk.models import TradingControl
from risk.models.incident import STOPS
from risk.questions import Later, Question, together

Key = tuple[str, str]  # exchange and symbol

# The last price that an order was decided by: what one without a limit is valued at.
_PRICE_AT_DECISION = "decision__facts__portfolio__quote__price"
_OF_AN_ORDER = (
    "exchange",
    "symbol",
    "side",
    "filled_quantity",
    "status",
    "quantity_at_worst",
    "price_at_worst",
    _PRICE_AT_DECISION,
)
_UNKNOWN_TO_THE_BROKER = (OrderStatus.PENDING, OrderStatus.SUBMITTING, OrderStatus.IN_DOUBT)


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
        book = ask_book(desk, instrument, observed, now)
    return book(control, limits, without)


def ask_book(desk: Desk, instrument: Instrument, observed: Observed, now: datetime) -> Callable[..., Portfolio]:
    """Ask for the book as `snapshot` returns it; what is returned tells it, for the switch and the limits in force."""
    here: dict[str, Any] = {
        "mode": desk.mode,
        "now": now,
        "exchange": instrument.exchange,
        "symbol": instrument.symbol,
    }
    today = trading_date(now)
    session = SESSION.ask(mode=desk.mode)
    positions, lines, day = POSITIONS.ask(mode=desk.mode), _ask_lines(desk, now), ask_day(desk, now)
    made = _MADE.ask(**here, today=today, day_before=today - timedelta(days=1))
    rejections = ask_rejections(desk.mode, now=now)
    stops = STOPS.ask(mode=desk.mode, symbol=instrument.symbol)
    requests = ask_traffic(desk, now)
    committed = None if observed.funds is None else _ask_committed(desk.mode, observed.funds, now)
    moved = None if observed.broker_as_of is None else _ask_changed(**here, since=observed.broker_as_of)

    def told(control: TradingControl, limits: Limits, without: Order | None = None) -> Portfolio:
        login = next(iter(session()), None)
        held = positions()
        by_symbol, orders = lines(held, limits, without)
        line = by_symbol.pop((instrument.exchange, instrument.symbol), _Line())
        if limits.include_external and not external.is_known(desk):
            line.external = None
        (counts,), (streak, lately) = made(), rejections()
        return Portfolio(
            state=TradingState(control.state),
            auto_trading=control.auto_trading and desk.auto_trading_allowed,
            is_live=desk.is_live,
            armed=bool(login and control.armed_user_id and control.armed_user_id == login.user_id),
            session_valid=desk.vault.is_valid(now, login),
            reconciled_at=login.reconciled_at if login else None,
            trades_today=counts["today"],
            orders_in_doubt=sum(order["status"] == OrderStatus.IN_DOUBT for order in orders),
            day_loss=_day_loss(desk, limits, now, day(held, limits.charges_percent)),
            holding=_holding(observed, line, counts, stale=moved is not None and moved()),
            quote=observed.quote,
            market=market_of(desk, instrument, now=now),
            stops=tuple(title for (title,) in stops()),
            traffic=requests(),
            band=observed.band,
            funds=None if committed is None else committed(),
            others=tuple(each.elsewhere(symbol) for (_, symbol), each in sorted(by_symbol.items()) if each.is_open),
            open_orders=len(orders),
            rejections_in_a_row=streak,
            rejections_lately=lately,
        )

    return told


def _day_loss(desk: Desk, limits: Limits, now: datetime, ours: DayResult) -> Decimal | None:
    if not limits.include_external:
        return ours.loss
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
        positions, asked = POSITIONS.ask(mode=desk.mode), _ask_lines(desk, now)
    lines, orders = asked(positions(), limits)
    found = tuple((key, line.elsewhere(key[1])) for key, line in sorted(lines.items()) if line.is_open)
    doubted = sum(order["status"] == OrderStatus.IN_DOUBT for order in orders)
    alike = Counter(f"{order['side']} {order['symbol']}" for order in orders)
    busiest = max(alike.items(), key=lambda side: side[1], default=("", 0))
    return OpenBook(lines=found, open_orders=len(orders), in_doubt=doubted, busiest=busiest)


@dataclass(kw_only=True)
class _Line:
    """One symbol of the book, gathered from its positions and its unfinished orders."""

    own: int = 0
    buys: list[dict[str, Any]] = field(default_factory=list)
    sells: list[dict[str, Any]] = field(default_factory=list)
    prices: list[Decimal | None] = field(default_factory=list)  # of what is held; None where there is none
    external: int | None = 0  # shares, where they count; None where that is not known
    external_buys: list[dict[str, Any]] = field(default_factory=list)
    external_sells: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        return bool(self.own or self.buys or self.sells or self.external or self.external_buys or self.external_sells)

    @property
    def all_buys(self) -> list[dict[str, Any]]:
        return [*self.buys, *self.external_buys]

    def elsewhere(self, symbol: str) -> Elsewhere:
        """Return it as another symbol's part of the book, at the worst of all its prices."""
        prices = [*self.prices, *(_price(order) for order in (*self.all_buys, *self.sells, *self.external_sells))]
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
        positions: Iterable[Position], limits: Limits, without: Order | None = None
    ) -> tuple[dict[Key, _Line], list[dict[str, Any]]]:
        lines: defaultdict[Key, _Line] = defaultdict(_Line)
        beyond: dict[Key, int] = {}
        if limits.include_external:
            beyond = {key: line.external for key, line in external.whole_account(desk.mode).items() if line.external}
        for held in positions:
            _add_position(desk, lines, held, beyond, now)
        orders = [order for order in may_fill() if without is None or order["pk"] != without.pk]
        for order in orders:
            line = lines[order["exchange"], order["symbol"]]
            (line.buys if order["side"] == Side.BUY else line.sells).append(order)
        if limits.include_external:
            for order in external.working_orders(desk.mode, trading_date(now)).at_worst().values(*_OF_AN_ORDER):
                line = lines[order["exchange"], order["symbol"]]
                (line.external_buys if order["side"] == Side.BUY else line.external_sells).append(order)
        return lines, _unfinished(orders)

    return told


def _add_position(
    desk: Desk, lines: defaultdict[Key, _Line], held: Position, beyond: dict[Key, int], now: datetime
) -> None:
    """Add a position to its symbol's line, where anything of the symbol is held by us or by others."""
    key = (held.exchange, held.symbol)
    if not (held.quantity or beyond.get(key)):
        return
    line = lines[key]
    line.own += held.quantity
    line.external = beyond.get(key, 0)
    line.prices.append(last_price(desk, held, now) or held.average_price or None)


def _unfinished(orders: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out what was turned away: its shares may fill, but it is no order that works."""
    return [order for order in orders if OrderStatus(order["status"]) in UNFINISHED]


def _holding(observed: Observed, line: _Line, counts: dict[str, Any], *, stale: bool) -> Holding:
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
        last_buy_at=counts["last_buy_at"],
        last_sell_at=counts["last_sell_at"],
        external=line.external,
        external_buys=_unfilled(line.external_buys),
    )


def _made(mode: str, exchange: str, symbol: str, now: datetime, today: date, day_before: date) -> QuerySet[Order, Any]:
    """
    Count the trades of today, and find when the newest of each side of the symbol was made: one row.

    What the broker refused is no first order that a second would double; one from the future was dated by a clock that
    was set back since.
    """
    alike = Q(exchange=exchange, symbol=symbol, created_at__lte=now + FUTURE_MAX)
    alike &= ~Q(status__in=INFERRED)
    trades = Order.objects.trades_of(mode, today) | Order.objects.trades_of(mode, day_before)
    counted: QuerySet[Order, Any] = (
        trades.order_by()
        .values(in_all=Value(1))
        .annotate(
            today=Count("pk", filter=Q(trading_date=today)),
            last_buy_at=Max("created_at", filter=alike & Q(side=Side.BUY.value)),
            last_sell_at=Max("created_at", filter=alike & Q(side=Side.SELL.value)),
        )
    )
    return counted


_MADE = Question[dict[str, Any]](_made, mode=str, exchange=str, symbol=str, now=datetime, today=date, day_before=date)


def _ask_committed(mode: str, funds: Funds, now: datetime) -> Later[Funds]:
    """Ask what our own buys may take of the funds that the broker did not know of when they were read."""
    at = {"mode": mode, "since": funds.as_of, "now": now}
    first_day = trading_date(funds.as_of) - timedelta(days=1)
    asked = [
        _UNKNOWN_BUYS.ask(mode=mode, first_day=first_day),
        _BUYS_LEARNT_OF.ask(**at),
        _BUYS_NO_LONGER_DOUBTED.ask(**at),
    ]
    modified = _MODIFIED_SINCE.ask(**at)

    def told() -> Funds:
        buys = list({buy["pk"]: buy for rows in asked for buy in rows()}.values())
        # What modifications may take besides: those under way, and those that took effect since.
        more = [each.quantity * each.price - each.quantity_before * each.price_before for each in modified()]
        if any(_price(order) is None for order in buys):
            return replace(funds, committed=None)
        return replace(
            funds,
            committed=_value(order for order in buys if order["price_at_worst"] is not None)
            + sum((max(value, Decimal(0)) for value in more), Decimal(0)),
            committed_at_market=_value(order for order in buys if order["price_at_worst"] is None),
        )

    return told


def _as_committed(buys: OrderQuerySet) -> QuerySet[Order, Any]:
    placed = buys.filter(side=Side.BUY.value).exclude(origin=Origin.EXTERNAL).exclude(status__in=INFERRED)
    terms: QuerySet[Order, Any] = (
        placed.order_by().at_worst().values("pk", "quantity_at_worst", "price_at_worst", _PRICE_AT_DECISION)
    )
    return terms


def _unknown_buys(mode: str, first_day: date) -> QuerySet[Order, Any]:
    unknown = Order.objects.filter(mode=mode, status__in=sorted(_UNKNOWN_TO_THE_BROKER), trading_date__gte=first_day)
    return _as_committed(unknown)


def _buys_learnt_of(mode: str, since: datetime, now: datetime) -> QuerySet[Order, Any]:
    """Return what the broker came to know since: each of these three is found by an index, one "or" by none."""
    return _as_committed(Order.objects.filter(dated_since("answered_at", since, now), mode=mode))


def _buys_no_longer_doubted(mode: str, since: datetime, now: datetime) -> QuerySet[Order, Any]:
    ended = OrderEvent.objects.filter(dated_since("at", since, now), before=OrderStatus.IN_DOUBT)
    return _as_committed(Order.objects.filter(mode=mode, pk__in=ended.exclude(after=F("before")).values("order")))


def _modified_since(mode: str, since: datetime, now: datetime) -> QuerySet[OrderModification, Any]:
    lately = Q(state=ModificationState.TOOK_EFFECT) & dated_since("ended_at", since, now)
    buys = OrderModification.objects.filter(order__mode=mode, order__side=Side.BUY.value)
    return buys.filter(lately | Q(state__in=MODIFICATION_UNFINISHED))


_UNKNOWN_BUYS = Question[dict[str, Any]](_unknown_buys, mode=str, first_day=date)
_BUYS_LEARNT_OF, _BUYS_NO_LONGER_DOUBTED = (
    Question[dict[str, Any]](each, mode=str, since=datetime, now=datetime)
    for each in (_buys_learnt_of, _buys_no_longer_doubted)
)
_MODIFIED_SINCE = Question[OrderModification](_modified_since, mode=str, since=datetime, now=datetime)


def _value(orders: Iterable[dict[str, Any]]) -> Decimal:
    return sum((order["quantity_at_worst"] * (_price(order) or 0) for order in orders), Decimal(0))


def _price(order: dict[str, Any]) -> Decimal | None:
    """Return an order's limit, or for one without the last price that it was decided by."""
    price = order["price_at_worst"] if order["price_at_worst"] is not None else order[_PRICE_AT_DECISION]
    return None if price is None else Decimal(price)


def _unfilled(orders: list[dict[str, Any]]) -> int:
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
