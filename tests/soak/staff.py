"""The people of the soak: an operator who looks after the desk, and single staff actions that are killed half-way."""

from __future__ import annotations

import random
import signal
import threading
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import InterfaceError, OperationalError, close_old_connections, connection
from django.utils import timezone

from orders import by_hand, execution
from orders.broker.gateway import BrokerUnreachable, GatewayError
from orders.deciding import InvalidOrder, ManualOrder, OrderDenied, UnknownInstrument
from orders.desk import Desk
from orders.models import Order, Position
from risk import control
from risk.engine.facts import OrderType, Side, TradingState
from risk.models import Incident, TradingControl
from tests.soak.prices import BY_STAFF, BY_STAFF_PRICE

BY = "operator"
LOOK_SECONDS = 0.15
RESTS_SECONDS = 1.0  # an order that rests for so long is cancelled
REFUSALS = (
    OrderDenied,
    InvalidOrder,
    UnknownInstrument,
    by_hand.NothingToExit,
    by_hand.MarkRefused,
    control.ControlChanged,
    control.LooseningRefused,
    GatewayError,
    BrokerUnreachable,
)
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
    for order in Order.objects.unfinished(desk.mode).filter(
        status__in=["OPEN", "PARTIALLY_FILLED"],
        submitted_at__lt=now - timedelta(seconds=RESTS_SECONDS),
        cancel_requested_at__isnull=True,
    ):
        execution.cancel(desk, order, by=BY, reason="it rests")
    chance = draw.random()
    if chance < 0.004:
        execution.halt(desk, by=BY, reason="now and then")
    elif chance < 0.012:
        for position in Position.objects.filter(mode=desk.mode, quantity__gt=0).order_by("-quantity")[:1]:
            by_hand.exit_position(desk, position, token=f"exit-{draw.random()}", by=BY)
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
    try:
        match action:
            case "order":
                return str(by_hand.place(desk, _wish(token)))
            case "exit":
                position = Position.objects.filter(mode=desk.mode, quantity__gt=0).order_by("-quantity").first()
                return "flat" if position is None else str(by_hand.exit_position(desk, position, token=token, by=BY))
            case "cancel":
                order = Order.objects.get(pk=order_pk)
                return str(execution.cancel(desk, order, by=BY, reason=token))
            case "halt":
                return f"{len(execution.halt(desk, by=BY, reason=token))} cancels"
            case "mark":
                order = Order.objects.get(pk=order_pk)
                return str(by_hand.mark_filled(desk, order, _fill(order, token)))
    except REFUSALS as refusal:
        return f"refused: {refusal}"
    raise ValueError(action)


def _fill(order: Order, token: str) -> by_hand.HandFill:
    """Return what a person marks who reads the contract note of an order that the broker did fill."""
    return by_hand.HandFill(
        token=token, quantity=order.quantity, price=Decimal(BY_STAFF_PRICE), by=BY, reason="the contract note"
    )


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
