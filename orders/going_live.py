"""
The way to live money: five steps, each with what must be green before the next.

A step is passed by a person when its checks are green, or gone past with a reason when they are not; both are rows, and
so is what was measured then. Arming live looks at the steps before real orders, and asks why where they were not taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from orders import daily_login
from orders.desk import Desk
from orders.going_live_checks import CHECKS, Standing
from orders.models import GoingLiveStep
from orders.start_of_day import Check, State, is_ready
from risk.audit.who import explained
from risk.control import LooseningRefused
from risk.models import Mode, TradingControl

Step = GoingLiveStep.Step
Said = GoingLiveStep.Said

WORD = "GO PAST"  # what a person types to go past a step that is not green
BEFORE_ARMING = (Step.REHEARSE, Step.SHADOW)
_OVER = frozenset({Said.PASSED, Said.OVERRIDDEN})

ABOUT: dict[Step, str] = {
    Step.REHEARSE: "On the paper Kite: signals, fills, a halt, an exit, days whose books agree. Nothing real is near.",
    Step.SHADOW: "With SHADOW=true: the real login and real prices, and every order to the paper Kite. The shadow "
    "report says what each day would have brought.",
    Step.LINE: "Armed: one share far below the market, placed and cancelled. Shows that address, login and permissions "
    "work.",
    Step.ONE_SHARE: "Some days with limits that allow one share of one symbol. Only a person lifts them.",
    Step.FULL: "What a desk needs around the product; then the small limits are lifted.",
}


class StepRefused(Exception):
    """The step cannot be passed, gone past or begun anew now; the text says why."""


@dataclass(frozen=True, kw_only=True)
class StepStands:
    """How one step stands: what was said of it last, and what its checks find now, where it was looked at."""

    step: GoingLiveStep.Step
    is_present: bool
    said: GoingLiveStep | None
    checks: list[Check]

    @property
    def title(self) -> str:
        return str(self.step.label)

    @property
    def about(self) -> str:
        return ABOUT[self.step]

    @property
    def is_over(self) -> bool:
        return self.said is not None and self.said.said in _OVER

    @property
    def is_green(self) -> bool:
        return bool(self.checks) and is_ready(self.checks)

    @property
    def lacking(self) -> list[Check]:
        return [check for check in self.checks if check.state == State.BAD]


def steps(now: datetime, *, looked_at: GoingLiveStep.Step | None = None) -> list[StepStands]:
    """Return the five steps as they stand; only the present one is checked, or the one that is looked at."""
    last = last_said()
    present = _present(last)
    return [
        StepStands(
            step=step,
            is_present=step == present,
            said=last.get(step),
            checks=CHECKS[step](Standing(now=now)) if step == (looked_at or present) else [],
        )
        for step in Step
    ]


def present_step() -> GoingLiveStep.Step | None:
    """Return the first step that is neither passed nor gone past; None when all are."""
    return _present(last_said())


def _present(last: dict[GoingLiveStep.Step, GoingLiveStep]) -> GoingLiveStep.Step | None:
    return next((step for step in Step if not _is_over(last.get(step))), None)


@explained
def pass_step(step: str, *, by: str, reason: str, now: datetime) -> GoingLiveStep:
    """Keep that the present step is passed. Raise `StepRefused` unless it is the present one, and green."""
    return _go_on(Said.PASSED, step, by=by, reason=reason, now=now)


@explained
def go_past(step: str, *, by: str, reason: str, now: datetime) -> GoingLiveStep:
    """Keep that the present step is gone past though it is not green, and why. Raise `StepRefused`."""
    return _go_on(Said.OVERRIDDEN, step, by=by, reason=reason, now=now)


@explained
def begin_anew(step: str, *, by: str, reason: str, now: datetime) -> GoingLiveStep:
    """Have a step taken again, and with it those after it. Raise `StepRefused` for one that is not over."""
    with transaction.atomic(durable=True):
        TradingControl.objects.locked(Mode.LIVE)
        last = last_said()
        if not _is_over(last.get(Step(step))):
            raise StepRefused(f"{Step(step).label} is not over: there is nothing to begin anew")
        _check_reason(reason)
        for later in list(Step)[list(Step).index(Step(step)) + 1 :]:
            if _is_over(last.get(later)):
                why = f"{Step(step).label} is begun anew: {reason}"
                _say(later, Said.REOPENED, by=by, reason=why, now=now, facts={})
        return _say(Step(step), Said.REOPENED, by=by, reason=reason, now=now, facts={})


def not_over_before_arming() -> list[Step]:
    """Return the steps that come before real orders and are neither passed nor gone past."""
    last = last_said()
    return [step for step in BEFORE_ARMING if not _is_over(last.get(step))]


def arm(desk: Desk, *, user_id: str, by: str, reason: str, version_shown: int) -> TradingControl:
    """
    Arm live trading for the account that is logged in, which the person names.

    Where steps before it were not taken, the reason is asked for, and kept as having gone past them. Raise
    `LooseningRefused`, `ControlChanged`.
    """
    missing = not_over_before_arming()
    if missing and not reason.strip():
        named = " and ".join(str(step.label) for step in missing)
        raise LooseningRefused(f"not passed before live: {named}. Say why live trading is armed without: it is kept")

    def keep_what_was_gone_past() -> None:
        now = desk.clock()
        for step in missing:
            facts = _facts(CHECKS[step](Standing(now=now)))
            _say(step, Said.OVERRIDDEN, by=by, reason=f"armed live: {reason.strip()}", now=now, facts=facts)

    return daily_login.arm(desk, user_id=user_id, by=by, version_shown=version_shown, then=keep_what_was_gone_past)


def _go_on(said: GoingLiveStep.Said, step: str, *, by: str, reason: str, now: datetime) -> GoingLiveStep:
    checks = CHECKS[Step(step)](Standing(now=now))  # without the lock, which orders need
    with transaction.atomic(durable=True):
        TradingControl.objects.locked(Mode.LIVE)  # of two people who press at once the second is told
        present = present_step()
        if step != present:
            told = f"the present step is {present.label}" if present else "every step is over"
            raise StepRefused(f"{Step(step).label} is not the present step: {told}")
        lacking = [check.title for check in checks if check.state == State.BAD]
        if said == Said.PASSED and lacking:
            raise StepRefused(f"{Step(step).label} is not green: {', '.join(lacking)}")
        if said == Said.OVERRIDDEN:
            if not lacking:
                raise StepRefused(f"{Step(step).label} is green: pass it")
            _check_reason(reason)
        return _say(Step(step), said, by=by, reason=reason, now=now, facts=_facts(checks))


def _say(
    step: Step, said: GoingLiveStep.Said, *, by: str, reason: str, now: datetime, facts: dict[str, Any]
) -> GoingLiveStep:
    return GoingLiveStep.objects.create(step=step, said=said, at=now, by=by, reason=reason, facts=facts)


def _facts(checks: list[Check]) -> dict[str, Any]:
    return {check.title: {"state": check.state.value, "measured": check.measured} for check in checks}


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise StepRefused("say why: the reason is kept with the step")


def last_said() -> dict[GoingLiveStep.Step, GoingLiveStep]:
    """Return what was said last of each step; what was said of limits is no word about it."""
    said = GoingLiveStep.objects.filter(said__in=[*_OVER, Said.REOPENED]).order_by("id")
    return {Step(row.step): row for row in said}


def _is_over(said: GoingLiveStep | None) -> bool:
    return said is not None and said.said in _OVER
