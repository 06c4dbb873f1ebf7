"""The book in the shape the risk engine wants: counters are queries over the ledger, never state of their own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import F, Max, QuerySet, Sum

from orders.day import day_of_account
from orders.desk import Desk, trading_date
from orders.models import Adjustment, BrokerSession, Fill, Instrument, Order, OrderEvent, Position
from orders.models.order import dated_since
from orders.quotes import broker_positions, broker_positions_lately, last_quote
from orders.session_hours import market_of
from orders.traffic import traffic
from risk.engine.facts import Holding, Portfolio, Quote, Side, TradingState
from risk.engine.limits import Limits
from risk.models import Incident, TradingControl


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What was fetched from the broker before the lock was taken, with when each reading began."""

    quote: Quote | None = None
    broker_quantity: int | None = None
    broker_as_of: datetime | None = None


NOTHING_OBSERVED = Observed()


def observe(desk: Desk, exchange: str, symbol: str, *, with_position: bool, waits: bool = False) -> Observed:
    """
    Fetch the last price, and for a sale the broker's position. What cannot be read stays unknown.

    Who waits for the position, and so asks again and again, shares one reading a second.
    """
    quote = last_quote(desk, exchange, symbol)
    read = broker_positions_lately if waits else broker_positions
    positions = read(desk) if with_position else None
    if positions is None:
        return Observed(quote=quote)
    net, as_of = positions
    return Observed(quote=quote, broker_quantity=net.get((exchange, symbol), 0), broker_as_of=as_of)


def snapshot(
    desk: Desk, control: TradingControl, instrument: Instrument, observed: Observed, *, limits: Limits, now: datetime
) -> Portfolio:
    """Return the book as it is while the caller holds the lock."""
    session = BrokerSession.objects.filter(mode=desk.mode).first()
    incidents = Incident.objects.stopping(desk.mode, instrument.symbol)
    return Portfolio(
        state=TradingState(control.state),
        auto_trading=control.auto_trading and desk.auto_trading_allowed,
        is_live=desk.is_live,
        armed=bool(session and control.armed_user_id and control.armed_user_id == session.user_id),
        session_valid=desk.vault.is_valid(now),
        reconciled_at=session.reconciled_at if session else None,
        trades_today=Order.objects.trades_of(desk.mode, trading_date(now)).count(),
        orders_in_doubt=Order.objects.in_doubt(desk.mode).count(),
        day_loss=day_of_account(desk, charges_percent=limits.charges_percent, now=now).loss,
        holding=_holding(desk, instrument, observed, now),
        quote=observed.quote,
        market=market_of(desk, instrument, now=now),
        stops=tuple(incidents.values_list("title", flat=True)),
        traffic=traffic(desk, now),
    )


def _holding(desk: Desk, instrument: Instrument, observed: Observed, now: datetime) -> Holding:
    same = {"mode": desk.mode, "exchange": instrument.exchange, "symbol": instrument.symbol}
    working = Order.objects.unfinished(desk.mode).filter(**same)
    buys = working.filter(side=Side.BUY.value)
    own = Position.objects.filter(**same).aggregate(own=Sum("quantity"))["own"] or 0
    # What happened after the broker's position began to be read may be missing from it.
    stale = observed.broker_as_of is not None and _changed_since(same, observed.broker_as_of, now)
    return Holding(
        own=own,
        broker=None if stale else observed.broker_quantity,
        broker_as_of=None if stale else observed.broker_as_of,
        working_buys=_unfilled(buys),
        working_sells=_unfilled(working.filter(side=Side.SELL.value)),
        highest_working_bid=buys.aggregate(highest=Max("price"))["highest"],
        market_buys_work=buys.filter(price__isnull=True).exists(),
    )


def _unfilled(orders: QuerySet[Order]) -> int:
    return sum(order.unfilled_quantity for order in orders.only("quantity", "filled_quantity"))


def _changed_since(same: dict[str, str], moment: datetime, now: datetime) -> bool:
    of_it = {f"order__{name}": value for name, value in same.items()}
    moved = OrderEvent.objects.filter(dated_since("at", moment, now), **of_it).exclude(before=F("after"))
    if Adjustment.objects.filter(dated_since("at", moment, now), **same).exists():
        return True
    return moved.exists() or Fill.objects.filter(dated_since("recorded_at", moment, now), **of_it).exists()
