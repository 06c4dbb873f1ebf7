"""
What follows when the day goes wrong: warnings on the way to a limit, and past it only closing goes on.

It is looked at after every reading of the book and every second between two: the day's loss, what each symbol is worth
and what all of them are. The state is committed with the cancels that it asks for, so that whoever comes next carries
them out; it stays over midnight and a restart until a person resumes. Until the day is over or the limit is loosened
the risk desk then still refuses what opens. What acts is what is held: a working order was held against the limits
when it was made.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property

from django.db import transaction
from django.db.models import Q

from orders.day import Youngest, ask_held, day_of_account
from orders.desk import Desk
from orders.execution import ask_to_cancel, carry_out_each
from orders.governor import opens
from orders.models import Order
from orders.stopping import let_only_closing_go
from risk import control as switch
from risk import limit_versions
from risk.engine.limits import Limits
from risk.models import Incident, TradingControl

WARN_AT_PERCENT = (50, 80)
TOLD_ONCE_A_DAY = (
    Incident.Kind.LOSS_WARNING,
    Incident.Kind.DAILY_LOSS,
    Incident.Kind.EXPOSURE,
    Incident.Kind.EXPOSURE_PASSED,
)
BEYOND = "Only closing orders go, and working entries are being cancelled."

Key = tuple[str, str]  # exchange and symbol


@dataclass(frozen=True, kw_only=True)
class Trip:
    """A limit that was passed, as it is told: its incident's kind, what it is about, and the words."""

    kind: str
    about: str  # the limit, and the symbol where it is one's: it trips once a day for each
    title: str
    detail: str
    what_to_do: str
    reason: str
    symbol: str = ""


class Seen:
    """What was told today and where something may be cancelled: asked for once in a look, however many symbols near."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def is_told(self, kind: str, subject: str) -> bool:
        return f"{self._desk.mode}:{kind}:{subject}" in self._told

    @cached_property
    def _told(self) -> set[str]:
        today = Q()
        for kind in TOLD_ONCE_A_DAY:
            today |= Q(kind=kind, fingerprint__startswith=f"{self._desk.mode}:{kind}:{self._desk.today()}:")
        return set(Incident.objects.filter(today).values_list("fingerprint", flat=True))

    @cached_property
    def working(self) -> set[Key]:
        """The symbols in which an order may still fill whose cancel nobody has asked for."""
        working = Order.objects.unfinished(self._desk.mode).filter(cancel_requested_at=None)
        return set(working.values_list("exchange", "symbol"))


def watch_limits(desk: Desk) -> None:
    """Hold the day's loss, each symbol and all of them against their limits, and do what follows."""
    now = desk.clock()
    limits = desk.tighten(limit_versions.in_force(now=now).limits())
    of_symbols, beyond = limit_versions.of_instruments(now=now), limits.include_external
    loss = day_of_account(desk, charges_percent=limits.charges_percent, now=now, include_external=beyond).loss
    seen = Seen(desk)
    if loss is not None and loss > 0:
        _watch_loss(desk, loss, limits, seen)
    worths = _worth_of_symbols(desk, limits, now)
    for key, worth in worths.items():
        own = of_symbols.get(key)
        _watch_symbol(desk, key, worth, limits.within(own) if own else limits, seen)
    _watch_gross(desk, sum(worths.values(), Decimal(0)), limits, seen)


def _worth_of_symbols(desk: Desk, limits: Limits, now: datetime) -> dict[Key, Decimal]:
    """Return what each symbol that is held is worth in INR at the youngest price, ours or all of it if that is more."""
    own: defaultdict[Key, int] = defaultdict(int)
    in_all: dict[Key, int] = {}
    prices: dict[Key, Decimal] = {}
    youngest = Youngest(desk, now)
    for position in ask_held(desk)():
        broker = position.broker_quantity if limits.include_external else None
        if not (position.quantity or broker):
            continue  # of what is flat no price is asked for
        key, price = (position.exchange, position.symbol), youngest.of(position)
        if price is None:
            continue  # it counts nothing here; the risk desk opens nothing while a price is lacking
        own[key] += position.quantity
        in_all[key] = broker or 0
        prices[key] = price
    return {key: max(abs(own[key]), abs(in_all[key])) * price for key, price in prices.items()}


def reduce_and_cancel(desk: Desk, trip: Trip, seen: Seen, *, exits_go_on: bool) -> None:
    """
    Let only closing go, ask for the cancel of every entry and tell of it, in one commit; then carry the cancels out.

    Once a day for one limit: what a person resumed is not stopped by the same limit again. Auto-trading goes off, too,
    unless signals may go on closing.
    """
    subject = f"{desk.today()}:{trip.about}"
    if seen.is_told(trip.kind, subject):
        return
    with transaction.atomic(durable=True):
        switch.wait_for_the_lock()
        TradingControl.objects.locked(desk.mode)
        if Incident.objects.told(trip.kind, mode=desk.mode, subject=subject):
            return  # another process saw it at the same moment
        now = desk.clock()
        entries = let_only_closing_go(desk, by="executor", reason=trip.reason)
        if not exits_go_on:
            switch.auto_trading_off(desk.mode, by="executor", reason=trip.reason, now=now)
        Incident.objects.open(
            trip.kind,
            mode=desk.mode,
            subject=subject,
            title=trip.title,
            detail=trip.detail,
            what_to_do=trip.what_to_do,
            symbol=trip.symbol,
            now=now,
        )
    carry_out_each(desk, entries)


def _watch_loss(desk: Desk, loss: Decimal, limits: Limits, seen: Seen) -> None:
    limit = limits.daily_loss_max
    if limit is None:
        return  # nothing may be opened without one
    if loss < limit:
        what_to_do = "At the limit only closing orders go, working entries are cancelled and a person must resume."
        kind = Incident.Kind.LOSS_WARNING
        _warn(desk, kind, "Today's loss", loss, limit, seen, about="", what_to_do=what_to_do)
        return
    trip = Trip(
        kind=Incident.Kind.DAILY_LOSS,
        about=f"{limit}",
        title=f"The daily loss limit of ₹{limit} is reached",
        detail=f"₹{loss:.2f} lost since the close before, realised and unrealised, charges included.",
        what_to_do=f"{BEYOND} A person resumes; what opens stays refused until tomorrow, or until the limit is "
        "loosened.",
        reason=f"daily loss: {loss:.2f} INR lost, the limit is {limit} INR",
    )
    reduce_and_cancel(desk, trip, seen, exits_go_on=limits.exits_after_loss)


def _watch_symbol(desk: Desk, key: Key, worth: Decimal, limits: Limits, seen: Seen) -> None:
    """Hold one symbol against its limit: a position grows past it by its price, and is never sold for that."""
    limit, symbol = limits.position_value_max, key[1]
    if limit is None:
        return  # nothing may be opened without one
    _watch_worth(desk, symbol, worth, limit, limits, seen, about=":".join(key))
    if worth > limit and key in seen.working:
        _cancel_entries(desk, key, f"{symbol} is worth {worth:.2f} INR, the limit is {limit} INR")


def _watch_gross(desk: Desk, worth: Decimal, limits: Limits, seen: Seen) -> None:
    if limits.gross_exposure_max is not None:
        _watch_worth(desk, "All positions", worth, limits.gross_exposure_max, limits, seen, about="")


def _watch_worth(
    desk: Desk, what: str, worth: Decimal, limit: Decimal, limits: Limits, seen: Seen, *, about: str
) -> None:
    """
    Warn of what grows towards its limit; past it let only closing go, where the settings say so.

    It is `about` one symbol with its exchange, or, empty, about all of them.
    """
    symbol = about.partition(":")[2]
    if worth > limit and limits.exposure_breach_reduces:
        trip = Trip(
            kind=Incident.Kind.EXPOSURE_PASSED,
            about=f"{about}:{limit}",
            title=f"{what}: the limit of ₹{limit} is passed",
            detail=f"₹{worth:.2f} is held, at the last prices. Working orders are no part of it.",
            what_to_do=f"{BEYOND} What is held is left alone: exit some of it, or loosen the limit, then resume. "
            "Trading is not stopped for the same limit again today.",
            reason=f"exposure: {symbol or 'all positions'} at {worth:.2f} INR, the limit is {limit} INR",
            symbol=symbol,
        )
        reduce_and_cancel(desk, trip, seen, exits_go_on=limits.exits_after_loss)
    elif worth > 0:
        acts = "only closing orders go and working entries are cancelled" if limits.exposure_breach_reduces else ""
        milder = "entries of this symbol are cancelled and refused" if symbol else "nothing is opened in any symbol"
        what_to_do = f"Beyond the limit {acts or milder}. What is held is left alone."
        _warn(desk, Incident.Kind.EXPOSURE, what, worth, limit, seen, about=about, what_to_do=what_to_do)


def _cancel_entries(desk: Desk, key: Key, reason: str) -> None:
    exchange, symbol = key
    of_it = Order.objects.unfinished(desk.mode).filter(exchange=exchange, symbol=symbol, cancel_requested_at=None)
    if not any(opens(order) for order in of_it):
        return
    with transaction.atomic(durable=True):
        TradingControl.objects.locked(desk.mode)
        entries = [order for order in of_it.all() if opens(order)]
        ask_to_cancel(desk, entries, by="executor", reason=reason)
    carry_out_each(desk, entries)


def _warn(
    desk: Desk, kind: str, what: str, used: Decimal, limit: Decimal, seen: Seen, *, about: str, what_to_do: str
) -> None:
    """Tell of the highest level that is reached, once a day for each level of a limit."""
    level = max((each for each in (*WARN_AT_PERCENT, 100) if used * 100 >= limit * each), default=None)
    if level is None:
        return
    subject = f"{desk.today()}:{about}:{limit}:{level}"
    if seen.is_told(kind, subject):
        return
    Incident.objects.open(
        kind,
        mode=desk.mode,
        subject=subject,
        title=f"{what}: {level} % of ₹{limit} is used",
        detail=f"₹{used:.2f} of ₹{limit}.",
        what_to_do=what_to_do,
        symbol=about.partition(":")[2],
        now=desk.clock(),
    )
