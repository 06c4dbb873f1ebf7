"""What a signal is decided by, read in one trip: what became of it meanwhile, the limits, the book, and its like."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from orders.desk import Desk
from orders.models import Instrument, Order, Signal
from orders.observed import NOTHING_OBSERVED, Observed
from orders.portfolio import ask_book
from orders.proposal import ask_newest_decided
from risk import limit_versions
from risk.engine.facts import Portfolio
from risk.engine.limits import Limits
from risk.models import TradingControl
from risk.questions import Later, Question


class Seen(NamedTuple):
    """What a signal is decided by: which attempt it is, the limits, the book, and what was decided of its like."""

    instrument: Instrument
    attempt: int
    limits: Limits
    portfolio: Portfolio
    newest_decided_at: datetime | None


def ask_look(
    desk: Desk, signal: Signal, observed: Observed | None, now: datetime
) -> Callable[[TradingControl], Seen | None]:
    """
    Ask for all of it in one trip, after the lock: what was committed while it was waited for is there.

    What is returned tells it, for the switch as it was locked; None where the broker does not list the instrument.
    """
    key = (signal.exchange, signal.symbol)
    again = _ask_again(signal)
    instrument = Instrument.objects.ask_named(*key)
    in_force = limit_versions.ask_for_instrument(*key, now=now)
    newest = ask_newest_decided(signal)
    book = ask_book(desk, key, observed or NOTHING_OBSERVED, now)

    def told(control: TradingControl) -> Seen | None:
        made, listed, known = again(), instrument(), in_force()
        if listed is None:
            return None
        if known is None:  # something is due: it is written down first
            known = limit_versions.settle_for_instrument(*key, now=now)
        limits = desk.tighten(known)
        return Seen(listed, made + 1, limits, book(control, listed, limits), newest())

    return told


def _ask_again(signal: Signal) -> Later[int]:
    """Ask what became of the signal meanwhile; the answer is taken over, and tells how many orders it had."""
    asked = _AGAIN.ask(pk=signal.pk)

    def told() -> int:
        for status, reason, decided_at, orders in asked():
            signal.status, signal.reason, signal.decided_at = status, reason, decided_at
            return orders
        raise Signal.DoesNotExist(f"there is no signal {signal.pk} any more")

    return told


def _again(pk: int) -> QuerySet[Signal, Any]:
    made = Order.objects.filter(signal=OuterRef("pk")).order_by().values("signal").annotate(count=Count("pk"))
    counted = Coalesce(Subquery(made.values("count")), 0)
    return Signal.objects.filter(pk=pk).values_list("status", "reason", "decided_at", counted)


_AGAIN = Question[tuple[str, str, datetime | None, int]](_again, pk=int)
