"""What the broker refused lately, as a query over the ledger, and the breaker that it trips."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import takewhile

from django.db.models import Max

from orders.desk import trading_date
from orders.lifecycle import ENDED_BY_AN_ANSWER, OrderStatus
from orders.models import Order
from orders.models.order import FUTURE_MAX
from risk import control as switch
from risk import limit_versions
from risk.engine.broker_rules import too_many_rejections
from risk.engine.limits import REJECTIONS_WITHIN_SECONDS
from risk.engine.rules import CATALOGUE
from risk.models import Incident

REMEMBERED = 100  # of the newest orders: as many as the limits may say


def rejections_of(mode: str, *, now: datetime) -> tuple[int, int]:
    """
    Return how many of our newest answered orders the broker refused in a row, and how many within ten minutes.

    What the breaker tripped for is told already: it counts no more, so that trading stays as a person resumes it.
    """
    latest = now + FUTURE_MAX  # what lies further ahead was dated by a clock that was set back since
    trips = Incident.objects.filter(mode=mode, kind=Incident.Kind.REJECT_STREAK, last_at__lte=latest)
    tripped = trips.aggregate(at=Max("last_at"))["at"]
    answered = (
        Order.objects.ours(mode)
        .filter(trading_date=trading_date(now), status__in=ENDED_BY_AN_ANSWER, submitted_at__lte=latest)
        .order_by("-submitted_at", "-pk")
        .values_list("status", "ended_at")[:REMEMBERED]
    )
    new = [
        (status == OrderStatus.REJECTED, ended_at)
        for status, ended_at in answered
        if status != OrderStatus.REJECTED or tripped is None or (ended_at or now) > tripped
    ]
    since = now - timedelta(seconds=REJECTIONS_WITHIN_SECONDS)
    streak = len(list(takewhile(lambda each: each[0], new)))
    return streak, sum(rejected and (ended_at or now) > since for rejected, ended_at in new)


def stop_after_rejections(mode: str, *, now: datetime) -> None:
    """Trip the breaker if the broker refused too much: REDUCE_ONLY, auto-trading off, an incident. Holds the lock."""
    reason = too_many_rejections(*rejections_of(mode, now=now), limit_versions.settle(now=now).limits())
    if reason is None:
        return
    switch.auto_trading_off(mode, by="executor", reason=reason, now=now)
    switch.reduce_only(mode, by="executor", reason=reason, now=now)
    control = CATALOGUE["REJECT_STREAK"]
    Incident.objects.open(
        Incident.Kind.REJECT_STREAK,
        mode=mode,
        title=f"{control.title}: {reason}"[:200],
        detail=control.sentence,
        what_to_do="Find out why: the refused orders say what the broker said. Then resume trading, and turn "
        "auto-trading on.",
        now=now,
    )
