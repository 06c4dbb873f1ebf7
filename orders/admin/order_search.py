"""Orders found by an id, exactly: ours, the broker's, its signal's, its decision's or a trade's; or by a symbol."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from orders.models import Fill, Order, Signal
from risk.models import Mode

FOUND_MAX = 200  # orders of one id: one, or as many as a signal had attempts
_DIGITS_MAX = 18  # what a row's number can have


def named_exactly(term: str) -> list[int]:
    """
    Return the orders that the id names, whatever it is an id of, as their primary keys.

    One query for each kind, in one statement: an OR over joined tables would read all of them.
    """
    orders = Order.objects.order_by()
    signals = Signal.objects.filter(mode__in=Mode.values, signal_id=term).order_by().values("pk")
    found = [
        orders.filter(client_order_id=term.upper()),
        orders.filter(broker_order_id=term),
        orders.filter(broker_order_id=term.upper()),
        orders.filter(signal__in=signals),
        orders.filter(pk__in=Fill.objects.filter(trade_id=term).order_by().values("order")),
    ]
    if term.isascii() and term.isdigit() and len(term) <= _DIGITS_MAX:
        found.append(orders.filter(decision=int(term)))
    first, *others = (each.values_list("pk", flat=True) for each in found)
    return list(first.union(*others)[:FOUND_MAX])


def searched(queryset: QuerySet[Order], text: str) -> QuerySet[Order]:
    """
    Return the orders of the queryset that the text names: an id, or a symbol.

    Both at once is asked for only where there is both: PostgreSQL looks for the newest of either by going back through
    all orders, and of an id that is no symbol through every one there is.
    """
    term = text.strip()
    if not term:
        return queryset
    keys, by_symbol = named_exactly(term), Q(symbol=term.upper())
    if not keys:
        return queryset.filter(by_symbol)
    named = Q(pk__in=keys)
    return queryset.filter(named | by_symbol if Order.objects.filter(by_symbol).exists() else named)
