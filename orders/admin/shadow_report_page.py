"""What each day in the shadow would have brought: a page and a file. The rows of the real market have a list, too."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from orders.admin.ends_of_day import BOM
from orders.admin.export_text import harmless
from orders.admin.wording import money, order_badge, outcome_badge
from orders.desk import rupees
from orders.models import ShadowQuote
from orders.shadowing import Line, ShadowDay, day_of, days, shadow_day
from risk.admin.display import moment
from risk.admin.read_only import ReadOnlyAdmin

COLUMNS = (
    "Decided",
    "Signal id",
    "Exchange",
    "Symbol",
    "Side",
    "Outcome",
    "Refused by",
    "Price decided on (₹)",
    "Last when it left (₹)",
    "Bid when it left (₹)",
    "Ask when it left (₹)",
    "Order",
    "Filled (shares)",
    "Filled at (₹)",
    "Slippage (₹)",
    "Slippage (%)",
    "Close (₹)",
    "Gained by the close (₹)",
)


@admin.register(ShadowQuote)
class ShadowQuoteAdmin(ReadOnlyAdmin):
    list_display = ("taken", "moment", "exchange", "symbol", "last", "bid_shown", "ask_shown", "client_order_id")
    list_filter = ("moment", "trading_date")
    search_fields = ("=symbol", "=client_order_id")
    search_help_text = "A symbol or our order id, exactly."
    fieldsets = (
        (None, {"fields": (("taken", "moment"), ("exchange", "symbol"), "client_order_id")}),
        ("The real market", {"fields": ("last", ("bid_shown", "bid_quantity"), ("ask_shown", "ask_quantity"))}),
    )

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False  # its list is reached from the shadow report

    @admin.display(description="at", ordering="at")
    def taken(self, quote: ShadowQuote) -> str:
        return moment(quote.at)

    @admin.display(description="last price", ordering="last_price")
    def last(self, quote: ShadowQuote) -> str:
        return money(quote.last_price)

    @admin.display(description="best bid")
    def bid_shown(self, quote: ShadowQuote) -> str:
        return money(quote.bid)

    @admin.display(description="best ask")
    def ask_shown(self, quote: ShadowQuote) -> str:
        return money(quote.ask)


def show(request: HttpRequest) -> HttpResponse:
    """Show one day, the newest where none is named."""
    _check(request)
    known = days()
    day = _asked_for(request, known)
    context: dict[str, Any] = {**admin.site.each_context(request), "title": "Shadow report", "days": known[:60]}
    if day is not None:
        found = shadow_day(day, now=timezone.now())
        context |= {
            "found": found,
            "rows": list(map(_row, found.lines)),
            "tiles": _tiles(found),
            "quotes": request.user.has_perm("orders.view_shadowquote"),
        }
    return TemplateResponse(request, "desk/shadow_report.html", context)


def as_csv(request: HttpRequest) -> StreamingHttpResponse:
    """Send the day as CSV."""
    _check(request)
    day = _asked_for(request, days())
    if day is None:
        raise Http404("there is no day in the shadow")
    headers = {"Content-Disposition": f'attachment; filename="shadow-{day}.csv"', "Cache-Control": "no-store"}
    lines = csv_lines(shadow_day(day, now=timezone.now()))
    return StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8", headers=headers)


def _check(request: HttpRequest) -> None:
    if not request.user.has_perms(["orders.view_order", "orders.view_decision", "orders.view_signal"]):
        raise PermissionDenied


def _asked_for(request: HttpRequest, known: list[date]) -> date | None:
    """Return the day that the address names; the newest one where it names none. Raise `Http404` for another."""
    named = request.GET.get("day", "")
    if not named:
        return known[0] if known else None
    day = day_of(named)
    if day not in known:
        raise Http404(f"there is no day in the shadow of {named}")
    return day


def _row(line: Line) -> dict[str, Any]:
    return {
        "line": line,
        "at": moment(line.decision.at),
        "outcome": outcome_badge(line.decision.outcome),
        "order": order_badge(line.order) if line.order else "",
        "decided_at_price": money(line.decided_at_price),
        "last": money(line.market.last_price if line.market else None),
        "bid": money(line.market.bid if line.market else None),
        "ask": money(line.market.ask if line.market else None),
        "filled_at": money(line.filled_at),
        "slippage": money(line.slippage),
        "percent": _percent(line.slippage_percent),
        "close": money(line.close),
        "gained": money(line.to_the_close),
    }


def _tiles(found: ShadowDay) -> list[tuple[str, str]]:
    gained = found.to_the_close
    result = found.report.result if found.report else None
    return [
        ("Signals", str(sum(found.signals.values()))),
        ("Orders", str(found.orders)),
        ("Filled", str(found.fills)),
        ("Slippage", rupees(found.slippage)),
        ("Charges, estimated", rupees(found.charges)),
        ("Gained by the close, after charges", "not known yet" if gained is None else rupees(gained)),
        ("The day's result, by its report", "not known yet" if result is None else rupees(result)),
    ]


def _percent(value: Decimal | None) -> str:
    return "" if value is None else f"{value:.2f} %"


class _Echo:
    """Hands each line back to who wrote it, so that nothing is gathered."""

    def write(self, line: str) -> str:
        return line


def csv_lines(found: ShadowDay) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield BOM + writer.writerow(COLUMNS)
    for line in found.lines:
        market, order = line.market, line.order
        cells = (
            timezone.localtime(line.decision.at).isoformat(timespec="seconds"),
            line.signal.signal_id if line.signal else "",
            line.decision.exchange,
            line.decision.symbol,
            line.side,
            line.decision.outcome,
            " ".join(line.refused_by),
            line.decided_at_price,
            market and market.last_price,
            market and market.bid,
            market and market.ask,
            order.status if order else "",
            line.filled_quantity if order else "",
            line.filled_at,
            line.slippage,
            None if line.slippage_percent is None else f"{line.slippage_percent:.4f}",
            line.close,
            line.to_the_close,
        )
        yield writer.writerow([harmless(each) if isinstance(each, str) else _plain(each) for each in cells])


def _plain(cell: Any) -> Any:
    return "" if cell is None else cell
