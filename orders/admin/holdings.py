"""Holdings: what the broker has in demat, beside what our fills say and what is neither."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.contrib.filters.admin import DropdownFilter

from orders.admin import export_columns
from orders.admin.exact_search import ExactSearch
from orders.admin.export import ExportPages
from orders.admin.figures import Figure, Figured, FiguredListing, gain, lacking
from orders.admin.narrowing import SymbolFilter
from orders.admin.wording import money, number
from orders.desk import rupees
from orders.models import BrokerSession, Holding, Position
from risk.admin.display import NOTHING, Tone, ago, badge, moment
from risk.admin.mode_filter import ModeFilter
from risk.admin.read_only import ReadOnlyAdmin

READ_LATELY = timedelta(minutes=2)  # twice the time between two readings while nothing works


class ReadingListing(FiguredListing):
    """The list, each row with the position of its symbol: read once for all of them."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        beside = positions_beside(self.result_list)
        for holding in self.result_list:
            holding.beside = beside.get((holding.mode, holding.exchange, holding.symbol), [])


def positions_beside(holdings: Any) -> dict[tuple[str, str, str], list[Position]]:
    """Return our positions of the symbols, whichever their product, by mode, exchange and symbol."""
    found: dict[tuple[str, str, str], list[Position]] = {}
    for position in Position.objects.filter(symbol__in={each.symbol for each in holdings}):
        found.setdefault((position.mode, position.exchange, position.symbol), []).append(position)
    return found


class PartFilter(DropdownFilter):
    """Which holdings have a part that is not simply there to be sold."""

    title = "with shares that are"
    parameter_name = "part"
    paths = {"t1_quantity": "T+1", "sold_today": "sold today", "collateral_quantity": "pledged"}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(self.paths.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Holding]) -> QuerySet[Holding]:
        return queryset.filter(**{f"{self.value()}__gt": 0}) if self.value() in self.paths else queryset


@admin.register(Holding)
class HoldingAdmin(Figured, ExactSearch, ExportPages, ReadOnlyAdmin):
    export_columns = export_columns.HOLDINGS
    list_display = (
        "symbol",
        "held",
        "parts",
        "ours",
        "external",
        "average",
        "last",
        "worth",
        "gained",
        "position_link",
    )
    list_filter = (SymbolFilter, PartFilter, ModeFilter)
    search_fields = ("symbol",)  # only says that there is a search: `ExactSearch` does it
    search_ids = {"isin": {}}
    search_help_text = "A symbol or an ISIN, exactly."
    fieldsets = (
        (None, {"fields": (("symbol", "exchange"), ("isin", "mode"), "read")}),
        ("Shares", {"fields": (("held", "t1_quantity"), ("sold_today", "authorised_quantity"), "collateral_quantity")}),
        ("Whose they are", {"fields": (("ours", "external"), "position_link")}),
        ("Money", {"fields": (("average", "last"), ("worth", "gained"), ("close", "gained_today"), "discrepancy")}),
    )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ReadingListing

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        mode = ModeFilter(request, {}, Holding, self).value() if request.method == "GET" else ""
        return super().changelist_view(request, {"list_note": reading(mode), **(extra_context or {})})

    def figures(self, rows: QuerySet[Holding]) -> list[Figure]:
        holdings = list(rows)
        without = lacking([each.last_price for each in holdings])
        known = [(each.quantity, each.last_price, each) for each in holdings if each.last_price is not None]
        worth = sum((shares * price for shares, price, _ in known), Decimal(0))
        gains = [gained_since(each, each.average_price) for each in holdings]
        today = [gained_since(each, each.close_price) for each in holdings]
        return [
            Figure(title="Holdings", value=str(len(holdings)), below="carried over night"),
            Figure(title="Worth", value=f"over {rupees(worth)}", below=without, tone=Tone.WARNING)
            if without
            else Figure(title="Worth", value=rupees(worth), below="at the prices of the reading"),
            _sum_of("P&L", gains, "since they were bought"),
            _sum_of("Today", today, "since the close before"),
        ]

    @admin.display(description="held (shares)", ordering="quantity")
    def held(self, holding: Holding) -> str:
        return number(holding.quantity)

    @admin.display(description="of it")
    def parts(self, holding: Holding) -> str:
        told = [
            (holding.t1_quantity, "T+1", Tone.INFO),
            (holding.sold_today, "sold today", Tone.SELL),
            (holding.collateral_quantity, "pledged", Tone.WARNING),
            (holding.authorised_quantity, "authorised", Tone.PLAIN),
        ]
        badges = [badge(f"{shares} {what}", tone) for shares, what, tone in told if shares]
        return format_html(" ".join(["{}"] * len(badges)), *badges) if badges else NOTHING

    @admin.display(description="ours, by our fills (shares)")
    def ours(self, holding: Holding) -> str:
        return number(sum(each.quantity for each in self._beside(holding)))

    @admin.display(description="external (shares)")
    def external(self, holding: Holding) -> str:
        """Tell what of all that the broker has now is not ours; below zero where it lacks some of ours."""
        beside = self._beside(holding)
        read = next((each.broker_quantity for each in beside if each.broker_quantity is not None), None)
        there = holding.quantity - holding.sold_today if read is None else read
        shares = there - sum(each.quantity for each in beside)
        if shares < 0:
            return badge(f"Broker {shares}", Tone.BAD, "difference")
        return number(shares) if shares == 0 else badge(f"{shares}", Tone.WARNING)

    @admin.display(description="average price", ordering="average_price")
    def average(self, holding: Holding) -> str:
        return money(holding.average_price)

    @admin.display(description="last price", ordering="last_price")
    def last(self, holding: Holding) -> str:
        """Tell the price with its age; an old one is grey."""
        now = timezone.now()
        old = " desk-old" if now - holding.as_of > READ_LATELY else ""
        age = f"{ago(holding.as_of, now)} ago"
        return format_html(
            '<span class="desk-two{}"><b>{}</b><span>{}</span></span>', old, money(holding.last_price), age
        )

    @admin.display(description="worth")
    def worth(self, holding: Holding) -> str:
        return money(None if holding.last_price is None else holding.quantity * holding.last_price)

    @admin.display(description="P&L")
    def gained(self, holding: Holding) -> str:
        return money(gained_since(holding, holding.average_price))

    @admin.display(description="previous close")
    def close(self, holding: Holding) -> str:
        return money(holding.close_price)

    @admin.display(description="gained today")
    def gained_today(self, holding: Holding) -> str:
        return money(gained_since(holding, holding.close_price))

    @admin.display(description="broker read")
    def read(self, holding: Holding) -> str:
        return moment(holding.as_of)

    @admin.display(description="position")
    def position_link(self, holding: Holding) -> str:
        links = [
            format_html(
                '<a class="desk-link" href="{}">{} {}</a>',
                reverse("admin:orders_position_change", args=(each.pk,)),
                each.quantity,
                each.product,
            )
            for each in self._beside(holding)
        ]
        return format_html(" ".join(["{}"] * len(links)), *links) if links else NOTHING

    def _beside(self, holding: Holding) -> list[Position]:
        if not hasattr(holding, "beside"):
            key = (holding.mode, holding.exchange, holding.symbol)
            holding.beside = positions_beside([holding]).get(key, [])  # type: ignore[attr-defined]
        return holding.beside  # type: ignore[attr-defined, no-any-return]


def gained_since(holding: Holding, price: Decimal | None) -> Decimal | None:
    """Return INR that the shares gained since they cost that price each."""
    if price is None or holding.last_price is None:
        return None
    return holding.quantity * (holding.last_price - price)


def reading(mode: str) -> dict[str, Any]:
    """Return when the broker's book was read last, in words: also an empty list says as of when it is."""
    session = BrokerSession.objects.filter(mode=mode).first()
    read_at, now = session.reconciled_at if session else None, timezone.now()
    if read_at is None:
        return {"text": "The broker's book was not read yet. The executor reads it when it runs.", "tone": "warning"}
    told = format_html("As the broker's book told at {}, {} ago.", moment(read_at), ago(read_at, now))
    if now - read_at > READ_LATELY:
        return {"text": format_html("{} It may be otherwise by now.", told), "tone": "warning"}
    return {"text": told, "tone": ""}


def _sum_of(title: str, gains: list[Decimal | None], below: str) -> Figure:
    known = [each for each in gains if each is not None]
    unknown = len(gains) - len(known)
    return gain(title, None if unknown else sum(known, Decimal(0)), f"{unknown} not known" if unknown else below)
