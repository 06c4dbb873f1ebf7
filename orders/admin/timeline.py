"""An order's story as one list, from the signal to the last fill, and how long each leg of it took."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from orders.admin.wording import outcome_badge, status_words
from orders.desk import rupees
from orders.lifecycle import OrderStatus
from orders.models import BrokerMessage, Fill, Order, OrderEvent
from orders.notes import NOTE
from risk.admin.display import Tone, badge
from risk.models import Incident


@dataclass(frozen=True)
class Entry:
    """One thing that happened. Of two at the same moment, the one told first comes first."""

    at: datetime
    what: Any
    said: str
    by: str = ""
    url: str = ""
    place: datetime | None = None  # where it stands in the list, when its own time is not exact enough


@dataclass(frozen=True)
class Leg:
    """From one milestone to the next; without a duration when either is not known."""

    name: str
    milliseconds: int | None

    @property
    def shown(self) -> str:
        """Return the duration in words. The exchange's times have whole seconds, so a fill may seem to come early."""
        if self.milliseconds is None:
            return "–"
        if self.milliseconds < 0:
            return "under 1 s"
        return f"{self.milliseconds:,} ms" if self.milliseconds < 100_000 else f"{self.milliseconds // 1000:,} s"


def story(order: Order) -> str:
    """Return the order's timeline and its legs as a page's part."""
    events, fills = list(order.events.all()), list(order.fills.order_by("filled_at", "id"))
    context = {
        "legs": legs(order, events, fills),
        "entries": [
            {"time": precise(entry.at), "row": entry}
            for entry in sorted(_entries(order, events, fills), key=_by_moment)
        ],
    }
    return render_to_string("desk/timeline.html", context)


def legs(order: Order, events: list[OrderEvent], fills: list[Fill]) -> list[Leg]:
    """Return the legs from the signal's own time to the last fill, in their order."""
    signal, decision = order.signal, order.decision
    filled = [fill.filled_at for fill in fills]
    milestones = [
        ("signal", signal.signal_at if signal else None),
        ("recorded", signal.received_at if signal else None),
        ("decided", decision.at if decision else None),
        ("submitted", order.submitted_at),
        ("answered", answered_at(events)),
        ("first fill", min(filled, default=None)),
        ("last fill", max(filled, default=None)),
    ]
    return [
        Leg(f"{before} → {after}", _between(began, ended)) for (before, began), (after, ended) in pairwise(milestones)
    ]


def answered_at(events: list[OrderEvent]) -> datetime | None:
    """Return when it was first known what became of the sending, be it by the answer or by the book."""
    return next((each.at for each in events if each.before == OrderStatus.SUBMITTING != each.after), None)


def _between(began: datetime | None, ended: datetime | None) -> int | None:
    return None if began is None or ended is None else round((ended - began).total_seconds() * 1000)


def _by_moment(entry: Entry) -> datetime:
    return entry.place or entry.at


def precise(at: datetime) -> str:
    """Return a moment in Mumbai with its milliseconds, unless whoever told it counts in whole seconds."""
    local = timezone.localtime(at)
    thousandths = f".{local.microsecond // 1000:03d}" if local.microsecond else ""
    shown = f"{local:%d %b %Y %H:%M:%S}{thousandths}"
    return format_html('<time class="desk-time" title="{} UTC">{}</time>', at.astimezone(UTC), shown)


def _entries(order: Order, events: list[OrderEvent], fills: list[Fill]) -> list[Entry]:
    return [
        *_of_the_signal(order),
        *_of_the_decision(order),
        *(_of_a_fill(fill) for fill in fills),
        *(_of_an_event(event) for event in events),
        *(_of_the_broker(message) for message in BrokerMessage.objects.filter(order=order)),
        *_of_staff(order, {event.note.lower() for event in events}),
        *_of_incidents(order),
    ]


def _of_the_signal(order: Order) -> list[Entry]:
    signal = order.signal
    if signal is None:
        return []
    url = reverse("admin:orders_signal_change", args=(signal.pk,))
    recorded = Entry(signal.received_at, badge("Signal recorded", Tone.PLAIN, "sensors"), str(signal), "", url)
    if signal.signal_at is None:
        return [recorded]
    said = f"{signal.strategy or 'the publisher'} says when"
    return [Entry(signal.signal_at, badge("Signal", Tone.PLAIN, "sensors"), said, "", url), recorded]


def _of_the_decision(order: Order) -> list[Entry]:
    decision = order.decision
    if decision is None:
        return []
    passed = sum(1 for verdict in decision.verdicts if verdict["passed"])
    said = decision.reason or f"{passed} of {len(decision.verdicts)} controls passed"
    url = reverse("admin:orders_decision_change", args=(decision.pk,))
    return [Entry(decision.at, outcome_badge(decision.outcome), said, decision.actor or "risk desk", url)]


def _of_an_event(event: OrderEvent) -> Entry:
    if event.note.startswith(NOTE):
        return Entry(event.at, badge("Note", Tone.WARNING, "sticky_note_2"), event.note.removeprefix(NOTE), event.actor)
    moved = event.before != event.after
    return Entry(event.at, status_words(event.after) if moved else badge("Said"), event.note, event.actor)


def _of_a_fill(fill: Fill) -> Entry:
    """Return the fill; one told in whole seconds stands where that second ended, or where we heard of it."""
    ended = fill.filled_at + timedelta(seconds=0 if fill.filled_at.microsecond else 1)
    said = f"{fill.quantity} at {rupees(fill.price)}, trade {fill.trade_id}"
    by = fill.recorded_by or "exchange"
    url = reverse("admin:orders_fill_change", args=(fill.pk,))
    return Entry(
        fill.filled_at,
        badge("Fill", Tone.GOOD, "done_all"),
        said,
        by,
        url,
        min(ended, max(fill.recorded_at, fill.filled_at)),
    )


def _of_the_broker(message: BrokerMessage) -> Entry:
    shown = format_html(
        '<details><summary>its row in the book</summary><pre class="desk-raw">{}</pre></details>', message.text
    )
    return Entry(message.at, badge("Broker's book", Tone.PLAIN, "menu_book"), shown, "broker")


def _of_staff(order: Order, told: set[str]) -> list[Entry]:
    """Return what the admin's own log keeps, without what the order's events say in the same words."""
    kind = ContentType.objects.get_for_model(Order)
    log = LogEntry.objects.filter(content_type=kind, object_id=str(order.pk)).select_related("user")
    return [
        Entry(each.action_time, badge("Staff", Tone.INFO, "person"), message, each.user.get_username())
        for each in log
        if (message := each.get_change_message()).lower() not in told
    ]


def _of_incidents(order: Order) -> list[Entry]:
    if not order.client_order_id:
        return []
    entries = []
    for incident in Incident.objects.filter(mode=order.mode, client_order_id=order.client_order_id):
        url = reverse("admin:risk_incident_change", args=(incident.pk,))
        entries.append(Entry(incident.first_at, badge("Incident", Tone.BAD, "error"), incident.title, "", url))
        if incident.closed_at is not None:
            closed = badge("Incident resolved", Tone.GOOD, "check")
            entries.append(Entry(incident.closed_at, closed, incident.note, incident.closed_by, url))
    return entries
