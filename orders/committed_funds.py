"""What our own buys may take of the funds that the broker told, and did not know of when it told them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import F, Q, QuerySet

from orders.desk import trading_date
from orders.lifecycle import INFERRED, MODIFICATION_UNFINISHED, ModificationState, OrderStatus
from orders.models import Order, OrderEvent, OrderModification
from orders.models.order import OrderQuerySet
from orders.models.quarters import FUTURE_MAX, dated_since, is_found, lately
from risk.engine.facts import Funds, Origin, Side
from risk.questions import Later, Question

_TERMS = ("pk", "quantity_at_worst", "price_at_worst", "price_at_decision")
_UNKNOWN_TO_THE_BROKER = (OrderStatus.PENDING, OrderStatus.SUBMITTING, OrderStatus.IN_DOUBT)


def ask_committed(mode: str, funds: Funds, now: datetime) -> Later[Funds]:
    """
    Ask what our own buys may take of the funds that the broker did not know of when they were read.

    That is unknown of funds read so long ago that not all since would be found: they are too old to buy with anyway.
    """
    if not is_found(funds.as_of, now + FUTURE_MAX):
        return lambda: replace(funds, committed=None)
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
        if any(price_of(order) is None for order in buys):
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
    terms: QuerySet[Order, Any] = placed.order_by().at_worst().values(*_TERMS)
    return terms


def _unknown_buys(mode: str, first_day: date) -> QuerySet[Order, Any]:
    unknown = Order.objects.filter(mode=mode, status__in=sorted(_UNKNOWN_TO_THE_BROKER), trading_date__gte=first_day)
    return _as_committed(unknown)


def _buys_learnt_of(mode: str, since: datetime, now: datetime) -> QuerySet[Order, Any]:
    """Return what the broker came to know since: each of these three is found by an index, one "or" by none."""
    return _as_committed(Order.objects.filter(lately("answered_at", since, now + FUTURE_MAX), mode=mode))


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
    return sum((order["quantity_at_worst"] * (price_of(order) or 0) for order in orders), Decimal(0))


def price_of(order: dict[str, Any]) -> Decimal | None:
    """Return an order's limit, or for one without the last price that it was decided by."""
    price = order["price_at_worst"] if order["price_at_worst"] is not None else order["price_at_decision"]
    return None if price is None else Decimal(price)
