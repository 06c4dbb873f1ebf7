"""The book in the shape the risk engine wants: counters are queries over the ledger, never state of their own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Count, Exists, F, Max, OuterRef, Q

from orders.day import day_of_account, last_price
from orders.desk import Desk, trading_date
from orders.lifecycle import INFERRED, OrderStatus
from orders.models import Adjustment, BrokerSession, Fill, Instrument, Order, OrderEvent, Position
from orders.models.order import FUTURE_MAX, dated_since
from orders.quotes import available_funds, broker_positions, broker_positions_lately, quote_and_band
from orders.rejections import rejections_of
from orders.session_hours import market_of
from orders.traffic import traffic
from risk.engine.facts import Elsewhere, Funds, Holding, Portfolio, PriceBand, Quote, Side, TradingState
from risk.engine.limits import Limits
from risk.models import Incident, TradingControl

Key = tuple[str, str]  # exchange and symbol

# The last price that an order was decided by: what one without a limit is valued at.
_PRICE_AT_DECISION = "decision__facts__portfolio__quote__price"
_UNKNOWN_TO_THE_BROKER = (OrderStatus.PENDING, OrderStatus.SUBMITTING, OrderStatus.IN_DOUBT)


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What was fetched from the broker before the lock was taken, with when each reading began."""

    quote: Quote | None = None
    band: PriceBand | None = None
    funds: Funds | None = None
    broker_quantity: int | None = None
    broker_as_of: datetime | None = None


NOTHING_OBSERVED = Observed()


def observe(
    desk: Desk,
    exchange: str,
    symbol: str,
    *,
    with_position: bool,
    with_funds: bool = False,
    waits: bool = False,
) -> Observed:
    """
    Fetch the last price and the price band, for a sale the broker's position, and for a purchase what may be spent.

    What cannot be read stays unknown. Who waits for the position, and so asks again and again, shares one reading a
    second.
    """
    quote, band = quote_and_band(desk, exchange, symbol)
    observed = Observed(quote=quote, band=band, funds=available_funds(desk) if with_funds else None)
    read = broker_positions_lately if waits else broker_positions
    positions = read(desk) if with_position else None
    if positions is None:
        return observed
    net, as_of = positions
    return replace(observed, broker_quantity=net.get((exchange, symbol), 0), broker_as_of=as_of)


def snapshot(
    desk: Desk, control: TradingControl, instrument: Instrument, observed: Observed, *, limits: Limits, now: datetime
) -> Portfolio:
    """Return the book as it is while the caller holds the lock."""
    session = BrokerSession.objects.filter(mode=desk.mode).first()
    incidents = Incident.objects.stopping(desk.mode, instrument.symbol)
    lines, orders = _lines(desk, now)
    here = lines.pop((instrument.exchange, instrument.symbol), _Line())
    counts = _orders_made(desk.mode, instrument, now)
    streak, lately = rejections_of(desk.mode, now=now)
    return Portfolio(
        state=TradingState(control.state),
        auto_trading=control.auto_trading and desk.auto_trading_allowed,
        is_live=desk.is_live,
        armed=bool(session and control.armed_user_id and control.armed_user_id == session.user_id),
        session_valid=desk.vault.is_valid(now),
        reconciled_at=session.reconciled_at if session else None,
        trades_today=counts["today"],
        orders_in_doubt=sum(order["status"] == OrderStatus.IN_DOUBT for order in orders),
        day_loss=day_of_account(desk, charges_percent=limits.charges_percent, now=now).loss,
        holding=_holding(desk, instrument, observed, here, counts, now),
        quote=observed.quote,
        market=market_of(desk, instrument, now=now),
        stops=tuple(incidents.values_list("title", flat=True)),
        traffic=traffic(desk, now),
        band=observed.band,
        funds=observed.funds and _with_what_is_committed(desk.mode, observed.funds, now),
        others=tuple(line.elsewhere(symbol) for (_, symbol), line in sorted(lines.items()) if line.is_open),
        open_orders=len(orders),
        rejections_in_a_row=streak,
        rejections_lately=lately,
    )


@dataclass(kw_only=True)
class _Line:
    """One symbol of the book, gathered from its positions and its unfinished orders."""

    own: int = 0
    buys: list[dict[str, Any]] = field(default_factory=list)
    sells: list[dict[str, Any]] = field(default_factory=list)
    prices: list[Decimal | None] = field(default_factory=list)  # of what is held; None where there is none

    @property
    def is_open(self) -> bool:
        return bool(self.own or self.buys or self.sells)

    def elsewhere(self, symbol: str) -> Elsewhere:
        """Return it as another symbol's part of the book, at the worst of all its prices."""
        prices = [*self.prices, *(_price(order) for order in (*self.buys, *self.sells))]
        known = [price for price in prices if price is not None]
        return Elsewhere(
            symbol=symbol,
            own=self.own,
            working_buys=_unfilled(self.buys),
            working_sells=_unfilled(self.sells),
            price=max(known) if len(known) == len(prices) else None,
            market_buys_work=any(order["price"] is None for order in self.buys),
        )


def _lines(desk: Desk, now: datetime) -> tuple[dict[Key, _Line], list[dict[str, Any]]]:
    """Return every symbol that is held or has an unfinished order of ours, and those orders."""
    lines: defaultdict[Key, _Line] = defaultdict(_Line)
    for held in Position.objects.filter(mode=desk.mode).exclude(quantity=0):
        line = lines[held.exchange, held.symbol]
        line.own += held.quantity
        line.prices.append(last_price(desk, held, now) or held.average_price or None)
    orders = list(
        Order.objects.unfinished(desk.mode).values(
            "exchange", "symbol", "side", "quantity", "filled_quantity", "price", "status", _PRICE_AT_DECISION
        )
    )
    for order in orders:
        line = lines[order["exchange"], order["symbol"]]
        (line.buys if order["side"] == Side.BUY else line.sells).append(order)
    return lines, orders


def _holding(
    desk: Desk, instrument: Instrument, observed: Observed, line: _Line, counts: dict[str, Any], now: datetime
) -> Holding:
    same = {"mode": desk.mode, "exchange": instrument.exchange, "symbol": instrument.symbol}
    # What happened after the broker's position began to be read may be missing from it.
    stale = observed.broker_as_of is not None and _changed_since(same, observed.broker_as_of, now)
    bids = [order["price"] for order in line.buys if order["price"] is not None]
    return Holding(
        own=line.own,
        broker=None if stale else observed.broker_quantity,
        broker_as_of=None if stale else observed.broker_as_of,
        working_buys=_unfilled(line.buys),
        working_sells=_unfilled(line.sells),
        highest_working_bid=max(bids, default=None),
        market_buys_work=len(bids) < len(line.buys),
        buy_orders=len(line.buys),
        sell_orders=len(line.sells),
        last_buy_at=counts["last_buy_at"],
        last_sell_at=counts["last_sell_at"],
    )


def _orders_made(mode: str, instrument: Instrument, now: datetime) -> dict[str, Any]:
    """
    Count the trades of today, and find when the newest of each side of the symbol was made.

    What the broker refused is no first order that a second would double; one from the future was dated by a clock that
    was set back since.
    """
    today = trading_date(now)
    alike = Q(exchange=instrument.exchange, symbol=instrument.symbol, created_at__lte=now + FUTURE_MAX)
    alike &= ~Q(status__in=INFERRED)
    trades = Order.objects.trades_of(mode, today) | Order.objects.trades_of(mode, today - timedelta(days=1))
    found: dict[str, Any] = trades.aggregate(
        today=Count("pk", filter=Q(trading_date=today)),
        last_buy_at=Max("created_at", filter=alike & Q(side=Side.BUY.value)),
        last_sell_at=Max("created_at", filter=alike & Q(side=Side.SELL.value)),
    )
    return found


def _with_what_is_committed(mode: str, funds: Funds, now: datetime) -> Funds:
    """Add what our own buys may take of the funds that the broker did not know of when they were read."""
    since = dated_since("at", funds.as_of, now)
    learnt = OrderEvent.objects.filter(since, order=OuterRef("pk"), before__in=_UNKNOWN_TO_THE_BROKER)
    unknown = Q(status__in=_UNKNOWN_TO_THE_BROKER) | Exists(learnt.exclude(before=F("after")))
    buys = list(
        Order.objects.ours(mode)
        .filter(unknown, side=Side.BUY.value, trading_date__gte=trading_date(funds.as_of) - timedelta(days=1))
        .exclude(status__in=INFERRED)
        .values("quantity", "price", _PRICE_AT_DECISION)
    )
    if any(_price(order) is None for order in buys):
        return replace(funds, committed=None)
    return replace(
        funds,
        committed=_value(order for order in buys if order["price"] is not None),
        committed_at_market=_value(order for order in buys if order["price"] is None),
    )


def _value(orders: Iterable[dict[str, Any]]) -> Decimal:
    return sum((order["quantity"] * (_price(order) or 0) for order in orders), Decimal(0))


def _price(order: dict[str, Any]) -> Decimal | None:
    """Return an order's limit, or for one without the last price that it was decided by."""
    price = order["price"] if order["price"] is not None else order[_PRICE_AT_DECISION]
    return None if price is None else Decimal(price)


def _unfilled(orders: list[dict[str, Any]]) -> int:
    return sum(max(0, order["quantity"] - order["filled_quantity"]) for order in orders)


def _changed_since(same: dict[str, str], moment: datetime, now: datetime) -> bool:
    of_it = {f"order__{name}": value for name, value in same.items()}
    moved = OrderEvent.objects.filter(dated_since("at", moment, now), **of_it).exclude(before=F("after"))
    if Adjustment.objects.filter(dated_since("at", moment, now), **same).exists():
        return True
    return moved.exists() or Fill.objects.filter(dated_since("recorded_at", moment, now), **of_it).exists()
