"""What still works, on the Trading control page: it renews itself, and asks no broker."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils import timezone

from orders.admin.flattens import position_rows, state_badge
from orders.admin.wording import money, order_badge, side_badge
from orders.desk import trading_date
from orders.models import Flatten, Order, Position
from orders.remaining import channels, remaining
from risk.admin.display import NOTHING, Tone, badge, moment
from risk.engine.facts import TradingState
from risk.models import TradingControl

OFTEN_TRIED = 3  # a cancel that was sent as often is worth a person's eye


def show(request: HttpRequest) -> HttpResponse:
    """Answer with a fresh section. Who is logged out gets a 401 that greys it."""
    if not admin.site.has_permission(request):
        return HttpResponse(status=401)
    if not request.user.has_perm("risk.view_tradingcontrol"):
        return HttpResponse(status=403)
    return render(request, "desk/stopping.html", context(timezone.now()))


def section(control: TradingControl) -> str:
    return render_to_string("desk/stopping.html", context(timezone.now(), control))


def context(now: datetime, control: TradingControl | None = None) -> dict[str, Any]:
    mode = settings.TRADING_MODE
    found = remaining(mode, now=now)
    control = control or TradingControl.objects.filter(mode=mode).first()
    stopped = control is not None and control.state != TradingState.ACTIVE
    wish = Flatten.objects.filter(mode=mode, trading_date=trading_date(now)).first()
    return {
        "orders": [_order_row(order) for order in found.orders],
        "positions": [_position_row(each) for each in found.positions],
        "broker": [
            {"row": told, "badge": badge("Good" if told.good else "Look", Tone.GOOD if told.good else Tone.WARNING)}
            for told in found.broker
        ],
        "channels": channels(mode, settings.BROKER_CALL_AND_TRADE),
        "flatten": wish and {"row": wish, "state": state_badge(wish), "positions": position_rows(wish)},
        "shown": stopped or bool(wish and wish.is_under_way),
        "at": timezone.localtime(now),
    }


def _order_row(order: Order) -> dict[str, Any]:
    asked, tried = order.cancel_requested_at, order.cancel_tried_at
    return {
        "row": order,
        "side": side_badge(order.side),
        "badge": order_badge(order),
        "asked": moment(asked) if asked else NOTHING,
        "tried": moment(tried) if tried else NOTHING,
        "often": order.cancel_tries >= OFTEN_TRIED,
    }


def _position_row(position: Position) -> dict[str, Any]:
    price = position.last_price
    known = position.broker_quantity is not None
    differs = known and position.broker_quantity != position.quantity
    return {
        "row": position,
        "at_broker": position.broker_quantity if known else "not read yet",
        "as_of": moment(position.broker_as_of) if position.broker_as_of else NOTHING,
        "differs": badge("Differs", Tone.BAD, "difference") if differs else "",
        "worth": money(abs(position.quantity) * price if price is not None else None),
        "price": money(price),
    }
