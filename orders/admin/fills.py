from __future__ import annotations

from django.contrib import admin
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RangeDateFilter

from orders.admin.wording import money, number, side_badge
from orders.models import Fill
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


@admin.register(Fill)
class FillAdmin(FillDisplay, ReadOnlyAdmin):
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
    list_filter = (("source", ChoicesDropdownFilter), ModeFilter, ("trading_date", RangeDateFilter))
    list_select_related = ("order",)
    search_fields = ("trade_id__exact", "broker_order_id__exact", "=order__symbol")
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
