"""What the blotter's dialogs show of an order and ask for, and what makes no sense for it as it is."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings
from django.core.validators import MinValueValidator
from django.utils import timezone
from unfold.widgets import UnfoldAdminDecimalFieldWidget, UnfoldAdminIntegerFieldWidget

from orders import execution
from orders.admin.wording import order_badge
from orders.desk import Desk, DeskNotWired, rupees, trading_date
from orders.models import Order
from orders.modifying import Wish, cannot_be_modified
from orders.quotes import last_quote
from risk.admin.dialogs import ReasonDialog, token_field
from risk.admin.display import ago, trimmed
from risk.admin.read_only import named_by


def in_words(order: Order) -> str:
    """Return the order in one line, as a person would say it."""
    price = f"at {rupees(order.price)}" if order.price is not None else "at the market"
    return f"{order.side} {order.quantity} {order.exchange}:{order.symbol} {order.order_type} {price}"


def cannot_be_cancelled(order: Order) -> str:
    """Return why a cancel makes no sense for the order; empty when it may be asked for."""
    return execution.cannot_be_cancelled(order, settings.TRADING_MODE)


def cannot_be_closed(order: Order) -> str:
    """Return why the order is not one that a person closes after its day; empty when it may be tried."""
    if order.mode != settings.TRADING_MODE:
        return f"it belongs to {order.mode}, this is {settings.TRADING_MODE}"
    if not order.is_unfinished:
        return f"it is {order.get_status_display().lower()} already"
    if order.trading_date >= trading_date(timezone.now()):
        return "it is of today: the broker's book will say how it ended"
    return ""


class OrderDialog(ReasonDialog):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.order = named_by(Order.objects.all(), self.object_id)

    def facts(self) -> list[tuple[str, Any]]:
        if self.order is None:
            return []
        filled = f"{self.order.filled_quantity} of {self.order.quantity}"
        return [("The order", in_words(self.order)), ("Status", order_badge(self.order)), ("Filled", filled)]


class CancelDialog(OrderDialog):
    def facts(self) -> list[tuple[str, Any]]:
        refusal = cannot_be_cancelled(self.order) if self.order else ""
        return [*super().facts(), *([("It cannot be cancelled", refusal)] if refusal else [])]


class MarkFilledDialog(OrderDialog):
    quantity = forms.IntegerField(
        min_value=1,
        label="Filled in all (shares)",
        help_text="With what the broker's own trades show already: those count once.",
        widget=UnfoldAdminIntegerFieldWidget,
    )
    price = forms.DecimalField(
        max_digits=14,
        decimal_places=4,
        label="Price (₹ a share)",
        validators=[MinValueValidator(Decimal("0.0001"), "The price must be above zero.")],
        widget=UnfoldAdminDecimalFieldWidget,
    )
    token = token_field()
    field_order = ("quantity", "price", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.order is not None:
            self.initial["quantity"] = self.order.quantity
            self.initial["price"] = trimmed(self.order.price) if self.order.price is not None else None


class ModifyDialog(OrderDialog):
    """Prefilled with the order's terms; what it will be worth is reckoned again as they are edited."""

    form_after_template = "desk/modified_value.html"
    quantity = forms.IntegerField(
        min_value=1,
        label="Quantity in all (shares)",
        help_text="With what is filled already.",
        widget=UnfoldAdminIntegerFieldWidget,
    )
    price = forms.DecimalField(
        max_digits=14,
        decimal_places=4,
        label="Limit price (₹ a share)",
        validators=[MinValueValidator(Decimal("0.0001"), "The price must be above zero.")],
        widget=UnfoldAdminDecimalFieldWidget,
    )
    shown_quantity = forms.IntegerField(widget=forms.HiddenInput)
    shown_price = forms.DecimalField(widget=forms.HiddenInput)
    token = token_field()
    field_order = ("quantity", "price", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.order is not None and self.order.price is not None:
            self.initial["quantity"] = self.initial["shown_quantity"] = self.order.quantity
            self.initial["price"] = self.initial["shown_price"] = trimmed(self.order.price)

    def facts(self) -> list[tuple[str, Any]]:
        if self.order is None:
            return []
        if refusal := modification_refused(self.order):
            return [*super().facts(), ("It cannot be modified", refusal)]
        return [*super().facts(), ("Last price", last_price_in_words(self.order)), ("Worth now", worth(self.order))]

    def wish(self, *, by: str) -> Wish:
        """Return the answers as a wish: what the person saw goes along."""
        answers = dict(self.answers)
        shown = (answers.pop("shown_quantity"), answers.pop("shown_price"))
        return Wish(**answers, by=by, shown=shown)


def modification_refused(order: Order) -> str:
    """Return why the order cannot be modified here and now; empty when it may be tried."""
    if order.mode != settings.TRADING_MODE:
        return f"it belongs to {order.mode}, this is {settings.TRADING_MODE}"
    return cannot_be_modified(order, now=timezone.now())


def last_price_in_words(order: Order) -> str:
    """Return the last price of the order's instrument and its age, as the broker says now."""
    try:
        desk = Desk.from_settings()
    except DeskNotWired as trouble:
        return str(trouble)
    quote = last_quote(desk, order.exchange, order.symbol)
    return "not known now" if quote is None else f"{rupees(quote.price)}, {ago(quote.as_of, desk.clock())} old"


def worth(order: Order) -> str:
    """Return what the order is worth in all, filled or not, at its limit."""
    assert order.price is not None, "an order that can be modified has a price"
    return f"{rupees(order.quantity * order.price)} ({order.quantity} × {rupees(order.price)})"


class CloseDialog(OrderDialog):
    def facts(self) -> list[tuple[str, Any]]:
        day = [("Of", f"{self.order.trading_date:%d %b %Y}")] if self.order else []
        return [*super().facts(), *day]
