"""
What follows when the day goes wrong: warnings on the way to a limit, and at the daily loss limit only closing goes on.

It is looked at after every reading of the book and every second between two. The state is committed with the cancels
that it asks for, so that whoever comes next carries them out; it stays over midnight and a restart until a person
resumes. Until the day is over or the limit is loosened the risk desk then still refuses what opens.
"""

from __future__ import annotations

from decimal import Decimal

from django.db import transaction

from orders.day import day_of_account, last_price
from orders.desk import Desk
from orders.execution import ask_to_cancel, carry_out_cancel
from orders.governor import opens
from orders.models import Order, Position
from risk import control as switch
from risk import limit_versions
from risk.engine.limits import Limits
from risk.models import Incident, TradingControl

WARN_AT_PERCENT = (50, 80)


def watch_limits(desk: Desk) -> None:
    """Hold the day's loss, each position and all of them against their limits, and do what follows."""
    now = desk.clock()
    limits, of_symbols = limit_versions.in_force(now=now).limits(), limit_versions.of_instruments()
    loss = day_of_account(desk, charges_percent=limits.charges_percent, now=now).loss
    if loss is not None and loss > 0:
        _watch_loss(desk, loss, limits)
    gross = Decimal(0)
    for position in Position.objects.filter(mode=desk.mode).exclude(quantity=0):
        price = last_price(desk, position, now)
        if price is None:
            continue  # it counts nothing here; the risk desk opens nothing while a price is lacking
        worth = abs(position.quantity) * price
        gross += worth
        own = of_symbols.get((position.exchange, position.symbol))
        _watch_position(desk, position, worth, limits.within(own) if own else limits)
    _watch_gross(desk, gross, limits)


def _watch_loss(desk: Desk, loss: Decimal, limits: Limits) -> None:
    limit = limits.daily_loss_max
    if limit is None:
        return  # nothing may be opened without one
    if loss >= limit:
        _stop_for_loss(desk, loss, limits)
        return
    what_to_do = "At the limit only closing orders go, working entries are cancelled and a person must resume."
    _warn(desk, Incident.Kind.LOSS_WARNING, "Today's loss", loss, limit, symbol="", what_to_do=what_to_do)


def _stop_for_loss(desk: Desk, loss: Decimal, limits: Limits) -> None:
    """Let only closing go, once a day for one limit: what a person resumed is not stopped by the same loss again."""
    subject = f"{desk.today()}:{limits.daily_loss_max}"
    if Incident.objects.told(Incident.Kind.DAILY_LOSS, mode=desk.mode, subject=subject):
        return
    reason = f"daily loss: {loss:.2f} INR lost, the limit is {limits.daily_loss_max} INR"
    with transaction.atomic(durable=True):
        switch.wait_for_the_lock()
        TradingControl.objects.locked(desk.mode)
        if Incident.objects.told(Incident.Kind.DAILY_LOSS, mode=desk.mode, subject=subject):
            return  # another process saw it at the same moment
        now = desk.clock()
        switch.reduce_only(desk.mode, by="executor", reason=reason, now=now)
        if not limits.exits_after_loss:
            switch.auto_trading_off(desk.mode, by="executor", reason=reason, now=now)
        Incident.objects.open(
            Incident.Kind.DAILY_LOSS,
            mode=desk.mode,
            subject=subject,
            title=f"The daily loss limit of ₹{limits.daily_loss_max} is reached",
            detail=f"₹{loss:.2f} lost since the close before, realised and unrealised, charges included.",
            what_to_do="Only closing orders go, and working entries are being cancelled. A person resumes; what opens "
            "stays refused until tomorrow, or until the limit is loosened.",
            now=now,
        )
        entries = [order for order in Order.objects.unfinished(desk.mode) if opens(order)]
        ask_to_cancel(desk, entries, by="executor", reason=reason)
    for order in entries:
        carry_out_cancel(desk, order)


def _watch_position(desk: Desk, position: Position, worth: Decimal, limits: Limits) -> None:
    """Warn of a position that grows towards its limit by its price, and cancel what would add to one beyond it."""
    limit = limits.position_value_max
    if limit is None:
        return  # nothing may be opened without one
    what_to_do = "Beyond the limit entries of this symbol are cancelled and refused. The position itself is left alone."
    _warn(desk, Incident.Kind.EXPOSURE, position.symbol, worth, limit, symbol=position.symbol, what_to_do=what_to_do)
    if worth > limit:
        _cancel_entries(desk, position, f"{position.symbol} is worth {worth:.2f} INR, the limit is {limit} INR")


def _watch_gross(desk: Desk, worth: Decimal, limits: Limits) -> None:
    """Warn of a book that grows towards its limit by its prices."""
    limit = limits.gross_exposure_max
    if limit is None or worth == 0:
        return
    what_to_do = "Beyond the limit nothing is opened in any symbol. What is held is left alone."
    _warn(desk, Incident.Kind.EXPOSURE, "All positions", worth, limit, symbol="", what_to_do=what_to_do)


def _cancel_entries(desk: Desk, position: Position, reason: str) -> None:
    of_it = Order.objects.unfinished(desk.mode).filter(
        exchange=position.exchange, symbol=position.symbol, cancel_requested_at=None
    )
    if not any(opens(order) for order in of_it):
        return
    with transaction.atomic(durable=True):
        TradingControl.objects.locked(desk.mode)
        entries = [order for order in of_it.all() if opens(order)]
        ask_to_cancel(desk, entries, by="executor", reason=reason)
    for order in entries:
        carry_out_cancel(desk, order)


def _warn(desk: Desk, kind: str, what: str, used: Decimal, limit: Decimal, *, symbol: str, what_to_do: str) -> None:
    """Tell of the highest level that is reached, once a day for each level of a limit."""
    level = max((each for each in (*WARN_AT_PERCENT, 100) if used * 100 >= limit * each), default=None)
    if level is None:
        return
    subject = f"{desk.today()}:{symbol}:{limit}:{level}"
    if Incident.objects.told(kind, mode=desk.mode, subject=subject):
        return
    Incident.objects.open(
        kind,
        mode=desk.mode,
        subject=subject,
        title=f"{what}: {level} % of ₹{limit} is used",
        detail=f"₹{used:.2f} of ₹{limit}.",
        what_to_do=what_to_do,
        symbol=symbol,
        now=desk.clock(),
    )
