"""What the broker refused lately, as a query over the ledger."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from itertools import takewhile
from typing import Any

from django.db.models import Case, DateTimeField, F, QuerySet, Subquery, When

from orders.desk import trading_date
from orders.lifecycle import ENDED_BY_AN_ANSWER, TURNED_AWAY, OrderStatus
from orders.models import Order
from orders.models.quarters import FUTURE_MAX
from risk.engine.limits import REJECTIONS_WITHIN_SECONDS
from risk.models import Incident
from risk.questions import Later, Question

REMEMBERED = 100  # of the newest orders: as many as the limits may say


def rejections_of(mode: str, *, now: datetime) -> tuple[int, int]:
    """
    Return how many of our newest answered orders the broker refused in a row, and how many within ten minutes.

    One that it turned away for its rate is neither: that says nothing of the order, and has a breaker of its own.

    What the breaker tripped for is told already: it counts no more, so that trading stays as a person resumes it.
    """
    return ask_rejections(mode, now=now)()


def ask_rejections(mode: str, *, now: datetime) -> Later[tuple[int, int]]:
    """Ask for what `rejections_of` returns."""
    answered = _ANSWERED.ask(mode=mode, now=now, today=trading_date(now))

    def told() -> tuple[int, int]:
        new = [
            (status == OrderStatus.REJECTED, ended_at)
            for status, ended_at, tripped in answered()
            if status != OrderStatus.REJECTED or tripped is None or (ended_at or now) > tripped
        ]
        since = now - timedelta(seconds=REJECTIONS_WITHIN_SECONDS)
        streak = len(list(takewhile(lambda each: each[0], new)))
        return streak, sum(rejected and (ended_at or now) > since for rejected, ended_at in new)

    return told


def _answered(mode: str, now: datetime, today: date) -> QuerySet[Order, Any]:
    latest = now + FUTURE_MAX  # what lies further ahead was dated by a clock that was set back since
    trips = Incident.objects.filter(mode=mode, kind=Incident.Kind.REJECT_STREAK, last_at__lte=latest)
    tripped_at = trips.order_by("-last_at").values("last_at")[:1]
    return (
        Order.objects.ours(mode)
        .filter(trading_date=today, status__in=ENDED_BY_AN_ANSWER, submitted_at__lte=latest)
        .exclude(status=OrderStatus.REJECTED, status_reason__startswith=TURNED_AWAY)
        .order_by("-submitted_at", "-pk")
        .values_list("status", _of_the_refused(F("ended_at")), _of_the_refused(Subquery(tripped_at)))[:REMEMBERED]
    )


def _of_the_refused(moment: Any) -> Case:
    """Return the moment of what was refused, and nothing of the others: of most days that is all."""
    return Case(When(status=OrderStatus.REJECTED, then=moment), output_field=DateTimeField())


_ANSWERED = Question[tuple[str, datetime | None, datetime | None]](_answered, mode=str, now=datetime, today=date)
