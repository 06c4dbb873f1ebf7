"""
What the broker counts in its quotas, as queries over the ledger.

There is no counter to keep: what was sent is a row, whoever sent it. The caller holds the mode's lock, so that two
processes never take the same last slot. How many may be sent is for `risk.engine.rates` to say.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import F, Max, Q

from orders.desk import Desk, trading_date
from orders.lifecycle import OrderStatus
from orders.models import Order, OrderEvent
from orders.models.order import FUTURE_MAX
from risk.engine.facts import Origin, Traffic
from risk.engine.rates import MINUTE, MODIFICATIONS_MAX, SECOND

TURNED_AWAY = "refused by the broker for its rate"  # begins the reason of an order that was answered 429
CHANGED_ELSEWHERE = "changed at the broker"  # begins the note of a change that the broker's book showed
WHOLE_SECOND = timedelta(seconds=1)  # the broker's book tells its times in whole seconds


def traffic(desk: Desk, now: datetime) -> Traffic:
    """Return the requests that count at that moment. What a clock dated that was set back since holds nothing up."""
    began = now - MINUTE - timedelta(seconds=desk.rules.answer_within_seconds)
    end = now + FUTURE_MAX
    requested = Order.objects.requested_on(desk.mode, trading_date(began), trading_date(now))
    answered = Q(events__before=OrderStatus.SUBMITTING) & ~Q(events__after=F("events__before"))
    late = requested.filter(submitted_at__range=(began, end)).annotate(answered_at=Max("events__at", filter=answered))
    placed, turned_away = [], []
    for origin, status, reason, submitted_at, answered_at in late.values_list(
        "origin", "status", "status_reason", "submitted_at", "answered_at"
    ):
        assert submitted_at is not None, "the range leaves none out"
        there_by = _there_by(origin, status, submitted_at, answered_at, now)
        placed.append(there_by)
        if status == OrderStatus.REJECTED and reason.startswith(TURNED_AWAY):
            turned_away.append(there_by)
    tried = requested.filter(cancel_tried_at__range=(now - SECOND, end)).values_list("cancel_tried_at", flat=True)
    return Traffic(
        placed=tuple(sorted(moment for moment in placed if moment > now - MINUTE)),
        cancelled=tuple(sorted(moment for moment in tried if moment is not None)),
        turned_away_at=max(turned_away, default=None),
        today=requests_of_today(desk, now),
    )


def _there_by(
    origin: str, status: str, submitted_at: datetime, answered_at: datetime | None, now: datetime
) -> datetime:
    """Return the latest moment at which the broker may have counted it: an unanswered one may be counted just now."""
    if origin == Origin.EXTERNAL:
        return submitted_at + WHOLE_SECOND
    return now if status == OrderStatus.SUBMITTING else answered_at or submitted_at


def requests_of_today(desk: Desk, now: datetime) -> int:
    """Return how many orders of this Mumbai date the broker has counted."""
    return Order.objects.requested_on(desk.mode, trading_date(now)).count()


def is_turned_away_again(desk: Desk) -> bool:
    """Return whether the broker refused our last two orders of today for their rate."""
    requested = Order.objects.requested_on(desk.mode, desk.today()).exclude(origin=Origin.EXTERNAL)
    last_two = requested.order_by("-submitted_at", "-id")[:2]
    return [each.status_reason.startswith(TURNED_AWAY) for each in last_two] == [True, True]


def modifications_left(order: Order) -> int:
    """Return how many changes of this order the broker will still take; those made in its own app count, too."""
    changes = OrderEvent.objects.filter(order=order, note__startswith=CHANGED_ELSEWHERE).count()
    return max(0, MODIFICATIONS_MAX - changes)
