"""How orders, signals and decisions look on their pages."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.template.loader import render_to_string
from django.utils.html import format_html

from orders.desk import rupees
from orders.lifecycle import ModificationState, OrderStatus
from orders.models import Decision, Order, OrderModification, Signal
from risk.admin.display import NOTHING, Tone, badge
from risk.engine.rules import CATALOGUE

ORDER_TONES = {
    OrderStatus.PENDING: (Tone.PLAIN, "schedule"),
    OrderStatus.SUBMITTING: (Tone.INFO, "upload"),
    OrderStatus.OPEN: (Tone.INFO, "hourglass_top"),
    OrderStatus.PARTIALLY_FILLED: (Tone.INFO, "contrast"),
    OrderStatus.FILLED: (Tone.GOOD, "check"),
    OrderStatus.CANCELLED: (Tone.PLAIN, "close"),
    OrderStatus.REJECTED: (Tone.BAD, "block"),
    OrderStatus.IN_DOUBT: (Tone.LOUD, "question_mark"),
    OrderStatus.NOT_PLACED: (Tone.WARNING, "cloud_off"),
    OrderStatus.WITHDRAWN: (Tone.PLAIN, "undo"),
}
MODIFICATION_TONES = {
    ModificationState.WISHED: (Tone.PLAIN, "schedule"),
    ModificationState.SENDING: (Tone.INFO, "upload"),
    ModificationState.ACCEPTED: (Tone.INFO, "hourglass_top"),
    ModificationState.REFUSED: (Tone.BAD, "block"),
    ModificationState.IN_DOUBT: (Tone.LOUD, "question_mark"),
    ModificationState.TOOK_EFFECT: (Tone.GOOD, "check"),
    ModificationState.DID_NOT: (Tone.WARNING, "cloud_off"),
    ModificationState.WITHDRAWN: (Tone.PLAIN, "undo"),
}
SIGNAL_TONES = {
    Signal.Status.RECEIVED: (Tone.INFO, "schedule"),
    Signal.Status.MALFORMED: (Tone.BAD, "broken_image"),
    Signal.Status.IGNORED: (Tone.PLAIN, "do_not_disturb_on"),
    Signal.Status.DENIED: (Tone.WARNING, "block"),
    Signal.Status.APPROVED: (Tone.GOOD, "check"),
    Signal.Status.EXPIRED: (Tone.PLAIN, "timer_off"),
    Signal.Status.FAILED: (Tone.LOUD, "error"),
}
OUTCOME_TONES = {
    "APPROVED": (Tone.GOOD, "check"),
    "DENIED": (Tone.WARNING, "block"),
    "IGNORED": (Tone.PLAIN, "do_not_disturb_on"),
    "EXPIRED": (Tone.PLAIN, "timer_off"),
}
SIDE_TONES = {"BUY": (Tone.INFO, "north_east"), "SELL": (Tone.SELL, "south_east"), "HOLD": (Tone.PLAIN, "pause")}


def order_badge(order: Order) -> str:
    tone, icon = ORDER_TONES[OrderStatus(order.status)]
    if order.is_unfinished and order.cancel_requested_at is not None:
        return badge(f"{order.get_status_display()}, cancelling", Tone.WARNING, "pending")
    return badge(order.get_status_display(), tone, icon)


def modification_badge(modification: OrderModification) -> str:
    tone, icon = MODIFICATION_TONES[ModificationState(modification.state)]
    return badge(modification.get_state_display(), tone, icon)


def status_words(status: str) -> str:
    tone, icon = ORDER_TONES[OrderStatus(status)]
    return badge(OrderStatus(status).label, tone, icon)


def signal_badge(signal: Signal) -> str:
    tone, icon = SIGNAL_TONES[Signal.Status(signal.status)]
    return badge(signal.get_status_display(), tone, icon)


def side_badge(side: str) -> str:
    tone, icon = SIDE_TONES.get(side, (Tone.PLAIN, "question_mark"))
    return badge(side or "?", tone, icon)


def outcome_badge(outcome: str) -> str:
    tone, icon = OUTCOME_TONES.get(outcome, (Tone.PLAIN, ""))
    return badge(outcome.capitalize(), tone, icon)


def money(amount: Decimal | None) -> str:
    """Return INR with Indian grouping, right-aligned in its column."""
    return NOTHING if amount is None else format_html('<span class="desk-number">{}</span>', rupees(amount))


def number(count: int | None) -> str:
    return NOTHING if count is None else format_html('<span class="desk-number">{}</span>', count)


def verdicts(decision: Decision | None) -> str:
    """Return the decision's verdicts as a table: what each control measured, its limit, and why it said no."""
    return render_to_string("desk/verdicts.html", {"decisions": described([decision] if decision else [])})


def described(decisions: list[Decision]) -> list[dict[str, Any]]:
    """Return what a template needs of each decision: its verdicts with what the catalogue says of each control."""
    return [
        {
            "row": decision,
            "outcome": outcome_badge(decision.outcome),
            "verdicts": [{**verdict, "explanation": explanation(verdict["control"])} for verdict in decision.verdicts],
        }
        for decision in decisions
    ]


def explanation(code: str) -> str:
    """Return a control's code and sentence; the code alone of one that exists no more."""
    control = CATALOGUE.get(code)
    return f"{code}: {control.sentence}" if control else code
