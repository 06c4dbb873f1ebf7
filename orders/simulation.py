"""
What the last decisions would have been under other limits. Nothing is written, and nobody is asked.

Each decision is made again, on its own, of the facts it kept and by the rules of today: what one of them would have
changed in the book of the next is not followed. A signal that was refused before the broker was asked for a price has
no price among its facts; where the other limits would not refuse it, the rest cannot be known, and that is said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from orders.models import Decision
from orders.proposal import sized
from risk import limit_versions
from risk.engine.control import plain
from risk.engine.decision import assess
from risk.engine.facts import ProposedOrder
from risk.engine.kept_facts import FactsUnreadable, restored
from risk.engine.limits import InstrumentLimits, Limits
from risk.engine.rules import RULES, SCREEN, Outcome

LAST = 200  # decisions
UNKNOWN = "UNKNOWN"

_SCREENED = {control.code for control in SCREEN}


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """One decision that would have been another one. `order` and `order_then` are in words."""

    decision: Decision
    outcome: str
    reason: str
    order: str
    order_then: str


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """What became of the last decisions: how many were read, and which would have been others."""

    looked_at: int
    unreadable: int
    outcomes: Counter[str]
    outcomes_then: Counter[str]
    changed: list[Simulated]

    @property
    def same(self) -> int:
        return self.looked_at - self.unreadable - len(self.changed)


def simulate(mode: str, limits: Limits, *, now: datetime, last: int = LAST) -> Simulation:
    """Make the mode's last decisions again under these limits; newest first."""
    return simulated(Decision.objects.filter(mode=mode)[:last], limits, now=now)


def simulated(decisions: Iterable[Decision], limits: Limits, *, now: datetime) -> Simulation:
    """Make each of these decisions again under these limits, and under its symbol's own as they are in force."""
    none, of_instruments = InstrumentLimits(), limit_versions.of_instruments(now=now)
    looked_at = unreadable = 0
    outcomes: Counter[str] = Counter()
    outcomes_then: Counter[str] = Counter()
    changed = []
    for decision in decisions:
        looked_at += 1
        try:
            own = of_instruments.get((decision.exchange, decision.symbol), none)
            again = _made_again(decision, limits.within(own))
        except FactsUnreadable:
            unreadable += 1
            continue
        outcomes_then[decision.outcome] += 1
        outcomes[again.outcome] += 1
        if again.outcome != decision.outcome or (again.order != again.order_then and again.outcome == Outcome.APPROVED):
            changed.append(again)
    return Simulation(
        looked_at=looked_at, unreadable=unreadable, outcomes=outcomes, outcomes_then=outcomes_then, changed=changed
    )


def _made_again(decision: Decision, limits: Limits) -> Simulated:
    then, portfolio = restored(decision.facts)
    proposed = then
    if then.advice is not None:
        if then.lot_size is None or then.tick_size is None:
            raise FactsUnreadable("the instrument of an automatic order is not among them")
        proposed = sized(replace(then, size_note=""), portfolio, limits)
    screened = {verdict["control"] for verdict in decision.verdicts} <= _SCREENED
    assessment = assess(proposed, portfolio, limits, decision.at, rules=SCREEN if screened else RULES)
    outcome, reason = assessment.outcome.value, assessment.reason
    if screened and assessment.outcome == Outcome.APPROVED:
        outcome, reason = UNKNOWN, "the broker would have been asked for a price, which is not among the facts"
    return Simulated(
        decision=decision,
        outcome=outcome,
        reason=reason or proposed.size_note,
        order=in_words(proposed),
        order_then=in_words(then),
    )


def in_words(proposed: ProposedOrder) -> str:
    """Return an order as people say it: BUY 7 RELIANCE at 1407."""
    if proposed.quantity == 0:
        return f"{proposed.action} {proposed.symbol}"
    price = "at the market" if proposed.limit_price is None else f"at {plain(proposed.limit_price)}"
    left = "" if proposed.replaces is None else ", left of a modified order"
    return f"{proposed.action} {proposed.quantity} {proposed.symbol} {price}{left}"
