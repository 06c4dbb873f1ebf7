"""
What the ledger believes of the orders that a book of the broker may speak of, as it stands and without a lock.

Next to nothing of a full day changes from one reading of the book to the next. So PostgreSQL is asked for each row's
stamp, and only rows with a new one are read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date
from operator import attrgetter
from typing import Any

from django.contrib.postgres.aggregates import StringAgg
from django.db import connection
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery, TextField, Value
from django.db.models.expressions import RawSQL
from django.db.models.functions import Cast, Coalesce, Concat

from orders.broker.gateway import BrokerBook
from orders.comparison import Believed, Settled
from orders.lifecycle import UNFINISHED
from orders.many_rows import IsAnyOf, as_text
from orders.models import Fill, Order, OrderModification
from orders.models.order import OrderQuerySet
from risk.questions import Later, Question, together

_BESIDE = ("is_turned_away", "being_modified")  # stands in other tables, and is asked for each time
_OWN = [name for name in Believed._fields if name not in _BESIDE]

Stamped = tuple[Any, ...]  # a stamp, and what was read under it


class Beliefs:
    """
    What is believed, remembered from one reading of the book to the next. One may be new each time: then all is read.

    It is of one thread. Over another line to the database nothing is remembered: another server may answer there, whose
    stamps say nothing of this one's.
    """

    def __init__(self) -> None:
        self._line: object = None
        self._known: dict[str, Believed] = {}
        self.settled = Settled()

    def of(self, mode: str, book: BrokerBook, book_date: date) -> list[Believed]:
        """
        Return what may be matched: the orders of the book's date, the unfinished ones, and all that the book names.

        What stands beside the orders is asked for after them, each kind at once, so it is never older than they are.
        """
        with together():  # each is answered by what is committed when its turn comes
            asked, beside = _STAMPS.ask(mode=mode, day=book_date), _ask_beside(mode, book_date)
        line: object = connection.connection  # that they were told over
        known = self._known if line is self._line else {}
        ((text,),) = asked()
        stamps = text.split(_BETWEEN) if text else []
        orders = {stamp: known[stamp] for stamp in stamps if stamp in known}
        if len(orders) < len(stamps):
            news = [int(stamp.partition(" ")[0]) for stamp in stamps if stamp not in known]
            with together():
                rows, beside = _ROWS.ask(pks=as_text(news)), _ask_beside(mode, book_date)
            orders |= _as_believed(rows())
        named = _named_beside(mode, book, orders.values())
        if others := _as_believed(named.order_by().values_list(*_COLUMNS)):
            read_again = {order.pk for order in others.values()}  # found above, too, where it got its id meanwhile
            orders = {stamp: order for stamp, order in orders.items() if order.pk not in read_again} | others
            with together():
                beside = _ask_beside(mode, book_date)
        self._line, self._known = line, orders
        turned_away, being_modified = beside()
        return [
            order
            if order.pk not in turned_away and order.pk not in being_modified
            else order._replace(is_turned_away=order.pk in turned_away, being_modified=order.pk in being_modified)
            for order in sorted(orders.values(), key=_pk, reverse=True)
        ]


_pk = attrgetter("pk")


def _as_believed(rows: Iterable[Stamped]) -> dict[str, Believed]:
    return {stamp: Believed._make((*row, False, False)) for stamp, *row in rows}


def _ask_beside(mode: str, book_date: date) -> Later[tuple[set[int], set[int]]]:
    """Ask which orders were turned away, and not borne out, and which are being modified."""
    turned_away, being_modified = _TURNED_AWAY.ask(mode=mode, day=book_date), _BEING_MODIFIED.ask(mode=mode)
    return lambda: ({pk for (pk,) in turned_away()}, {pk for (pk,) in being_modified()})


def _named_beside(mode: str, book: BrokerBook, found: Collection[Believed]) -> OrderQuerySet:
    """Return the orders that the book names and that were not found by their date or status."""
    tags = {report.tag for report in book.orders} - {order.client_order_id for order in found} - {""}
    broker_ids = {report.broker_order_id for report in book.orders} - {order.broker_order_id for order in found}
    if not (tags or broker_ids):
        return Order.objects.none()
    return Order.objects.filter(Q(client_order_id__in=tags) | Q(broker_order_id__in=broker_ids), mode=mode)


def _likely(mode: str, day: date) -> OrderQuerySet:
    return Order.objects.filter(Q(trading_date=day) | Q(status__in=UNFINISHED), mode=mode).order_by()


_FILLS = Coalesce(  # how many of the broker's trades are recorded of the order
    Subquery(
        Fill.objects.filter(source=Fill.Source.BROKER, order=OuterRef("pk"))
        .order_by()
        .values("order")
        .annotate(count=Count("pk"))
        .values("count")
    ),
    0,
)
# A version of a row was written by one transaction, at one place: no other version of it has both (PostgreSQL, System
# columns), as long as one server has it and within two thousand million transactions, of which there are none so many
# between two readings. What else is read of an order is how many fills it has, which stand in rows of their own.
_VERSION = RawSQL('"orders_order".xmin::text || "orders_order".ctid::text', (), TextField())
_STAMP = Concat(
    Cast("pk", TextField()), Value(" "), _VERSION, Value(" "), Cast(_FILLS, TextField()), output_field=TextField()
)
_BETWEEN = "\n"  # is in no stamp
_STAND_FOR = {"client_order_id": Coalesce("client_order_id", Value("")), "broker_fills": _FILLS}
_COLUMNS = [_STAMP, *(_STAND_FOR.get(name, name) for name in _OWN)]


def _stamps(mode: str, day: date) -> QuerySet[Order, Any]:
    """Return all stamps as one text, None for none: thousands of rows would take ten times as long to be made out."""
    in_all = _likely(mode, day).values(in_all=Value(1))
    return in_all.annotate(stamps=StringAgg(_STAMP, _BETWEEN)).values_list("stamps")


_STAMPS = Question[tuple[str | None]](_stamps, mode=str, day=date)
_ROWS = Question[Stamped](
    lambda pks: Order.objects.filter(IsAnyOf("pk", pks, of="bigint")).order_by().values_list(*_COLUMNS), pks=str
)
_TURNED_AWAY = Question[tuple[int]](
    lambda mode, day: Order.objects.not_borne_out(mode, day).order_by().values_list("pk"), mode=str, day=date
)
_BEING_MODIFIED = Question[tuple[int]](
    lambda mode: OrderModification.objects.unfinished(mode).order_by().values_list("order"), mode=str
)
