"""The people of the soak: an operator who looks after the desk, and single staff actions that are killed half-way."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import InterfaceError, OperationalError, close_old_connections, connection
from django.utils import timezone

from orders import by_hand, execution, flattening, modifying
from orders.broker.gateway import BrokerUnreachable, GatewayError
from orders.deciding import InvalidOrder, ManualOrder, OrderDenied, UnknownInstrument
from orders.desk import Desk
from orders.models import Flatten, Order, Position
from risk import control
from risk.engine.facts import OrderType, Side, TradingState
from risk.models import Incident, TradingControl
from tests.soak.prices import BY_STAFF, BY_STAFF_PRICE

BY = "operator"
LOOK_SECONDS = 0.15
RESTS_SECONDS = 1.0  # an order that rests for so long is cancelled
RESTS_BY_STAFF_SECONDS = 6.0  # one that is there to be modified
FLATTEN_SECONDS = 20.0  # one that takes longer is ended by a person
REFUSALS = (
    OrderDenied,
    InvalidOrder,
    UnknownInstrument,
    by_hand.NothingToExit,
    by_hand.MarkRefused,
    flattening.FlattenRefused,
    modifying.ModificationRefused,
    control.ControlChanged,
    control.LooseningRefused,
    GatewayError,
    BrokerUnreachable,
)
RESTS_AT = Decimal("280.00")
CHANGES = ((4, None), (2, None), (5, Decimal("279.00")), (None, Decimal("281.50")), (3, Decimal("289.00")))
AWAY = (OperationalError, InterfaceError)


def operate_until_stopped(wanted: dict[str, Any]) -> int:
    """Look after the desk until SIGTERM: turn on what is off, cancel what rests, now and then halt and resume."""
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    desk = Desk.from_settings()
    draw = random.Random(f"operator:{wanted['seed']}")
    while not stopping.wait(LOOK_SECONDS):
        close_old_connections()
        try:
            _look(desk, draw)
        except (*AWAY, *REFUSALS):
            connection.close()
    return 0


def _look(desk: Desk, draw: random.Random) -> None:
    now = timezone.now()
    _look_through_incidents(desk)
    resting = Order.objects.unfinished(desk.mode).filter(
        status__in=["OPEN", "PARTIALLY_FILLED"],
        submitted_at__lt=now - timedelta(seconds=RESTS_SECONDS),
        cancel_requested_at__isnull=True,
    )
    for order in resting.exclude(price=RESTS_AT, submitted_at__gt=now - timedelta(seconds=RESTS_BY_STAFF_SECONDS)):
        execution.cancel(desk, order, by=BY, reason="it rests")
    chance = draw.random()
    if chance < 0.004:
        execution.halt(desk, by=BY, reason="now and then")
    elif chance < 0.012:
        for position in Position.objects.filter(mode=desk.mode, quantity__gt=0).order_by("-quantity")[:1]:
            by_hand.exit_position(desk, position, token=f"exit-{draw.random()}", by=BY)
    elif chance < 0.014:
        flattening.flatten(desk, token=f"flatten-{draw.random()}", by=BY, reason="now and then")
    flatten = Flatten.objects.under_way(desk.mode).first()
    if flatten is not None and flatten.asked_at < now - timedelta(seconds=FLATTEN_SECONDS):
        flattening.end(desk, flatten, by=BY, reason="it takes too long")
    elif flatten is None:
        _turn_on_again(desk)


def _turn_on_again(desk: Desk) -> None:
    switch = TradingControl.objects.get(mode=desk.mode)
    if switch.state != TradingState.ACTIVE.value:
        switch = control.resume(desk.mode, by=BY, reason="looked at", now=timezone.now(), version_shown=switch.version)
    if not switch.auto_trading and not Order.objects.in_doubt(desk.mode).exists():
        control.auto_trading_on(
            desk.mode, by=BY, reason="no doubt is left", now=timezone.now(), version_shown=switch.version
        )


def _look_through_incidents(desk: Desk) -> None:
    """Resolve what the evidence explains; what only tells is acknowledged."""
    for incident in Incident.objects.unresolved().filter(mode=desk.mode):
        if incident.stops_opening and _is_explained(desk, incident):
            incident.resolve(by=BY, note="the book explains it", now=timezone.now())
        elif incident.status == Incident.Status.OPEN:
            incident.acknowledge(by=BY, note="seen")


def _is_explained(desk: Desk, incident: Incident) -> bool:
    if incident.kind == Incident.Kind.VANISHED_ORDER:
        order = Order.objects.filter(mode=desk.mode, client_order_id=incident.client_order_id).first()
        return order is not None and order.missed_at is None and order.broker_status != ""
    if incident.kind == Incident.Kind.POSITION_DIFFERENCE:
        held = Position.objects.filter(mode=desk.mode, symbol=incident.symbol)
        return all(position.missing == 0 for position in held)
    return False


def act(action: str, token: str, order_pk: int) -> str:
    """Carry one staff action out and return what came of it, as a page would say it."""
    desk = Desk.from_settings()
    if action == "press":
        flattening.carry_on = lambda desk: None  # it dies right after its commit
    try:
        return str(ACTIONS[action](desk, token, order_pk))
    except REFUSALS as refusal:
        return f"refused: {refusal}"


def _exit(desk: Desk, token: str, _: int) -> Any:
    position = Position.objects.filter(mode=desk.mode, quantity__gt=0).order_by("-quantity").first()
    return "flat" if position is None else by_hand.exit_position(desk, position, token=token, by=BY)


def _mark(desk: Desk, token: str, order_pk: int) -> Any:
    order = Order.objects.get(pk=order_pk)
    return by_hand.mark_filled(desk, order, _fill(order, token))


def _flatten(desk: Desk, token: str, _: int) -> Any:
    return flattening.flatten(desk, token=token, by=BY, reason=token)


ACTIONS: dict[str, Callable[[Desk, str, int], Any]] = {
    "order": lambda desk, token, _: by_hand.place(desk, _wish(token)),
    "rest": lambda desk, token, _: by_hand.place(desk, replace(_wish(token), quantity=3, limit_price=RESTS_AT)),
    "exit": _exit,
    "cancel": lambda desk, token, pk: execution.cancel(desk, Order.objects.get(pk=pk), by=BY, reason=token),
    "modify": lambda desk, token, pk: modifying.modify(desk, Order.objects.get(pk=pk), _change(token)),
    "halt": lambda desk, token, _: f"{len(execution.halt(desk, by=BY, reason=token))} cancels",
    "mark": _mark,
    "flatten": _flatten,
    "press": _flatten,
}


def _fill(order: Order, token: str) -> by_hand.HandFill:
    """Return what a person marks who reads the contract note of an order that the broker did fill."""
    return by_hand.HandFill(
        token=token, quantity=order.quantity, price=Decimal(BY_STAFF_PRICE), by=BY, reason="the contract note"
    )


def _change(token: str) -> modifying.Wish:
    """Return more shares, fewer, another price to rest at, or one that fills: the same for the same token."""
    quantity, price = random.Random(token).choice(CHANGES)
    return modifying.Wish(token=token, quantity=quantity, price=price, by=BY, reason=token)


def _wish(token: str) -> ManualOrder:
    return ManualOrder(
        token=token,
        side=Side.BUY,
        exchange="NSE",
        symbol=BY_STAFF,
        quantity=1,
        order_type=OrderType.LIMIT,
        limit_price=Decimal("289.00"),
        by=BY,
    )
