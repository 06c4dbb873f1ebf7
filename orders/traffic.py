"""
What the broker counts in its quotas, as queries over the ledger.

There is no counter to keep: what was sent is a row, whoever sent it. The caller holds the mode's lock, so that two
processes never take the same last slot. How many may be sent is for `risk.engine.rates` to say.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.contrib.postgres.fields import ArrayField
from django.db.models import (
    Case,
    Count,
    DateTimeField,
    F,
    FloatField,
    Func,
    IntegerField,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import Coalesce

from orders.desk import Desk, trading_date
from orders.lifecycle import TURNED_AWAY, ModificationState, OrderStatus
from orders.models import Order, OrderEvent, OrderModification
from orders.models.order import IS_REQUEST, IS_TRADE
from orders.models.quarters import FUTURE_MAX, lately
from risk.engine.facts import Origin, Traffic
from risk.engine.rates import BROKER_MINUTE, MINUTE, SECOND
from risk.models import TradingControl
from risk.questions import Later, Question

CHANGED_ELSEWHERE = "changed at the broker"  # begins the note of a change that the broker's book showed
REQUESTS_READ_MAX = BROKER_MINUTE + 1
WHOLE_SECOND = timedelta(seconds=1)  # the broker's book tells its times in whole seconds


def traffic(desk: Desk, now: datetime) -> Traffic:
    """Return the requests that count at that moment. What a clock dated that was set back since holds nothing up."""
    return ask_traffic(desk, now)()


def ask_traffic(desk: Desk, now: datetime) -> Later[Traffic]:
    """Ask for the requests that count at that moment."""
    counted = ask_traffic_and_trades(desk, now)
    return lambda: counted()[0]


def ask_traffic_and_trades(desk: Desk, now: datetime) -> Later[tuple[Traffic, int]]:
    """Ask for the same and how many trades there are of today: a full day is counted once."""
    unanswered = timedelta(seconds=desk.rules.answer_within_seconds)  # an answer came by then, or none will
    began = now - MINUTE - unanswered
    days = {"first_day": trading_date(began), "today": trading_date(now)}
    modified = _MODIFIED.ask(mode=desk.mode, now=now, began=began)
    counted = _COUNTED.ask(mode=desk.mode, now=now, began=began, **days)

    def told() -> tuple[Traffic, int]:
        ((placed, (requests, trades), cancelled),) = counted()
        moments = [datetime.fromtimestamp(abs(at), UTC) for at in placed]
        turned_away = [datetime.fromtimestamp(-at, UTC) for at in placed if at < 0]
        for moment, was_turned_away in _there_by(modified(), now):
            moments.append(moment)
            turned_away += [moment] if was_turned_away else []
        a_minute_ago = now - MINUTE
        found = Traffic(
            placed=tuple(sorted(moment for moment in moments if moment > a_minute_ago)),
            cancelled=tuple(sorted(cancelled)),
            turned_away_at=max(turned_away, default=None),
            today=requests,
        )
        return found, trades

    return told


class _Seconds(Func):
    """Seconds since 1970, exact to the microsecond: read in a tenth of the time that a moment takes."""

    template = "date_part('epoch', %(expressions)s)"
    output_field = FloatField()


class _Two(Func):
    """Two counts in one column, as that is all a subquery may have."""

    template = "ARRAY[%(expressions)s]"
    output_field = ArrayField(IntegerField())


def _placed(mode: str, now: datetime, began: datetime, first_day: date, today: date) -> QuerySet[Order, Any]:
    """
    Return of each order the latest moment at which the broker may have counted it, in seconds since 1970; with a minus
    where it was one too many.

    An unanswered one may be counted just now. No more than the broker takes in a minute are read: then it is full.
    """
    there_by = Case(
        When(origin=Origin.EXTERNAL, then=F("submitted_at") + WHOLE_SECOND),
        When(status=OrderStatus.SUBMITTING, then=Value(now, DateTimeField())),
        default=Coalesce("answered_at", "submitted_at"),
        output_field=DateTimeField(),
    )
    refused = Q(status=OrderStatus.REJECTED, status_reason__startswith=TURNED_AWAY)
    seconds = _Seconds("there_by")
    sent = Order.objects.requested_on(mode, first_day, today).filter(submitted_at__range=(began, now + FUTURE_MAX))
    latest = sent.annotate(there_by=there_by).filter(Q(there_by__gt=now - MINUTE) | refused).order_by("-there_by")
    signed = Case(When(refused, then=-seconds), default=seconds)
    return latest.annotate(signed=signed).values("signed")[:REQUESTS_READ_MAX]


def _modified(mode: str, now: datetime, began: datetime) -> QuerySet[OrderModification, Any]:
    sent = OrderModification.objects.left().filter(order__mode=mode, sent_at__range=(began, now + FUTURE_MAX))
    return sent.values_list("state", "state_reason", "answer_by", "answered_at")


def _counted(mode: str, now: datetime, began: datetime, first_day: date, today: date) -> QuerySet[TradingControl, Any]:
    """
    Return what was placed lately, how many requests and trades of today there are, counted by an index alone, and when
    cancels were tried in the last second.

    One row, the switch's: each of the three is read by an index of its own.
    """
    of_today = Order.objects.filter(mode=mode, trading_date=today).order_by().values(in_all=Value(1))
    both = _Two(Count("mode", filter=IS_REQUEST), Count("mode", filter=IS_TRADE))  # it stands in the index
    tried = Order.objects.filter(lately("cancel_tried_at", now - SECOND, now + FUTURE_MAX), mode=mode).order_by()
    return TradingControl.objects.filter(mode=mode).values_list(
        ArraySubquery(_placed(mode, now, began, first_day, today)),
        Subquery(of_today.annotate(both=both).values("both")),
        ArraySubquery(tried.values("cancel_tried_at")),
    )


_MODIFIED = Question[tuple[str, str, datetime | None, datetime | None]](
    _modified, mode=str, now=datetime, began=datetime
)
_COUNTED = Question[tuple[list[float], list[int], list[datetime]]](
    _counted, mode=str, now=datetime, began=datetime, first_day=date, today=date
)


def _there_by(
    modified: list[tuple[str, str, datetime | None, datetime | None]], now: datetime
) -> Iterator[tuple[datetime, bool]]:
    """Yield of each modification that left the latest moment it may have arrived, and whether it was one too many."""
    for state, reason, answer_by, answered_at in modified:
        unanswered = state == ModificationState.SENDING
        there_by = now if unanswered else answered_at or min(answer_by or now, now)
        yield there_by, reason.startswith(TURNED_AWAY)


def requests_of_today(desk: Desk, now: datetime) -> int:
    """Return how many orders of this Mumbai date the broker has counted."""
    return Order.objects.requested_on(desk.mode, trading_date(now)).count()


def is_turned_away_again(desk: Desk) -> bool:
    """Return whether the broker refused our last two requests of today for their rate: orders, or modifications."""
    placed = Order.objects.requested_on(desk.mode, desk.today()).exclude(origin=Origin.EXTERNAL)
    modified = OrderModification.objects.left().filter(order__mode=desk.mode, order__trading_date=desk.today())
    requests = [
        *placed.order_by("-submitted_at", "-id").values_list("submitted_at", "status_reason")[:2],
        *modified.order_by("-sent_at", "-id").values_list("sent_at", "state_reason")[:2],
    ]
    last_two = sorted(requests, reverse=True)[:2]
    return [reason.startswith(TURNED_AWAY) for _, reason in last_two] == [True, True]


def times_modified(order: Order) -> int:
    """Return how often the broker may have counted the order as modified: all that we sent, and what its app did."""
    elsewhere = OrderEvent.objects.filter(order=order, note__startswith=CHANGED_ELSEWHERE).count()
    return elsewhere + OrderModification.objects.left().filter(order=order).count()
