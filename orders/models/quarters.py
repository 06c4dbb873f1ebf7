"""
What happened lately, found by the quarter of an hour that it happened in.

Of a moment that is not known yet PostgreSQL takes one row in two hundred to be later: of a million that is a dear plan,
so it would plan anew for each decision, which takes it far longer than to answer. A quarter of an hour is equal or is
not, and holds few rows however many there are: a plan for any moment is as cheap as one for this moment, and is kept.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import DateTimeField, Func, Q, Value
from django.db.models.lookups import In

QUARTER = timedelta(minutes=15)
# What lies further ahead was dated before the clock was set back; less is what two machines' clocks may differ by.
FUTURE_MAX = timedelta(seconds=30)


class Quarter(Func):
    """When the quarter of an hour of a moment began: an index has it, so what it is must never change."""

    template = "date_bin('15 minutes'::interval, %(expressions)s, 'epoch'::timestamptz)"
    output_field = DateTimeField()


def is_found(since: datetime, until: datetime) -> bool:
    """Return whether `lately` leaves nothing out: a span that is no longer than a quarter lies in those of its ends."""
    return until - since <= QUARTER


def lately(name: str, since: datetime, until: datetime) -> Q:
    """Return what happened between the two, themselves included. The caller sees to it that it `is_found`."""
    ends = [Quarter(Value(moment, DateTimeField())) for moment in (since, until)]
    return Q(In(Quarter(name), ends)) & Q(**{f"{name}__range": (since, until)})


def dated_since(name: str, moment: datetime, now: datetime) -> Q:
    """Return what happened since the moment, itself included; what lies ahead is of a clock that was set back."""
    return Q(**{f"{name}__gte": moment, f"{name}__lte": now + FUTURE_MAX})
