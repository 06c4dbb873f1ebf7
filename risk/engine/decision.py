"""Decision: every control's verdict on one proposed order, and what follows from them together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from risk.engine.control import Applies, Control, Finding, Outcome
from risk.engine.facts import Portfolio, ProposedOrder, is_closing, only_tightens
from risk.engine.limits import Limits
from risk.engine.rules import RULES


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What one control measured, what it allows, and whether that passed. `reason` is empty when it did."""

    control: str
    title: str
    measured: str
    limit: str
    passed: bool
    reason: str
    outcome: Outcome

    @property
    def breach(self) -> bool:
        return not self.passed


@dataclass(frozen=True, kw_only=True)
class Decision:
    """All verdicts on one order, in the catalogue's order."""

    verdicts: tuple[Verdict, ...]

    @cached_property
    def breaches(self) -> tuple[Verdict, ...]:
        return tuple(verdict for verdict in self.verdicts if verdict.breach)

    @cached_property
    def outcome(self) -> Outcome:
        """
        APPROVED, or why not. A signal out of its time is EXPIRED whatever else is wrong with it, and one that asks for
        nothing is IGNORED before anything is held against it.
        """
        outcomes = {breach.outcome for breach in self.breaches}
        for outcome in (Outcome.EXPIRED, Outcome.IGNORED, Outcome.DENIED):
            if outcome in outcomes:
                return outcome
        return Outcome.APPROVED

    @cached_property
    def reason(self) -> str:
        """The breaches that decided the outcome, in words."""
        deciding = (breach for breach in self.breaches if breach.outcome == self.outcome)
        return "; ".join(f"{breach.control}: {breach.reason}" for breach in deciding)


def assess(
    proposed: ProposedOrder,
    portfolio: Portfolio,
    limits: Limits,
    now: datetime,
    *,
    rules: tuple[Control, ...] = RULES,
) -> Decision:
    """
    Hold the order against every control and keep every verdict.

    With `rules=SCREEN` only against those that need nothing from the broker: enough to say no, never to say yes.
    """
    return Decision(verdicts=tuple(_verdict(control, proposed, portfolio, limits, now) for control in rules))


def _verdict(control: Control, proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Verdict:
    excused = _excused(control, proposed, portfolio)
    measured, limit, reason = excused or control.rule(proposed, portfolio, limits, now)
    return Verdict(
        control=control.code,
        title=control.title,
        measured=measured,
        limit=limit,
        passed=reason is None,
        reason=reason or "",
        outcome=control.outcome,
    )


def _excused(control: Control, proposed: ProposedOrder, portfolio: Portfolio) -> Finding | None:
    """Return why the control does not look at the order; None when it does."""
    if control.new_orders_only and proposed.replaces is not None:
        return Finding("a modification", "applies to new orders", None)
    if control.applies != Applies.OPENING:
        return None
    if is_closing(proposed, portfolio.holding):
        return Finding("closes only", "applies to what opens", None)
    if only_tightens(proposed):
        return Finding("fewer or farther only", "applies to what opens more", None)
    return None
