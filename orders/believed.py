"""What the ledger believes of the orders that a book of the broker may speak of, as it stands and without a lock."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.db.models import Count, Q, Value
from django.db.models.functions import Coalesce

from orders.broker.gateway import BrokerBook
from orders.comparison import Believed
from orders.lifecycle import UNFINISHED
from orders.models import Fill, Order, OrderModification
from orders.models.order import OrderQuerySet

_BESIDE = ("broker_fills", "is_turned_away", "being_modified")  # stands in other tables
_OWN = [name for name in Believed._fields if name not in _BESIDE]
_COLUMNS = [Coalesce(name, Value("")) if name == "client_order_id" else name for name in _OWN]
_PK, _TAG, _BROKER_ID = (_OWN.index(name) for name in ("pk", "client_order_id", "broker_order_id"))

Row = tuple[Any, ...]


def believed(mode: str, book: BrokerBook, book_date: date) -> list[Believed]:
    """
    Return what may be matched: the orders of the book's date, the unfinished ones, and all that the book names.

    What stands beside the orders is asked for after them, each kind at once, so it is never older than they are.
    """
    likely = Order.objects.filter(Q(trading_date=book_date) | Q(status__in=UNFINISHED), mode=mode)
    found = _rows(likely)
    others = _rows(_named_beside(mode, book, found))
    turned_away = set(Order.objects.not_borne_out(mode, book_date).values_list("pk", flat=True))
    being_modified = set(OrderModification.objects.unfinished(mode).values_list("order", flat=True))
    fills = {**_broker_fills(likely), **(_broker_fills([row[_PK] for row in others]) if others else {})}
    return [
        Believed._make((*row, fills.get(row[_PK], 0), row[_PK] in turned_away, row[_PK] in being_modified))
        for row in sorted(found + others, key=lambda row: -row[_PK])
    ]


def _rows(orders: OrderQuerySet) -> list[Row]:
    return list(orders.order_by().values_list(*_COLUMNS))


def _named_beside(mode: str, book: BrokerBook, found: list[Row]) -> OrderQuerySet:
    """Return the orders that the book names and that were not found by their date or status."""
    tags = {report.tag for report in book.orders} - {row[_TAG] for row in found} - {""}
    broker_ids = {report.broker_order_id for report in book.orders} - {row[_BROKER_ID] for row in found}
    if not (tags or broker_ids):
        return Order.objects.none()
    return Order.objects.filter(Q(client_order_id__in=tags) | Q(broker_order_id__in=broker_ids), mode=mode)


def _broker_fills(orders: OrderQuerySet | list[int]) -> dict[int, int]:
    """Return how many of the broker's trades are recorded of each order that has any."""
    fills = Fill.objects.filter(source=Fill.Source.BROKER, order__in=orders).order_by()
    return dict(fills.values_list("order").annotate(count=Count("pk")))
