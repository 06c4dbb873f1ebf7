"""What is due of the limits at a moment: which wishes take effect or end by themselves, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from risk.engine.loosening import contradictions
from risk.models import HeldLimits, LimitChange, RiskSettings


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing that is due: what becomes of some changes (None: each is in force), and the values that follow."""

    changes: list[LimitChange]
    status: LimitChange.Status | None
    note: str
    values: Mapping[str, Any]
    by: str = "expiry"
    reason: str = ""


def due_steps(held: HeldLimits, now: datetime) -> Iterator[Step]:
    """Yield what is due of these limits, each step from the limits as the caller left them after the one before."""
    due = list(LimitChange.objects.due(now).about(held))
    for change in due:
        if change.is_over(now):
            yield _ending(change, held)
    takes_effect = [change for change in due if not change.is_over(now)]
    for _, asked_together in groupby(takes_effect, key=lambda change: (change.created_at, change.author_account)):
        yield from _taking_effect(list(asked_together), held)


def as_held(held: HeldLimits, now: datetime) -> None:
    """Apply what is due to these limits, and write nothing."""
    for step in due_steps(held, now):
        for name, value in step.values.items():
            setattr(held, name, value)


def overtaken(held: HeldLimits, changed: Iterable[str], *, by: str) -> Iterator[Step]:
    """Yield what becomes of the wishes that the limits in force have made stale, or have ended."""
    for change in LimitChange.objects.unfinished().about(held).filter(limit__in=changed):
        waits = change.status == LimitChange.Status.PENDING
        now_in_force = getattr(held, change.limit)
        if waits and (reason := change.stale_because(held)):
            yield Step(changes=[change], status=LimitChange.Status.STALE, note=reason, values={})
        elif not waits and not held.loosens(change.limit, change.value_before, now_in_force):
            ended = f"tightened back by {by}"
            yield Step(changes=[change], status=LimitChange.Status.ENDED, note=ended, values={})


def _ending(change: LimitChange, held: HeldLimits) -> Step:
    """The time of a change is over: what is still looser than before goes back, what was tightened further stays."""
    holds = change.status == LimitChange.Status.TEMPORARY
    now_in_force = getattr(held, change.limit)
    returns = holds and held.loosens(change.limit, change.value_before, now_in_force)
    return Step(
        changes=[change],
        status=LimitChange.Status.ENDED,
        note="its time is over" if holds else "its time was over before it took effect",
        values={change.limit: held.taken_back(change.limit, change.value_before, now_in_force)} if returns else {},
        reason=f"{change} held for a time, which is over ({change.author}: {change.reason})",
    )


def _taking_effect(changes: list[LimitChange], held: HeldLimits) -> Iterator[Step]:
    """What one person confirmed at one time takes effect at one time, but for what is no longer based on what holds."""
    stale = LimitChange.Status.STALE
    if gone := changes[0].author_is_gone():
        yield Step(changes=changes, status=stale, note=gone, values={})
        return
    for change in changes:
        if reason := change.stale_because(held):
            yield Step(changes=[change], status=stale, note=reason, values={})
    valid = [change for change in changes if not change.stale_because(held)]
    values = {change.limit: change.value_after for change in valid}
    if against := _against(held, values):
        yield Step(changes=valid, status=stale, note=f"the limits would contradict: {against}", values={})
    elif valid:
        first = valid[0]
        yield Step(changes=valid, status=None, note="confirmed", values=values, by=first.author, reason=first.reason)


def _against(held: HeldLimits, values: Mapping[str, Any]) -> str:
    if not isinstance(held, RiskSettings):
        return ""
    return next((order.why for order in contradictions({**held.numbers(), **values}, about=values)), "")
