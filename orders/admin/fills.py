from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from django.contrib import admin
from django.db.models import Count, DecimalField, F, OuterRef, Q, QuerySet, Subquery, Sum
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RangeDateFilter

from orders.admin import export_columns
from orders.admin.exact_search import ExactSearch
from orders.admin.export import ExportPages
from orders.admin.figures import Figure, Figured
from orders.admin.narrowing import OrderSideFilter, OrderSymbolFilter
from orders.admin.wording import money, number, side_badge
from orders.desk import rupees
from orders.models import Fill, Order
from risk.admin.display import Tone, badge, clipped, moment
from risk.admin.mode_filter import ModeFilter
from risk.admin.read_only import ReadOnlyAdmin, ReadOnlyInline


class FillDisplay:
    """What the list of fills and the fills of one order show alike."""

    @admin.display(description="filled", ordering="filled_at")
    def filled(self, fill: Fill) -> str:
        return moment(fill.filled_at)

    @admin.display(description="price", ordering="price")
    def price_shown(self, fill: Fill) -> str:
        return money(fill.price)

    @admin.display(description="value")
    def value(self, fill: Fill) -> str:
        return money(fill.price * fill.quantity)

    @admin.display(description="source", ordering="source")
    def source_badge(self, fill: Fill) -> str:
        by_hand = fill.source == Fill.Source.HAND
        return badge(f"By hand: {fill.recorded_by}", Tone.WARNING, "edit") if by_hand else badge("Broker")


class Summed(NamedTuple):
    """One side of the listed fills. The value is in INR."""

    number: int = 0
    by_hand: int = 0
    shares: int = 0
    value: Decimal = Decimal(0)


@admin.register(Fill)
class FillAdmin(Figured, ExactSearch, ExportPages, FillDisplay, ReadOnlyAdmin):
    export_columns = export_columns.FILLS
    list_display = (
        "filled",
        "side",
        "shares",
        "symbol",
        "price_shown",
        "value",
        "order",
        "trade_id",
        "source_badge",
        "why",
    )
    list_filter = (
        OrderSymbolFilter,
        OrderSideFilter,
        ("trading_date", RangeDateFilter),
        ("source", ChoicesDropdownFilter),
        ModeFilter,
    )
    list_select_related = ("order",)
    search_ids = {"trade_id": {}, "broker_order_id": {}, "order__client_order_id": {}}
    search_symbol = "order__symbol"
    search_fields = ("trade_id",)  # only says that there is a search: `ExactSearch` does it
    sortable_by = ("filled",)  # the others are in no index
    search_help_text = "A trade's id, an order's (ours or the broker's), or a symbol, exactly."
    fields = (
        ("order", "source_badge"),
        ("quantity", "price_shown"),
        "value",
        ("filled", "trading_date"),
        ("broker_order_id", "trade_id"),
        ("exchange", "mode"),
        "recorded",
        ("recorded_by", "reason"),
    )

    def figures(self, rows: QuerySet[Fill]) -> list[Figure]:
        """Return what was bought and sold, as it is listed: marked by hand beside what the broker told of it."""
        value = Sum(F("quantity") * F("price"), output_field=DecimalField(max_digits=24, decimal_places=4))
        by_hand = Count("pk", filter=Q(source=Fill.Source.HAND))
        # Looked up for each: joined, the database would read every order there is for the sake of a few hundred.
        side = Subquery(Order.objects.filter(pk=OuterRef("order")).order_by().values("side"))
        sides = rows.order_by().annotate(side_of_order=side).values_list("side_of_order")
        summed = sides.annotate(n=Count("pk"), hand=by_hand, shares=Sum("quantity"), inr=value)
        told = {side: Summed(*sums) for side, *sums in summed}
        bought, sold = told.get("BUY", Summed()), told.get("SELL", Summed())
        hand = bought.by_hand + sold.by_hand
        beside = f"{hand} by hand, beside what the broker told of the same orders" if hand else ""
        return [
            Figure(title="Fills", value=str(bought.number + sold.number), below=beside),
            Figure(title="Bought", value=rupees(bought.value), below=f"{bought.shares} shares"),
            Figure(title="Sold", value=rupees(sold.value), below=f"{sold.shares} shares"),
            Figure(
                title="Value", value=rupees(bought.value + sold.value), below=f"{bought.shares + sold.shares} shares"
            ),
        ]

    @admin.display(description="side")
    def side(self, fill: Fill) -> str:
        return side_badge(fill.order.side)

    @admin.display(description="shares", ordering="quantity")
    def shares(self, fill: Fill) -> str:
        return number(fill.quantity)

    @admin.display(description="symbol", ordering="order__symbol")
    def symbol(self, fill: Fill) -> str:
        return fill.order.symbol

    @admin.display(description="reason")
    def why(self, fill: Fill) -> str:
        return clipped(fill.reason)

    @admin.display(description="recorded")
    def recorded(self, fill: Fill) -> str:
        return moment(fill.recorded_at)


class FillInline(FillDisplay, ReadOnlyInline):
    model = Fill
    fields = ("filled", "quantity", "price_shown", "value", "trade_id", "source_badge", "reason")
    readonly_fields = fields
