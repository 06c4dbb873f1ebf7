"""The words and the controls, said once: the controls as the catalogue has them, the words as the README does."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from orders.admin.wording import ORDER_TONES, SIGNAL_TONES
from orders.lifecycle import OrderStatus
from orders.models import Signal
from risk import limit_versions
from risk.admin.display import as_text, badge
from risk.engine.control import Applies, Control
from risk.engine.rules import RULES
from risk.models import RiskSettings

WORDS = (
    (
        "signal, decision, order, fill, position",
        "a strategy's wish; the risk desk's verdict; our intention to trade; one execution; net shares",
    ),
    ("denied / rejected", "refused by our risk desk / by the broker or the exchange"),
    (
        "in doubt, not placed, withdrawn",
        "sent without a trustworthy answer; was in doubt and never arrived; never sent",
    ),
    ("our id / broker's id", "made before sending, Kite's `tag` / Kite's order id (`SIM…` on paper)"),
    ("ACTIVE, REDUCE_ONLY, HALTED", "everything may go; only what closes; only cancels, and exits by a person"),
    ("PAPER, SHADOW, LIVE", "where orders go: the paper Kite; the same, at Kite's real prices; Kite"),
    ("incident", "something a person must look at"),
)
_OF_AN_ORDER = {
    OrderStatus.PENDING: "Written down, not sent yet.",
    OrderStatus.SUBMITTING: "On its way: only the broker's book says how it ends.",
    OrderStatus.OPEN: "The broker has it, and nothing of it is filled.",
    OrderStatus.PARTIALLY_FILLED: "A part is filled, the rest still works.",
    OrderStatus.FILLED: "All of it is filled.",
    OrderStatus.CANCELLED: "The broker's book shows it cancelled; what was filled before stays filled.",
    OrderStatus.REJECTED: "Refused by the broker or the exchange: its page has their words.",
    OrderStatus.IN_DOUBT: "Sent without a trustworthy answer; nothing is sent again, or opened, until it is explained.",
    OrderStatus.NOT_PLACED: "Was in doubt; the broker's book shows that it never arrived.",
    OrderStatus.WITHDRAWN: "Never sent: something had changed since it was decided.",
}
_OF_A_SIGNAL = {
    Signal.Status.RECEIVED: "Waits to be decided; its reason says for what.",
    Signal.Status.MALFORMED: "Could not be read. The bytes are kept, with what is wrong with them.",
    Signal.Status.IGNORED: "Nothing was to be done: HOLD, a weak score, auto-trading off, nothing of ours to sell.",
    Signal.Status.DENIED: "A control said no: its decision has every verdict.",
    Signal.Status.APPROVED: "Became an order.",
    Signal.Status.EXPIRED: "Too old when it could be decided, or older than one decided already.",
    Signal.Status.FAILED: "Tripped over a defect of ours: an incident is open.",
}


def show(request: HttpRequest) -> HttpResponse:
    """Show the glossary to every member of staff; the values of the limits to who may view them."""
    may_see_limits = request.user.has_perm("risk.view_risksettings")
    limits = limit_versions.in_force(now=timezone.now()) if may_see_limits else None
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": "Help",
        "words": [(_with_code(word), _with_code(meaning)) for word, meaning in WORDS],
        "controls": [_row(control, limits) for control in RULES],
        "order_statuses": [(badge(s.label, *ORDER_TONES[s]), _OF_AN_ORDER[s]) for s in OrderStatus],
        "signal_statuses": [(badge(s.label, *SIGNAL_TONES[s]), _OF_A_SIGNAL[s]) for s in Signal.Status],
        "limits_version": limits.version if limits else None,
    }
    return TemplateResponse(request, "desk/help.html", context)


def _with_code(text: str) -> SafeString:
    """Return the text with what stands between backticks set as code."""
    parts = enumerate(text.split("`"))
    shaped = [format_html("<code>{}</code>", part) if number % 2 else part for number, part in parts]
    return format_html_join("", "{}", ((part,) for part in shaped))


def _row(control: Control, limits: RiskSettings | None) -> dict[str, Any]:
    in_force = (
        [
            (RiskSettings.label(name), as_text(getattr(limits, name)))
            for name in control.limits
            if name in RiskSettings.LIMIT_FIELDS
        ]
        if limits
        else []
    )
    applies = "every order" if control.applies == Applies.ALWAYS else "what opens"
    return {"control": control, "applies": applies, "limits": in_force}
