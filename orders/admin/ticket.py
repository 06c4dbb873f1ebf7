"""
The ticket: a person's order, judged while it is written, said in words before it is sent, and sent once.

The panel beside the form and the review ask `rehearse`, which writes nothing. Only `send` makes an order, by the token
of its review: sent twice, from two tabs or after going back, it is one order.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from orders import by_hand
from orders.admin.order_dialogs import in_words
from orders.admin.refusals import REFUSALS
from orders.admin.wording import explanation, outcome_badge, side_badge
from orders.deciding import ManualOrder, OrderDenied, UnknownInstrument, made_earlier
from orders.desk import Desk, rupees
from orders.lifecycle import OrderStatus
from orders.models import Instrument, Order
from orders.quotes import last_quote
from orders.rehearsal import Rehearsal, rehearse
from risk.admin.dialogs import new_token
from risk.admin.display import ago, sentence
from risk.engine.facts import OrderType, Side
from risk.engine.rules import CATALOGUE
from risk.engine.sizing import floor_to_lot

PLACE = "orders.place_order"
SYMBOLS_OFFERED = 20
_UNFIT: tuple[type[Exception], ...] = (forms.ValidationError, *REFUSALS)
_FORM_FIELDS = ("symbol", "side", "order_type", "quantity", "amount", "price")


class TicketForm(forms.Form):
    """What a person wants: so many shares, or for so many rupees."""

    symbol = forms.CharField(
        max_length=60,
        widget=UnfoldAdminTextInputWidget(attrs={"list": "ticket-symbols", "autocomplete": "off", "autofocus": True}),
        help_text="NSE:INFY, or INFY. Type the first letters.",
    )
    side = forms.ChoiceField(choices=[(each.value, each.value) for each in Side], widget=UnfoldAdminSelectWidget)
    order_type = forms.ChoiceField(
        label="Type",
        choices=[(each.value, each.value) for each in (OrderType.LIMIT, OrderType.MARKET)],
        widget=UnfoldAdminSelectWidget,
    )
    price = forms.DecimalField(
        label="Limit price (₹ a share)",
        max_digits=14,
        decimal_places=4,
        required=False,
        widget=UnfoldAdminDecimalFieldWidget,
        help_text="Empty for MARKET.",
    )
    quantity = forms.IntegerField(label="Shares", required=False, widget=UnfoldAdminIntegerFieldWidget)
    amount = forms.DecimalField(
        label="… or for at most (₹)",
        max_digits=14,
        decimal_places=2,
        required=False,
        widget=UnfoldAdminDecimalFieldWidget,
        help_text="As many whole lots as it buys; shares are then left empty.",
    )

    def clean_symbol(self) -> str:
        named = str(self.cleaned_data["symbol"]).strip().upper()
        return named if ":" in named else f"{settings.DEFAULT_EXCHANGE}:{named}"

    def clean(self) -> dict[str, Any]:
        asked: dict[str, Any] = super().clean() or self.cleaned_data
        if (asked.get("quantity") is None) == (asked.get("amount") is None):
            self.add_error("quantity", "Give either shares or rupees.")
        if asked.get("order_type") == OrderType.LIMIT and asked.get("price") is None and "price" not in self.errors:
            self.add_error("price", "A LIMIT order has a price.")
        if asked.get("order_type") == OrderType.MARKET:
            asked["price"] = None
        return asked

    def wish(self, desk: Desk, *, by: str, token: str = "") -> ManualOrder:
        """Return what was asked for as a wish. Raise `UnknownInstrument` or `forms.ValidationError`."""
        asked = self.cleaned_data
        exchange, _, symbol = asked["symbol"].partition(":")
        price: Decimal | None = asked["price"]
        quantity = asked["quantity"]
        if quantity is None:
            quantity = _bought_for(desk, exchange, symbol, asked["amount"], price)
        return ManualOrder(
            token=token,
            side=Side(asked["side"]),
            exchange=exchange,
            symbol=symbol,
            quantity=quantity,
            order_type=OrderType(asked["order_type"]),
            limit_price=price,
            by=by,
        )


class ReviewedForm(TicketForm):
    """What the review showed: exact terms, and the token that makes them one order."""

    token = forms.CharField(max_length=40)


def _bought_for(desk: Desk, exchange: str, symbol: str, amount: Decimal, price: Decimal | None) -> int:
    """Return how many shares the rupees pay, in whole lots, at the limit or at the last price."""
    instrument = Instrument.objects.filter(exchange=exchange, symbol=symbol).first()
    if instrument is None:
        raise UnknownInstrument(f"{exchange}:{symbol} is not in the broker's list of instruments")
    if price is None:
        quote = last_quote(desk, exchange, symbol)
        price = quote.price if quote else None
    if price is None or price <= 0:
        raise forms.ValidationError("There is no price to reckon the shares by: give the number of shares.")
    shares = floor_to_lot(amount, price, instrument.lot_size) if amount > 0 else 0
    if shares == 0:
        raise forms.ValidationError(
            f"{rupees(amount)} does not pay one lot of {instrument.lot_size} at {rupees(price)}."
        )
    return shares


class TicketPages:
    """The ticket's addresses, below those of the orders."""

    admin_site: admin.AdminSite

    def get_urls(self) -> list[URLPattern]:
        pages = {
            "": self.ticket,
            "panel/": self.ticket_panel,
            "symbols/": self.ticket_symbols,
            "review/": self.ticket_review,
            "send/": self.ticket_send,
        }
        urls = [
            path(f"ticket/{tail}", self.admin_site.admin_view(view), name=f"orders_ticket{_suffix(tail)}")
            for tail, view in pages.items()
        ]
        return [*urls, *super().get_urls()]  # type: ignore[misc]  # mixed into an admin page

    def ticket(self, request: HttpRequest) -> HttpResponse:
        _check_may_place(request)
        asked = {name: request.GET[name] for name in _FORM_FIELDS if name in request.GET}
        return self._page(request, "desk/ticket.html", form=TicketForm(initial=asked))

    def ticket_panel(self, request: HttpRequest) -> HttpResponse:
        """Answer with the verdict on the form as it stands; while it is not complete, with what it lacks."""
        _check_may_place(request)
        form = TicketForm(request.GET)
        return render(request, "desk/ticket_panel.html", {"form": form, **_judged(request, form)})

    def ticket_symbols(self, request: HttpRequest) -> HttpResponse:
        """Answer with the instruments whose symbol, or else whose name, begins with what was typed."""
        _check_may_place(request)
        offered = _offered(request.GET.get("symbol", ""))
        return render(request, "desk/ticket_symbols.html", {"instruments": offered})

    def ticket_review(self, request: HttpRequest) -> HttpResponse:
        _check_may_place(request)
        if request.method != "POST":
            return HttpResponseRedirect(reverse("admin:orders_ticket"))
        form = TicketForm(request.POST)
        judged = _judged(request, form)
        if "rehearsal" not in judged:
            return self._page(request, "desk/ticket.html", form=form, **judged)
        return self._page(request, "desk/ticket_review.html", form=form, token=new_token(), **judged)

    def ticket_send(self, request: HttpRequest) -> HttpResponse:
        """Make the order of a review, once, and show it."""
        _check_may_place(request)
        form = ReviewedForm(request.POST)
        home = reverse("admin:orders_ticket")
        if request.method != "POST":
            return HttpResponseRedirect(home)
        if not form.is_valid():
            messages.error(request, "That is no reviewed order. Nothing was sent: fill in the ticket again.")
            return HttpResponseRedirect(home)
        try:
            order = self._send(request, form)
        except OrderDenied as denied:
            messages.error(request, f"Nothing was sent. {denied}")
            return HttpResponseRedirect(reverse("admin:orders_decision_change", args=(denied.decision.pk,)))
        except _UNFIT as refusal:
            messages.error(request, f"Nothing was sent. {'; '.join(_told(refusal))}")
            return HttpResponseRedirect(home)
        return HttpResponseRedirect(reverse("admin:orders_order_change", args=(order.pk,)))

    def _send(self, request: HttpRequest, form: ReviewedForm) -> Order:
        desk, by = Desk.from_settings(), request.user.get_username()
        wish = form.wish(desk, by=by, token=form.cleaned_data["token"])
        if made_earlier(desk, wish.token):
            order = by_hand.place(desk, wish)
            messages.warning(request, f"That review was sent already: this is its order, {in_words(order)}.")
            return order
        order = by_hand.place(desk, wish)
        self.log_addition(request, order, f"Placed by hand: {in_words(order)}")  # type: ignore[attr-defined]
        on_its_way = order.is_unfinished and order.status != OrderStatus.IN_DOUBT
        good = on_its_way or order.status == OrderStatus.FILLED
        told = f"{in_words(order)} is {order.get_status_display().lower()}. {order.status_reason}"
        messages.add_message(request, messages.SUCCESS if good else messages.ERROR, told)
        return order

    def _page(self, request: HttpRequest, template: str, **context: Any) -> HttpResponse:
        return render(request, template, {**self.admin_site.each_context(request), "title": "New order", **context})


def _suffix(tail: str) -> str:
    return f"_{tail.rstrip('/')}" if tail else ""


def _check_may_place(request: HttpRequest) -> None:
    if not request.user.has_perm(PLACE):
        raise PermissionDenied


def _offered(typed: str) -> list[Instrument]:
    exchange, colon, symbol = typed.strip().upper().rpartition(":")
    if not symbol:
        return []
    rows = Instrument.objects.filter(exchange=exchange) if colon else Instrument.objects.all()
    by_symbol = list(rows.filter(symbol__startswith=symbol).order_by("symbol", "exchange")[:SYMBOLS_OFFERED])
    if len(by_symbol) < SYMBOLS_OFFERED:
        named = rows.filter(~Q(symbol__startswith=symbol), name__istartswith=symbol).order_by("symbol", "exchange")
        by_symbol += named[: SYMBOLS_OFFERED - len(by_symbol)]
    return by_symbol


def _judged(request: HttpRequest, form: TicketForm) -> dict[str, Any]:
    """Return what the pages show of the order that the form asks for, or why it cannot be judged."""
    if not form.is_valid():
        return {"lacking": [each for errors in form.errors.values() for each in errors]}
    try:
        desk = Desk.from_settings()
        rehearsal = rehearse(desk, form.wish(desk, by=request.user.get_username()))
    except _UNFIT as refusal:
        return {"lacking": _told(refusal)}
    return {"rehearsal": rehearsal, **_shown(rehearsal)}


def _told(refusal: Exception) -> list[str]:
    """Return a refusal as sentences."""
    return refusal.messages if isinstance(refusal, forms.ValidationError) else [sentence(refusal)]


def _shown(rehearsal: Rehearsal) -> dict[str, Any]:
    verdicts = [
        {
            "title": each.title,
            "explanation": explanation(each.control),
            "measured": each.measured,
            "limit": each.limit,
            "passed": each.passed,
            "reason": each.reason,
        }
        for each in rehearsal.decision.verdicts
    ]
    quote = rehearsal.quote
    return {
        "words": sentence_of(rehearsal),
        "side": side_badge(rehearsal.proposed.action.value),
        "outcome": outcome_badge(rehearsal.decision.outcome.value),
        "may_be_sent": not rehearsal.decision.breaches,
        "refusals": [each for each in verdicts if not each["passed"]],
        "passed": [each for each in verdicts if each["passed"]],
        "last_price": rupees(quote.price) if quote else "",
        "price_age": ago(quote.as_of, rehearsal.at) if quote else "",
        "value": rupees(rehearsal.value) if rehearsal.value is not None else "",
        "held_by": [CATALOGUE[code].title for code in rehearsal.room.held_by],
    }


def sentence_of(rehearsal: Rehearsal) -> str:
    """Return the order as it is confirmed: BUY 25 NSE:RELIANCE LIMIT ₹2,914.35 = ₹72,858.75."""
    proposed, value = rehearsal.proposed, rehearsal.value
    at = "MARKET" if proposed.limit_price is None else f"LIMIT {rupees(proposed.limit_price)}"
    worth = "" if value is None else f" = {'about ' if proposed.limit_price is None else ''}{rupees(value)}"
    return f"{proposed.action.value} {proposed.quantity} {proposed.exchange}:{proposed.symbol} {at}{worth}"
