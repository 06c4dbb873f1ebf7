"""A signal that is left undecided for a while: for the broker's word, or for room in the pace of orders."""

from __future__ import annotations

from datetime import datetime

from orders.models import Signal
from risk.engine.decision import Decision as Assessment
from risk.engine.facts import Portfolio
from risk.engine.limits import Limits
from risk.engine.rates import RATE_LIMIT_EXCEEDED, tightest_for_opening


def waits_for_room(signal: Signal) -> bool:
    """Return whether the signal, just looked at, was left undecided for want of room."""
    return signal.status == Signal.Status.RECEIVED and signal.reason.startswith(RATE_LIMIT_EXCEEDED)


def must_wait(signal: Signal, assessment: Assessment, portfolio: Portfolio, limits: Limits, now: datetime) -> bool:
    """Return whether it is to be asked again, for as long as the signal is fresh."""
    if {breach.control for breach in assessment.breaches} == {"BROKER_POSITION_STALE"}:
        return True  # only the broker's word is missing
    return _must_wait_for_room(signal, assessment, portfolio, limits, now)


def _must_wait_for_room(
    signal: Signal, assessment: Assessment, portfolio: Portfolio, limits: Limits, now: datetime
) -> bool:
    """Return whether only the pace of orders speaks against it now, and write the first such reason on the signal."""
    if {breach.control for breach in assessment.breaches} != {RATE_LIMIT_EXCEEDED}:
        return False
    if tightest_for_opening(portfolio.traffic, limits, now).room_at is None:
        return False
    if not signal.reason.startswith(RATE_LIMIT_EXCEEDED):
        signal.wait(reason=assessment.reason)
    return True
