"""What Ctrl-K finds beside the pages: rows by an exact id first, then the lists of a symbol."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse
from unfold.dataclasses import SearchResult

from orders.admin.order_search import named_exactly
from orders.models import Fill, Instrument, Order, Signal
from risk.models import Mode

FOUND_MAX = 20
_LISTS = (
    ("orders.order", "Orders", "receipt_long"),
    ("orders.signal", "Signals", "sensors"),
    ("orders.position", "Positions", "pie_chart"),
    ("orders.holding", "Holdings", "savings"),
    ("orders.fill", "Fills", "done_all"),
    ("orders.decision", "Decisions", "gavel"),
)


def search(request: HttpRequest, lowered: str) -> list[SearchResult]:
    """
    Return at most twenty results that this person may see.

    The theme hands the text over in lower case, and ids tell cases apart: the one that was typed is used. It keeps
    results for five minutes, so none says more than what never changes.
    """
    term = request.GET.get("s", lowered).strip()
    if not term or "\x00" in term:
        return []
    return list(islice(_found(request, term), FOUND_MAX))


def _found(request: HttpRequest, term: str) -> Iterator[SearchResult]:
    if request.user.has_perm("orders.view_order"):
        for order in Order.objects.filter(pk__in=named_exactly(term)).order_by("-id")[:FOUND_MAX]:
            said = f"{order.mode.lower()} order {order.client_order_id or order.broker_order_id}"
            yield _row(f"{order}", f"{said} of {order.trading_date:%d %b %Y}", "orders_order", order.pk, "receipt_long")
    if request.user.has_perm("orders.view_signal"):
        for signal in Signal.objects.filter(mode__in=Mode.values, signal_id=term).defer("raw")[:FOUND_MAX]:
            yield _row(f"{signal}", f"{signal.mode.lower()} signal", "orders_signal", signal.pk, "sensors")
    if request.user.has_perm("orders.view_fill"):
        for fill in Fill.objects.filter(trade_id=term).select_related("order")[:FOUND_MAX]:
            yield _row(f"{fill}", f"fill of {fill.order}", "orders_fill", fill.pk, "done_all")
    symbols = Instrument.objects.filter(symbol=term.upper()).values_list("symbol", flat=True)
    for symbol in list(symbols.distinct()[:1]):
        yield from _lists_of(request, symbol)


def _row(title: str, description: str, page: str, pk: int, icon: str) -> SearchResult:
    return SearchResult(
        title=title, description=description, link=reverse(f"admin:{page}_change", args=(pk,)), icon=icon
    )


def _lists_of(request: HttpRequest, symbol: str) -> Iterator[SearchResult]:
    for model, title, icon in _LISTS:
        app, _, name = model.partition(".")
        if request.user.has_perm(f"{app}.view_{name}"):
            link = f"{reverse(f'admin:{app}_{name}_changelist')}?{urlencode({'q': symbol})}"
            yield SearchResult(title=f"{title} in {symbol}", description="list", link=link, icon=icon)
