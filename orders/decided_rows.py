"""The rows of a decision: what was seen and said of it, and the order that came of it."""

from __future__ import annotations

from datetime import datetime

from orders.desk import Desk, trading_date
from orders.models import Decision, Order, Signal
from risk.engine.decision import Decision as Assessment
from risk.engine.facts import Portfolio, ProposedOrder
from risk.engine.kept_facts import kept
from risk.engine.rates import RATE_LIMIT_EXCEEDED
from risk.models import TradingControl


def as_decided(
    desk: Desk,
    control: TradingControl,
    proposed: ProposedOrder,
    portfolio: Portfolio,
    assessment: Assessment,
    limits_version: int,
    now: datetime,
    *,
    signal: Signal | None = None,
    actor: str = "",
) -> Decision:
    """Return the decision as it is to be kept, with the facts it saw and every verdict."""
    return Decision(
        mode=desk.mode,
        signal=signal,
        at=now,
        outcome=assessment.outcome.value,
        reason=assessment.reason,
        exchange=proposed.exchange,
        symbol=proposed.symbol,
        actor=actor,
        facts=kept(proposed, portfolio),
        verdicts=[vars(verdict) for verdict in assessment.verdicts],
        limits_version=limits_version,
        control_version=control.version,
    )


def write_order(
    desk: Desk,
    proposed: ProposedOrder,
    decision: Decision,
    *,
    our_id: str,
    now: datetime,
    signal: Signal | None = None,
    attempt: int = 1,
    created_by: str = "",
    why: str = "",
) -> Order:
    """Write the order down with its decision, and conclude the signal that it is for, in one statement."""
    order = Order(
        mode=desk.mode,
        client_order_id=our_id,
        origin=proposed.origin.value,
        signal=signal,
        attempt=attempt,
        decision=decision,
        created_by=created_by,
        exchange=proposed.exchange,
        symbol=proposed.symbol,
        side=proposed.action.value,
        product=proposed.product,
        order_type=proposed.order_type.value,
        quantity=proposed.quantity,
        price=proposed.limit_price,
        is_exit=proposed.is_exit,
        trading_date=trading_date(now),
        created_at=now,
    )
    actor, told = created_by or "executor", proposed.size_note or why or "written down"
    if signal is None:
        return order.write_down(told, at=now, actor=actor)
    waited = f"its signal waited: {signal.reason}" if signal.reason.startswith(RATE_LIMIT_EXCEEDED) else ""
    concluding = signal.conclusion(Signal.Status.APPROVED, reason=proposed.size_note, now=now)
    order.write_down(waited or told, at=now, actor="executor", concluding=concluding)
    if signal.status != Signal.Status.APPROVED:
        signal.refresh_from_db(fields=["status", "reason", "decided_at"])
    if waited:
        order.note(told, at=now, actor=actor)
    return order
