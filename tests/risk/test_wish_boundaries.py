"""What waits and what holds for a time, over the midnights in Mumbai where dates turn oddly, on a server in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User

from risk import limit_versions
from risk.models import LimitChange, RiskSettings

from .test_approvals import LIVE, Status, approve, approver, asha, pending, ravi

__all__ = ["asha", "ravi"]
pytestmark = pytest.mark.django_db
TICK = timedelta(microseconds=1)
# The first moments of 24 Nov, of a year, of a leap day and of the day after it, in Mumbai.
MIDNIGHTS = [
    datetime(2026, 11, 23, 18, 30, tzinfo=UTC),
    datetime(2026, 12, 31, 18, 30, tzinfo=UTC),
    datetime(2028, 2, 28, 18, 30, tzinfo=UTC),
    datetime(2028, 2, 29, 18, 30, tzinfo=UTC),
]
midnights = pytest.mark.parametrize("midnight", MIDNIGHTS, ids=lambda at: f"{at:%d %b %Y}")


def trades(now: datetime) -> int:
    return limit_versions.in_force(now=now).daily_trades_max


@midnights
def test_the_minute_of_a_typed_word_is_a_minute_over_midnight(asha: User, midnight: datetime):
    asked = midnight - timedelta(seconds=20)
    change = pending(asha, asked, LIVE, daily_trades_max=11)
    due = midnight + timedelta(seconds=40)

    assert change.due_at == due
    assert (trades(midnight), trades(due - TICK), trades(due)) == (10, 10, 11)
    limit_versions.carry_out(now=due - TICK)
    assert RiskSettings.objects.get().daily_trades_max == 10
    limit_versions.carry_out(now=due)
    assert LimitChange.objects.get().status == Status.APPLIED


@midnights
def test_what_holds_until_midnight_ends_with_the_last_microsecond_before_it(asha: User, ravi: User, midnight: datetime):
    asked = midnight - timedelta(hours=3)
    approve(pending(asha, asked, until=midnight, daily_trades_max=11), ravi, asked)

    assert (trades(midnight - TICK), trades(midnight)) == (11, 10)
    limit_versions.carry_out(now=midnight - TICK)
    assert LimitChange.objects.get().status == Status.TEMPORARY
    limit_versions.carry_out(now=midnight)
    change = LimitChange.objects.get()
    assert (change.status, change.ended_at) == (Status.ENDED, midnight)


@midnights
def test_what_holds_over_midnight_holds_for_as_long_as_was_asked(asha: User, ravi: User, midnight: datetime):
    asked, until = midnight - timedelta(hours=12), midnight + timedelta(days=1)
    approve(pending(asha, asked, until=until, daily_trades_max=11), ravi, asked)

    assert (trades(midnight), trades(until - TICK), trades(until)) == (11, 11, 10)


@midnights
def test_a_wish_of_yesterday_can_still_be_answered(asha: User, midnight: datetime):
    second = approver("meera")
    change = pending(asha, midnight - TICK, daily_trades_max=11)

    assert approve(change, second, midnight).decided_at == midnight
