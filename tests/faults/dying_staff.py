"""A person's action in a process of its own, as the web server's, that kills itself at a named point of it."""

from __future__ import annotations

import os
import sys
from decimal import Decimal

import django

from tests.dying_executor import Point, dies_after, dies_before


def points() -> dict[str, Point]:
    """Return where it can be had to die, as of the executor's."""
    from orders import by_hand, deciding, execution, flattening, modifying
    from orders.broker.kite import KiteGateway
    from risk import control

    return {
        "deciding, not committed": (dies_after, deciding, "write_order"),
        "decided, not sent": (dies_before, by_hand, "submit"),
        "submitting, not sent": (dies_before, KiteGateway, "place"),
        "sent, answer not written": (dies_after, KiteGateway, "place"),
        "answer being written": (dies_before, execution, "_bind"),
        "answer written": (dies_after, execution, "_bind"),
        "modification written, not sent": (dies_before, modifying, "_send"),
        "modification claimed, not sent": (dies_before, KiteGateway, "modify"),
        "modification sent": (dies_after, KiteGateway, "modify"),
        "cancel wished, not committed": (dies_after, execution.Order, "request_cancel"),
        "cancel wished, not sent": (dies_before, execution, "carry_out_cancel"),
        "cancel sent": (dies_after, KiteGateway, "cancel"),
        "halting, not committed": (dies_after, control, "_change"),
        "halted, no cancel wished": (dies_before, execution, "cancel_all"),
        "flatten written, no cancel sent": (dies_before, flattening, "carry_out_each"),
        "flatten written, nothing sold": (dies_before, flattening, "carry_on"),
        "marked, not committed": (dies_after, by_hand, "settle"),
        "marked": (dies_after, by_hand, "mark_filled"),
    }


def arm(point: str) -> None:
    if point:
        dies, owner, name = points()[point]
        dies(owner, name)


def act(action: str) -> None:
    from orders import by_hand, execution, flattening, modifying
    from orders.deciding import ManualOrder
    from orders.desk import Desk
    from orders.models import Order, Position
    from risk.engine.facts import OrderType, Side

    desk = Desk.from_settings()
    match action:
        case "place":
            wish = ManualOrder(
                token="form-1",
                side=Side.BUY,
                exchange="NSE",
                symbol="RELIANCE",
                quantity=1,
                order_type=OrderType.LIMIT,
                limit_price=Decimal("1405.00"),
                by="priya",
            )
            by_hand.place(desk, wish)
        case "exit":
            by_hand.exit_position(desk, Position.objects.get(), token="form-2", by="priya")
        case "cancel":
            execution.cancel(desk, Order.objects.get(), by="priya", reason="changed my mind")
        case "modify":
            other = modifying.Wish(
                token="form-4", quantity=2, price=Decimal("1391.00"), by="priya", reason="nearer to the market"
            )
            modifying.modify(desk, Order.objects.get(), other)
        case "halt":
            execution.halt(desk, by="priya", reason="stop everything")
        case "flatten":
            flattening.flatten(desk, token="form-4", by="priya", reason="out of everything")
        case "mark":
            fill = by_hand.HandFill(token="form-3", quantity=1, price=Decimal(1390), by="priya", reason="by phone")
            by_hand.mark_filled(desk, Order.objects.get(), fill)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    arm(sys.argv[2])
    act(sys.argv[1])
