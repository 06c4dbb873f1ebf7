"""A storm is one message, calm is told at once, and what is urgent waits for nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orders.alerting.grouping import BETWEEN, STORM_ALERTS, STORM_BETWEEN, STORM_WITHIN, Lately, may_leave_at
from orders.models import Alert, AlertMessage
from risk import control
from risk.models import Incident

from .conftest import Told


def leaves_after(now, *, last: float | None, ago: list[float], urgent: bool = False) -> float:
    """Return in how many seconds the next message may leave."""
    lately = Lately(
        last_message=None if last is None else now - timedelta(seconds=last),
        noticed=[now - timedelta(seconds=each) for each in ago],
    )
    return (may_leave_at(lately, now, urgent=urgent) - now).total_seconds()


CALM, STORM = [1.0] * STORM_ALERTS, [1.0] * (STORM_ALERTS + 1)


@pytest.mark.parametrize(
    ("last", "ago", "urgent", "seconds"),
    [
        (None, STORM, False, 0),  # the first one goes at once, however many it tells of
        (1, CALM, False, 3),
        (3.999, CALM, False, 0.001),
        (4, CALM, False, 0),
        (4, STORM, False, 56),
        (59.999, STORM, False, 0.001),
        (60, STORM, False, 0),
        (4, [*CALM, 59.9], False, 56),
        (4, [*CALM, 60.0], False, 0),  # that was a minute ago
        (4, STORM, True, 0),
        (3, STORM, True, 1),
        (-30, STORM, False, 0),  # the clock was set back
    ],
)
def test_a_message_may_leave(clock, last, ago, urgent, seconds):
    assert leaves_after(clock(), last=last, ago=ago, urgent=urgent) == pytest.approx(seconds, abs=1e-4)


def test_what_is_urgent_is_never_told_later_than_in_five_seconds():
    from orders.alerting.sender import TURN_SECONDS

    assert BETWEEN.total_seconds() + TURN_SECONDS < 5
    assert STORM_BETWEEN >= STORM_WITHIN


def test_many_at_once_are_one_message_with_counts_and_a_few_of_them(start, order):
    channel = Told()
    sender = start(hook=channel)

    for number in range(20):
        order("FILLED" if number % 4 else "REJECTED")
    sender.turns()

    (words,) = channel.words
    assert words.title == "PAPER: 20 alerts: 15 × order filled, 5 × order rejected"
    assert "… and 8 more." in words.text
    assert words.text.count("Order filled: BUY 10 RELIANCE") == 9
    assert "Next (order rejected): Read why." in words.text
    assert words.tone == "warning"
    assert AlertMessage.objects.get().alerts.count() == 20


def test_a_storm_is_the_first_message_and_one_digest_a_minute(start, order, clock):
    channel = Told()
    sender = start(hook=channel)

    for _ in range(30):  # one a second
        order("FILLED")
        sender.turns()
        clock.advance(seconds=1)
    assert [title.removeprefix("PAPER: ") for title in channel.titles] == [
        "Order filled: BUY 10 RELIANCE at ₹1,400.00",
        "4 alerts: 4 × order filled",
        "4 alerts: 4 × order filled",
    ]

    clock.advance(seconds=37.9)  # 59.9 since the last message
    sender.turns()
    assert len(channel.words) == 3

    clock.advance(seconds=0.1)
    sender.turns()
    assert channel.titles[3:] == ["PAPER: 21 alerts: 21 × order filled"]
    assert not Alert.objects.waiting("PAPER").exists()


def test_in_calm_each_is_told_at_once(start, order, clock):
    channel = Told()
    sender = start(hook=channel)

    for _ in range(12):
        order("FILLED")
        sender.turns()
        clock.advance(seconds=7)

    assert len(channel.words) == 12


def test_a_halt_and_a_doubt_in_a_storm_are_told_at_once(start, order, incident, desk, clock):
    channel = Told()
    sender = start(hook=channel)
    for _ in range(30):
        order("FILLED")
    sender.turns()
    clock.advance(seconds=1)
    for _ in range(30):
        order("FILLED")
    sender.turns()
    assert len(channel.words) == 1

    control.halt(desk.mode, by="priya", reason="storm", now=desk.clock())
    sender.turns()
    incident(Incident.Kind.ORDER_IN_DOUBT, title="BUY 1 INFY: sent")
    clock.advance(seconds=4)
    sender.turns()

    assert [words.title for words in channel.words[1:]] == [
        "PAPER: Trading is halted, by priya",
        "PAPER: In doubt: BUY 1 INFY: sent",
    ]
    assert {words.tone for words in channel.words[1:]} == {"failure"}


def test_a_storm_of_doubts_is_few_messages_and_none_is_late(start, incident, clock):
    channel = Told()
    sender = start(hook=channel)

    for number in range(20):
        incident(Incident.Kind.ORDER_IN_DOUBT, subject=str(number))
        sender.turns()
        clock.advance(seconds=0.5)
    clock.advance(seconds=2)
    sender.turns()

    assert len(channel.words) == 4
    late = [alert.message.formed_at - alert.noticed_at for alert in Alert.objects.select_related("message")]
    assert max(late) <= timedelta(seconds=4.5)
