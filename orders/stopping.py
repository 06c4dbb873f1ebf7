"""Only what closes may go: the switch, and with it the cancel of every order that would still open something."""

from __future__ import annotations

from django.db import transaction

from orders.desk import Desk
from orders.execution import ask_to_cancel, carry_out_each
from orders.governor import opens
from orders.models import Order
from risk import control as switch
from risk.audit.who import explained
from risk.models import TradingControl


@explained
def reduce_only(desk: Desk, *, by: str, reason: str) -> list[Order]:
    """
    Let only closing orders go, and return the entries whose cancel is asked for. A halt stays a halt.

    An order that rests can still fill after the switch: the wishes are committed with it, carried out afterwards, and
    repeated until the book shows their end.
    """
    with transaction.atomic(durable=True):
        switch.wait_for_the_lock()
        TradingControl.objects.locked(desk.mode)
        entries = let_only_closing_go(desk, by=by, reason=reason)
    return carry_out_each(desk, entries)


def let_only_closing_go(desk: Desk, *, by: str, reason: str) -> list[Order]:
    """Restrict trading and ask for the cancels; the caller holds the lock, and carries them out after the commit."""
    switch.reduce_only(desk.mode, by=by, reason=reason, now=desk.clock())
    entries = [order for order in Order.objects.unfinished(desk.mode) if opens(order)]
    ask_to_cancel(desk, entries, by=by, reason=f"reduce only: {reason}")
    return entries
