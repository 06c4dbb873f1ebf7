"""What the ledger believes of the orders that a book of the broker may speak of, as it stands and without a lock."""

from __future__ import annotations

from datetime import date
from operator import itemgetter
from typing import Any

from django.db.models import Count, Q, QuerySet, Value
from django.db.models.functions import Coalesce

from orders.broker.gateway import BrokerBook
from orders.comparison import Believed
from orders.lifecycle import UNFINISHED
from orders.models import Fill, Order, OrderModification
from orders.models.order import OrderQuerySet
from risk.questions import Later, Question, together

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
    with together():  # each is answered by what is committed when its turn comes
        asked, beside = _LIKELY.ask(mode=mode, day=book_date), _ask_beside(mode, book_date)
        asked_fills = _LIKELY_FILLS.ask(mode=mode, day=book_date)
    found, fills = asked(), dict(asked_fills())
    others = list(_named_beside(mode, book, found).order_by().values_list(*_COLUMNS))
    if others:
        with together():
            beside = _ask_beside(mode, book_date)
        fills |= _broker_fills([row[_PK] for row in others])
    turned_away, being_modified = beside()
    return [
        Believed._make((*row, fills.get(row[_PK], 0), row[_PK] in turned_away, row[_PK] in being_modified))
        for row in sorted(found + others, key=itemgetter(_PK), reverse=True)
    ]


def _ask_beside(mode: str, book_date: date) -> Later[tuple[set[int], set[int]]]:
    """Ask which orders were turned away, and not borne out, and which are being modified."""
    turned_away, being_modified = _TURNED_AWAY.ask(mode=mode, day=book_date), _BEING_MODIFIED.ask(mode=mode)
    return lambda: ({pk for (pk,) in turned_away()}, {pk for (pk,) in being_modified()})


def _named_beside(mode: str, book: BrokerBook, found: list[Row]) -> OrderQuerySet:
    """Return the orders that the book names and that were not found by their date or status."""
    tags = {report.tag for report in book.orders} - {row[_TAG] for row in found} - {""}
    broker_ids = {report.broker_order_id for report in book.orders} - {row[_BROKER_ID] for row in found}
    if not (tags or broker_ids):
        return Order.objects.none()
    return Order.objects.filter(Q(client_order_id__in=tags) | Q(broker_order_id__in=broker_ids), mode=mode)


def _likely(mode: str, day: date) -> OrderQuerySet:
    return Order.objects.filter(Q(trading_date=day) | Q(status__in=UNFINISHED), mode=mode).order_by()


def _fills_of(orders: OrderQuerySet | list[int]) -> QuerySet[Fill, Any]:
    """Return how many of the broker's trades are recorded of each order that has any."""
    fills = Fill.objects.filter(source=Fill.Source.BROKER, order__in=orders).order_by()
    return fills.values_list("order").annotate(count=Count("pk"))


def _broker_fills(orders: list[int]) -> dict[int, int]:
    return dict(_fills_of(orders))


_LIKELY = Question[Row](lambda mode, day: _likely(mode, day).values_list(*_COLUMNS), mode=str, day=date)
_LIKELY_FILLS = Question[tuple[int, int]](lambda mode, day: _fills_of(_likely(mode, day)), mode=str, day=date)
_TURNED_AWAY = Question[tuple[int]](
    lambda mode, day: Order.objects.not_borne_out(mode, day).order_by().values_list("pk"), mode=str, day=date
)
_BEING_MODIFIED = Question[tuple[int]](
    lambda mode: OrderModification.objects.unfinished(mode).order_by().values_list("order"), mode=str
)
