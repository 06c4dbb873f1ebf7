"""Acting: cancel, halt, auto-trading on and off, resume. Each is one call of the use case that the admin calls."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.admin.models import CHANGE, LogEntry
from django.db.models import Model
from django.http import HttpRequest
from django.utils import timezone
from ninja import Router

from orders import execution
from orders.api.bearer import BearerToken, signed
from orders.api.problems import Problem
from orders.api.reading import named
from orders.api.schemas import Cancelled, Halted, Loosening, Switch, Trading, Why
from orders.desk import Desk, DeskNotWired
from orders.models import Order
from orders.remaining import remaining
from risk import control as switch
from risk.models import Incident, TradingControl

router = Router(tags=["Trading"])
OFF_OR_HALT = ("trading:halt", "trading:auto")


@router.get("/trading", response=Trading, auth=BearerToken("trading:read"))
def read_trading(request: HttpRequest) -> Any:
    """Return the switch with its version, and how the desk is."""
    mode, now = settings.TRADING_MODE, timezone.now()
    found = remaining(mode, now=now)
    return {
        **_switch(TradingControl.objects.get(mode=mode)),
        "health": found.broker,
        "orders_in_doubt": Order.objects.in_doubt(mode).count(),
        "unfinished_orders": len(found.orders),
        "incidents_open": Incident.objects.unresolved().filter(mode=mode).count(),
    }


@router.post("/trading/halt", response=Halted, auth=BearerToken("trading:halt", always=True))
def halt(request: HttpRequest, why: Why) -> Any:
    """Refuse every order from now on, and ask for the cancel of every unfinished one."""
    by, reason = _asked(request, why)
    cancels: list[Order] = []
    note = "Trading is halted."
    try:
        cancels = execution.halt(Desk.from_settings(), by=by, reason=reason)
    except DeskNotWired as trouble:  # stopping works without a broker too
        switch.halt(settings.TRADING_MODE, by=by, reason=reason, now=timezone.now())
        note = f"Trading is halted. Nothing could be cancelled: {trouble}."
    control = TradingControl.objects.get(mode=settings.TRADING_MODE)
    _trace(request, control, f"Halt: {reason}")
    return {**_switch(control), "cancels": cancels, "note": note}


@router.post(
    "/trading/auto-trading/off",
    response=Switch,
    auth=BearerToken(*OFF_OR_HALT, permission="risk.halt_trading", always=True),
)
def auto_trading_off(request: HttpRequest, why: Why) -> Any:
    """Stop acting on signals. They are still recorded, and none of them is acted on later."""
    by, reason = _asked(request, why)
    return _changed(request, switch.auto_trading_off(settings.TRADING_MODE, by=by, reason=reason, now=timezone.now()))


@router.post("/trading/auto-trading/on", response=Switch, auth=BearerToken("trading:auto"))
def auto_trading_on(request: HttpRequest, why: Loosening) -> Any:
    """Act on signals from now on, if the switch is still the one that was read."""
    by, reason = _asked(request, why)
    control = switch.auto_trading_on(
        settings.TRADING_MODE, by=by, reason=reason, now=timezone.now(), version_shown=why.version
    )
    return _changed(request, control)


@router.post("/trading/resume", response=Switch, auth=BearerToken("trading:resume"))
def resume(request: HttpRequest, why: Loosening) -> Any:
    """Make trading ACTIVE again, if the switch is still the one that was read. Auto-trading stays as it is."""
    by, reason = _asked(request, why)
    control = switch.resume(settings.TRADING_MODE, by=by, reason=reason, now=timezone.now(), version_shown=why.version)
    return _changed(request, control)


@router.post(
    "/orders/{order_id}/cancel",
    response=Cancelled,
    auth=BearerToken("orders:cancel", stops=True),
    tags=["Orders"],
)
def cancel(request: HttpRequest, order_id: str, why: Why) -> Any:
    """Ask for an order's cancel. Only the broker's book says that it is cancelled: read the order again."""
    by, reason = _asked(request, why)
    order = named(order_id)
    if refusal := execution.cannot_be_cancelled(order, settings.TRADING_MODE):
        raise Problem(409, "order-not-cancellable", refusal)
    execution.cancel(Desk.from_settings(), order, by=by, reason=reason)
    _trace(request, order, f"Cancel asked for: {reason}")
    return {"order": order, "note": execution.after_a_cancel(order)}


def _asked(request: HttpRequest, why: Why) -> tuple[str, str]:
    """Return in whose name it is done, and why, as it is kept."""
    token = request.auth  # type: ignore[attr-defined]  # set by the API
    return token.owner.get_username(), signed(token, why.reason)


def _changed(request: HttpRequest, control: TradingControl) -> dict[str, Any]:
    _trace(request, control, f"{control}. {control.reason}")
    return _switch(control)


def _switch(control: TradingControl) -> dict[str, Any]:
    shown = ("mode", "state", "auto_trading", "version", "changed_by", "changed_at", "reason")
    return {name: getattr(control, name) for name in shown}


def _trace(request: HttpRequest, row: Model, told: str) -> None:
    """Leave the trace that an action of the admin leaves, on the same page."""
    owner = request.auth.owner  # type: ignore[attr-defined]  # set by the API
    LogEntry.objects.log_actions(owner.pk, [row], CHANGE, change_message=told, single_object=True)
