"""The database is away: it is told from memory, once, when it has lasted; its return is an alert like any other."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.db.models.functions import Now

from orders.alerting import outbox
from orders.alerting import sender as sending
from orders.alerting.outage import AGAIN_SECONDS, TOLD_AFTER_SECONDS
from orders.models import Alert, AlertDelivery, AlertSender
from tests.orders.paper.paper_process import until

from .conftest import Told, kinds


@pytest.fixture
def away(monkeypatch) -> Any:
    """Take the database away from a sender, and give it back."""
    real, gone = sending.AlertSender.lead, []

    def lead(mode: str, name: str) -> bool:
        if gone:
            raise OperationalError("connection to server failed: password=abcdefgh123 refused")
        return real(mode, name)

    monkeypatch.setattr(sending.AlertSender, "lead", staticmethod(lead))
    monkeypatch.setattr(sending.connection, "close", lambda: None)  # the test's own transaction lives in it

    def switch(is_away: bool) -> None:
        gone[:] = [True] if is_away else []

    return switch


def pass_seconds(running: Any, clock: Any, seconds: float) -> None:
    """Take a turn a second, and let what is told be heard."""
    for _ in range(int(seconds)):
        clock.advance(seconds=1)
        running.turns()


def test_it_is_told_once_when_it_has_lasted_and_so_is_its_return(start, away, clock):
    channel = Told()
    sender = start(hook=channel, base_url="https://desk.example.com")
    clock.advance(seconds=2)
    away(True)

    sender.turns()
    clock.advance(seconds=TOLD_AFTER_SECONDS - 0.01)
    sender.turns()
    assert channel.words == []
    clock.advance(seconds=0.01)
    sender.turns()
    (words,) = channel.words
    assert words.title == "PAPER: the database does not answer"
    assert "Next: look at PostgreSQL" in words.text
    assert "abcdefgh123" not in words.text
    assert words.tone == "failure"

    pass_seconds(sender, clock, 120)
    assert len(channel.words) == 1

    away(False)
    pass_seconds(sender, clock, 3)
    assert kinds() == ["DATABASE_BACK"]
    assert channel.titles[1:] == ["PAPER: The database answers again"]
    assert "for 2 min" in channel.words[1].text


def test_what_was_claimed_when_the_database_went_and_never_begun_is_tried_when_it_is_back(
    start, order, clock, monkeypatch
):
    channel, claim = Told(), outbox.claim
    sender = start(hook=channel)
    monkeypatch.setattr(sending.connection, "close", lambda: None)

    def answer_lost(delivery, *, sender):
        claim(delivery, sender=sender)
        raise OperationalError("server closed the connection unexpectedly")

    order("FILLED")
    with monkeypatch.context() as patch:
        patch.setattr(outbox, "claim", answer_lost)
        sender.turns()
    assert (AlertDelivery.objects.get().state, channel.words) == ("SENDING", [])

    pass_seconds(sender, clock, 3)

    assert channel.titles == ["PAPER: Order filled: BUY 10 RELIANCE at ₹1,400.00"]
    assert AlertDelivery.objects.get().state == "DELIVERED"


def test_what_is_on_its_way_while_the_database_is_away_is_not_sent_twice(start, order, away, clock, hanging):
    sender = start(hook=hanging)
    order("FILLED")
    sender.turns()
    away(True)
    pass_seconds(sender, clock, 3)
    away(False)

    pass_seconds(sender, clock, 3)
    assert AlertDelivery.objects.get().state == "SENDING"
    hanging.let_go.set()
    until(lambda: sender.sender._posts["hook"]._attempt.answer)
    pass_seconds(sender, clock, 3)

    delivery = AlertDelivery.objects.get()
    assert (hanging.calls, delivery.state, delivery.attempts, delivery.maybe_twice) == (1, "DELIVERED", 1, False)


def test_the_return_is_told_by_who_told_the_outage_though_another_leads_by_then(start, away, clock):
    channel = Told()
    sender = start(hook=channel)
    away(True)
    pass_seconds(sender, clock, 10)
    AlertSender.objects.update(holder="another", until=Now() + timedelta(seconds=8))
    away(False)
    pass_seconds(sender, clock, 3)

    assert kinds() == ["DATABASE_BACK"]
    assert len(channel.words) == 1


def test_a_restart_of_the_database_is_not_told(start, away, clock):
    channel = Told()
    sender = start(hook=channel)
    for _ in range(5):
        away(True)
        pass_seconds(sender, clock, 4)
        away(False)
        pass_seconds(sender, clock, 3)

    assert channel.words == []
    assert kinds() == []


def test_each_outage_is_told(start, away, clock):
    channel = Told()
    sender = start(hook=channel)
    for _ in range(2):
        away(True)
        pass_seconds(sender, clock, 10)
        away(False)
        pass_seconds(sender, clock, 10)

    assert [title.removeprefix("PAPER: ") for title in channel.titles] == [
        "the database does not answer",
        "The database answers again",
    ] * 2


def test_who_stands_by_leaves_it_to_the_leader(start, away, clock):
    leads, stands_by = Told(), Told()
    one, two = start(hook=leads), start(hook=stands_by)
    away(True)
    pass_seconds(one, clock, 10)
    pass_seconds(two, clock, 10)

    assert (len(leads.words), stands_by.words) == (1, [])


def test_a_sender_that_starts_without_a_database_tells(start, away, clock):
    channel = Told()
    away(True)
    sender = start(hook=channel)
    pass_seconds(sender, clock, 10)

    assert channel.titles == ["PAPER: the database does not answer"]


def test_a_channel_that_fails_is_tried_again_and_the_others_are_not(start, away, clock):
    odd, good = Told(errors=["no", "no"]), Told()
    sender = start(odd=odd, good=good)
    away(True)
    pass_seconds(sender, clock, 60)

    assert (len(odd.words), len(good.words)) == (3, 1)


def test_a_channel_that_stays_broken_is_tried_so_often_and_no_more(start, away, clock):
    odd = Told(errors=["no"] * 100)
    sender = start(odd=odd)
    away(True)
    for _ in range(30):
        pass_seconds(sender, clock, 1)
        clock.advance(seconds=60)

    assert len(odd.words) == 1 + len(AGAIN_SECONDS)


def test_what_was_under_way_is_noted_when_the_database_is_back_and_not_sent_again(start, order, away, clock):
    channel = Told()
    sender = start(hook=channel)
    order("FILLED")
    sender.sender.turn()  # it is on its way
    until(lambda: channel.words)
    clock.advance(seconds=2)
    away(True)
    pass_seconds(sender, clock, 10)
    assert AlertDelivery.objects.get().state == "SENDING"

    away(False)
    pass_seconds(sender, clock, 3)

    told = [title.removeprefix("PAPER: ") for title in channel.titles]
    assert told.count("Order filled: BUY 10 RELIANCE at ₹1,400.00") == 1
    assert set(AlertDelivery.objects.values_list("state", "attempts", "maybe_twice")) == {("DELIVERED", 1, False)}
    assert Alert.objects.count() == 2
