"""
Alerts as rows: written down once, joined into messages, and each message followed through each channel.

Everything here is the sending process's own and takes no lock of the book. A delivery is claimed by one conditional
UPDATE before it is tried and noted by another afterwards; whoever dies in between leaves one that says so, and is tried
again: at least once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import transaction
from django.db.models import F, Q

from orders.alert_urls import Address
from orders.alerting import wording
from orders.alerting.grouping import STORM_WITHIN, Lately, may_leave_at
from orders.alerting.news import Kind, News
from orders.models import Alert, AlertDelivery, AlertMessage
from orders.redaction import strike_out
from risk.models import Incident

log = structlog.get_logger(__name__)

State = AlertDelivery.State
PAUSES = tuple(timedelta(seconds=each) for each in (5, 10, 20, 40, 80, 160, 300, 300, 300))
ATTEMPTS_MAX = len(PAUSES) + 1
TOO_LATE = timedelta(hours=24)  # older ones are history, and are on the page
TOGETHER_MAX = 1000  # alerts in one message
ERROR_MAX = 500


def note(mode: str, found: Iterable[News], *, now: datetime, quiet: frozenset[Kind] = frozenset()) -> int:
    """Write down what is new of it, each once, whoever else writes it down at the same moment. Return how many."""
    rows = {news.source[:120]: news for news in found}
    if not rows:
        return 0
    known = Alert.objects.filter(mode=mode, source__in=list(rows)).values_list("source", flat=True)
    for source in known:
        del rows[source]
    Alert.objects.bulk_create(
        [news.as_row(mode, now=now, quiet=quiet) for news in rows.values()], ignore_conflicts=True
    )
    return len(rows)


def join(mode: str, to: Sequence[Address], *, now: datetime, base_url: str) -> list[AlertMessage]:
    """Make a message of what waits on each track, where one may leave by now, on its way to every channel."""
    return [
        message
        for urgent in (True, False)
        if (message := _join_track(mode, to, now=now, base_url=base_url, urgent=urgent)) is not None
    ]


def _join_track(mode: str, to: Sequence[Address], *, now: datetime, base_url: str, urgent: bool) -> AlertMessage | None:
    waiting = list(Alert.objects.waiting(mode).filter(is_urgent=urgent)[:TOGETHER_MAX])
    if not waiting or may_leave_at(_lately(mode, now, urgent=urgent), now, urgent=urgent) > now:
        return None
    with transaction.atomic():
        message = AlertMessage.objects.create(mode=mode, formed_at=now, is_urgent=urgent, title="", text="")
        Alert.objects.filter(pk__in=[alert.pk for alert in waiting], message=None).update(message=message)
        taken = list(message.alerts.order_by("pk"))
        if not taken:  # another process was quicker
            transaction.set_rollback(True)
            return None
        words = wording.message_of(mode, taken, base_url=base_url)
        message.title, message.text, message.tone = words.title[:300], words.text, words.tone
        message.save(update_fields=["title", "text", "tone"])
        send_again(message, to, now=now)
    log.info("alert.told", title=message.title, alerts=len(taken), channels=len(to))
    return message


def _lately(mode: str, now: datetime, *, urgent: bool) -> Lately:
    messages = AlertMessage.objects.filter(mode=mode, is_urgent=urgent).order_by("-formed_at")
    noticed = Alert.objects.filter(mode=mode, is_urgent=urgent, is_quiet=False, noticed_at__gt=now - STORM_WITHIN)
    return Lately(
        last_message=messages.values_list("formed_at", flat=True).first(),
        noticed=list(noticed.values_list("noticed_at", flat=True)),
    )


def send_again(message: AlertMessage, to: Sequence[Address], *, now: datetime) -> int:
    """Have the message tried through each channel that it has not reached. Return how many those are."""
    before = {delivery.channel: delivery for delivery in message.deliveries.all()}
    new = [each for each in to if each.key not in before]
    AlertDelivery.objects.bulk_create(
        [AlertDelivery(message=message, channel=each.key, label=each.label, asked_at=now, next_at=now) for each in new],
        ignore_conflicts=True,
    )
    keys = [each.key for each in to]
    unfinished = message.deliveries.filter(channel__in=keys, state__in=[State.GIVEN_UP, State.WAITING])
    again = unfinished.exclude(channel__in=[each.key for each in new])
    return len(new) + again.update(state=State.WAITING, attempts=0, asked_at=now, next_at=now)


def due(mode: str, channel: str, now: datetime) -> AlertDelivery | None:
    """
    Return the oldest message that is to be tried through the channel now.

    One that lies further ahead than any pause was put there by a clock that was set back since.
    """
    waiting = AlertDelivery.objects.filter(message__mode=mode, channel=channel, state=State.WAITING)
    waiting = waiting.filter(Q(next_at__lte=now) | Q(next_at__gt=now + max(PAUSES)))
    return waiting.select_related("message").order_by("-message__is_urgent", "pk").first()


def claim(delivery: AlertDelivery, *, sender: str) -> bool:
    """Take the delivery for one attempt, and return whether this process did."""
    claimed = AlertDelivery.objects.filter(pk=delivery.pk, state=State.WAITING, attempts=delivery.attempts)
    return bool(claimed.update(state=State.SENDING, sender=sender, attempts=F("attempts") + 1))


def delivered(pk: int, *, sender: str, now: datetime) -> None:
    AlertDelivery.objects.filter(pk=pk, state=State.SENDING, sender=sender).update(
        state=State.DELIVERED, delivered_at=now, sender="", last_error=""
    )


def failed(pk: int, error: str, *, sender: str, now: datetime, may_have_arrived: bool) -> None:
    """
    Try again later, longer and longer; after the last attempt give up, with an incident.

    What is urgent is not given up: a line that was down for an hour must not have swallowed a halt.
    """
    delivery = AlertDelivery.objects.select_related("message").filter(pk=pk, state=State.SENDING, sender=sender).first()
    if delivery is None:
        return  # another process took it over
    ours = AlertDelivery.objects.filter(pk=pk, state=State.SENDING, sender=sender)
    said = strike_out(error.replace("\x00", "␀"))[:ERROR_MAX]
    told: dict[str, Any] = {"last_error": said, "sender": "", "maybe_twice": delivery.maybe_twice or may_have_arrived}
    goes_on = delivery.message.is_urgent or delivery.attempts < ATTEMPTS_MAX
    pause = PAUSES[min(delivery.attempts, len(PAUSES)) - 1]
    told |= {"state": State.WAITING, "next_at": now + pause} if goes_on else {"state": State.GIVEN_UP}
    with transaction.atomic():
        if ours.update(**told) and delivery.attempts == ATTEMPTS_MAX:
            _tell_of_undelivered(delivery, said, now)


def take_over(mode: str, *, sender: str, at_work: Collection[int], now: datetime) -> int:
    """
    Have what nobody is sending any more tried again: nobody knows whether it arrived.

    That is all but what this `sender` is `at_work` on: another one lost the lead, and a claim of its own whose answer
    was lost with the database's connection was never begun.
    """
    abandoned = AlertDelivery.objects.filter(message__mode=mode, state=State.SENDING)
    return abandoned.exclude(sender=sender, pk__in=at_work).update(
        state=State.WAITING, next_at=now, sender="", maybe_twice=True, last_error="whoever sent it noted no end of it"
    )


def drop(mode: str, channels: Sequence[str], *, now: datetime) -> None:
    """Give up what is too old to be told, and what is on its way to a channel that is no more."""
    waiting = AlertDelivery.objects.filter(message__mode=mode, state=State.WAITING)
    waiting.filter(asked_at__lt=now - TOO_LATE).update(
        state=State.GIVEN_UP, last_error="older than a day: it stands on the Alerts page"
    )
    waiting.filter(~Q(channel__in=list(channels))).update(
        state=State.GIVEN_UP, last_error="its channel is not in ALERT_URLS any more"
    )


def _tell_of_undelivered(delivery: AlertDelivery, error: str, now: datetime) -> None:
    Incident.objects.open(
        Incident.Kind.ALERTS_UNDELIVERED,
        mode=delivery.message.mode,
        subject=delivery.channel,
        title=f"Alerts could not be delivered through {delivery.label}"[:200],
        detail=f"After {delivery.attempts} attempts: {error}\nFirst: {delivery.message.title}",
        what_to_do="Is the service up, its address in ALERT_URLS right, its token still valid? manage.py send_alerts "
        "--test tries every channel. Then Alerts → Send again, for what was given up.",
        now=now,
    )
