"""
Signals to close that were not acted on: which of them still need a person, and what a person may do about it.

Which ones there are is written down where it happens: when the risk desk refuses one, when its order ends without
having closed anything, when a defect comes between. What is only late is found by looking.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, IntegerField, OuterRef, QuerySet, Subquery, Sum
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce

from orders.desk import Desk, trading_date
from orders.lifecycle import UNFINISHED
from orders.models import MissedExit, Order, Position, Signal
from risk.engine.decision import Decision as Assessment
from risk.engine.facts import Portfolio, Side, TradingSignalType
from risk.models import Incident, TradingControl

WENT_FLAT = "the position went flat, and what is open now was bought since: exit that on its own page"
LATE_AFTER = timedelta(seconds=30)  # a signal is decided within a second: what waits longer, waits for something


class DismissRefused(Exception):
    """A signal to close cannot be dismissed now; the text says why."""


def tell(desk: Desk, signal: Signal, portfolio: Portfolio, assessment: Assessment, now: datetime) -> None:
    """
    Keep a strong signal to close that was refused for a person, and open an incident if something could be closed.

    It is also kept while another order closes the position: that one may end without having done so.
    """
    if not wants_to_close(signal, assessment):
        return
    MissedExit.objects.open(signal, why=assessment.reason, at=now)
    refused = {breach.control for breach in assessment.breaches}
    if portfolio.holding.closable_by_sell == 0 or "NOTHING_TO_SELL" in refused:
        return
    Incident.objects.open(
        Incident.Kind.EXIT_NOT_TAKEN,
        mode=desk.mode,
        subject=f"{signal.exchange}:{signal.symbol}",
        title=f"A signal to sell {signal.symbol} was not acted on: {assessment.reason}"[:200],
        what_to_do="It is not acted on later. It waits in Signals to close: exit the position there, or dismiss it.",
        symbol=signal.symbol,
        now=now,
    )


def wants_to_close(signal: Signal, assessment: Assessment) -> bool:
    """Return whether it is a signal to close in earnest: neither weak nor overtaken by a newer one."""
    refused = {breach.control for breach in assessment.breaches}
    return signal.signal_type == TradingSignalType.SELL and not refused & {"CMS_SCORE_TOO_WEAK", "SIGNAL_OUT_OF_ORDER"}


def keep(desk: Desk, signal: Signal, *, why: str) -> None:
    """
    Keep a signal for a person, for who holds no lock.

    It is taken here: whoever sells the last share meanwhile comes before, or ends what waits after.
    """
    if signal.signal_type != TradingSignalType.SELL:
        return
    with transaction.atomic(durable=True):
        TradingControl.objects.locked(desk.mode)
        MissedExit.objects.open(signal, why=why, at=desk.clock())


def with_the_book(rows: QuerySet[Any], today: date) -> QuerySet[Any]:
    """
    Add to each row what of ours is open in its symbol, how much of that is being sold, and the last price read.

    An order of an earlier day sells nothing any more, whatever it still counts as.
    """
    same = {"mode": OuterRef("mode"), "exchange": OuterRef("exchange"), "symbol": OuterRef("symbol")}
    positions = Position.objects.filter(**same).order_by()
    read = Position.objects.filter(**same).exclude(last_price=None).order_by("-broker_as_of")
    annotated: QuerySet[Any] = rows.annotate(
        ours=_sum(positions, F("quantity")),
        being_sold=_being_sold(same, today),
        last_price=Subquery(read.values("last_price")[:1]),
        price_as_of=Subquery(read.values("broker_as_of")[:1]),
    )
    return annotated


def in_the_inbox(rows: QuerySet[Any], today: date) -> QuerySet[Any]:
    """Keep what a person must look at: something is open, and no order works that closes all of it."""
    waiting: QuerySet[Any] = with_the_book(rows, today).filter(state=MissedExit.State.WAITING)
    return waiting.filter(ours__gt=0, being_sold__lt=F("ours"))


def being_closed(rows: QuerySet[Any], today: date) -> QuerySet[Any]:
    """Keep what waits while an order works that closes all of it."""
    waiting: QuerySet[Any] = with_the_book(rows, today).filter(state=MissedExit.State.WAITING)
    return waiting.filter(ours__gt=0, being_sold__gte=F("ours"))


def late(mode: str, now: datetime) -> QuerySet[Signal]:
    """Return signals to close that still wait to be decided, though something of ours is open in their symbol."""
    same = {"mode": OuterRef("mode"), "exchange": OuterRef("exchange"), "symbol": OuterRef("symbol")}
    selling = Signal.objects.undecided(mode).filter(signal_type=Side.SELL.value, received_at__lt=now - LATE_AFTER)
    held = selling.annotate(
        ours=_sum(Position.objects.filter(**same).order_by(), F("quantity")),
        being_sold=_being_sold(same, trading_date(now)),
    )
    return held.filter(ours__gt=0, being_sold__lt=F("ours")).defer("raw")


def waiting(mode: str, now: datetime) -> list[tuple[QuerySet[Any], str]]:
    """Return the signals to close that need a person, with the name of the signal's number: what is kept, and late."""
    missed = in_the_inbox(MissedExit.objects.filter(mode=mode), trading_date(now))
    return [(missed, "signal_id"), (late(mode, now), "pk")]


def went_flat(mode: str, exchange: str, symbol: str, *, since: datetime) -> bool:
    """Return whether the position that signals wanted closed since then has been: what is open now is another."""
    missed = MissedExit.objects.filter(mode=mode, exchange=exchange, symbol=symbol, at__gte=since)
    return missed.exists() and not missed.exclude(state=MissedExit.State.FLAT).exists()


def dismiss(desk: Desk, missed: MissedExit, *, by: str, reason: str) -> None:
    """
    Say for good that nothing is to be done about the signal. The position stays as it is.

    Raise `DismissRefused`, also when somebody was faster, and while an order closes the position.
    """
    if not reason.strip():
        raise DismissRefused("say why: the reason is kept")
    if missed.mode != desk.mode:
        raise DismissRefused(f"it belongs to {missed.mode}, and this is {desk.mode}")
    now_open: Any = with_the_book(MissedExit.objects.filter(pk=missed.pk), desk.today()).get()
    if now_open.state == MissedExit.State.WAITING and now_open.ours > 0 and now_open.being_sold >= now_open.ours:
        raise DismissRefused(f"{now_open.being_sold} of {now_open.ours} shares are being sold: it leaves by itself")
    if not missed.dismiss(by=by, reason=reason, at=desk.clock()):
        raise DismissRefused(f"it has ended already: {how_it_ended(missed)}")


def how_it_ended(missed: MissedExit) -> str:
    by = f" by {missed.ended_by}" if missed.ended_by else ""
    return f"{missed.get_state_display().lower()}{by}: {missed.note}"


def _being_sold(same: dict[str, OuterRef], today: date) -> Coalesce:
    works = {"status__in": sorted(UNFINISHED), "trading_date__gte": today}
    selling = Order.objects.filter(**same, **works, side=Side.SELL.value)
    return _sum(selling.exclude(origin=Order.Origins.EXTERNAL).order_by(), F("quantity") - F("filled_quantity"))


def _sum(rows: QuerySet, amount: Combinable) -> Coalesce:  # type: ignore[type-arg]  # of any model
    total = rows.values("symbol").annotate(total=Sum(amount)).values("total")
    return Coalesce(Subquery(total, output_field=IntegerField()), 0)
