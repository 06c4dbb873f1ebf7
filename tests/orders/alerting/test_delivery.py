"""One message through each channel: tried again and given up, never held up by another channel, never twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from orders.alerting import outbox, watching
from orders.alerting.channels import ANSWER_SECONDS_MAX, HANGING_MAX
from orders.alerting.outbox import ATTEMPTS_MAX, PAUSES
from orders.models import Alert, AlertDelivery, AlertMessage
from risk import control
from risk.models import Incident

from .conftest import Told, kinds, states


def the_delivery(channel: str = "hook") -> AlertDelivery:
    return AlertDelivery.objects.filter(channel=channel).order_by("pk").first()


def test_a_message_reaches_each_channel_once(start, order):
    one, two = Told(), Told()
    sender = start(one=one, two=two)

    order("FILLED")
    sender.turns(5)

    assert one.titles == two.titles == ["PAPER: Order filled: BUY 10 RELIANCE at ₹1,400.00"]
    assert states() == {"one": "DELIVERED", "two": "DELIVERED"}
    assert the_delivery("one").attempts == 1
    assert the_delivery("one").delivered_at is not None


def test_without_a_channel_an_alert_is_kept_all_the_same(start, order):
    sender = start()

    order("FILLED")
    sender.turns()

    assert kinds() == ["ORDER_FILLED"]
    assert AlertMessage.objects.count() == 1
    assert not AlertDelivery.objects.exists()


def test_a_failed_attempt_is_repeated_after_its_pause_and_not_before(start, order, clock):
    channel = Told(errors=["HTTP 500"])
    sender = start(hook=channel)
    order("FILLED")
    sender.turns()
    delivery = the_delivery()
    assert (delivery.state, delivery.attempts, delivery.last_error) == ("WAITING", 1, "HTTP 500")

    clock.advance(seconds=PAUSES[0].total_seconds() - 0.01)
    sender.turns()
    assert len(channel.words) == 1

    clock.advance(seconds=0.01)
    sender.turns()
    delivery = the_delivery()
    assert len(channel.words) == 2
    assert (delivery.state, delivery.attempts, delivery.last_error) == ("DELIVERED", 2, "")


def test_the_pauses_grow_to_their_bound(start, order, clock):
    sender = start(hook=Told(errors=["no"] * ATTEMPTS_MAX))
    order("FILLED")
    sender.turns()
    pauses = []
    while (delivery := the_delivery()).state == "WAITING":
        pauses.append(delivery.next_at - clock())
        clock.advance(seconds=pauses[-1].total_seconds())
        sender.turns()

    assert pauses == list(PAUSES) == sorted(PAUSES)
    assert sum(pauses, timedelta()) > timedelta(minutes=15)


def test_after_the_last_attempt_it_is_given_up_with_an_incident_that_the_other_channels_tell(start, order, clock):
    broken, good = Told(errors=["HTTP 403: token=abcdef123456 is no more"] * 100), Told()
    sender = start(broken=broken, good=good)
    order("FILLED")
    for _ in range(ATTEMPTS_MAX - 1):
        sender.turns()
        clock.advance(seconds=300)
    assert not Incident.objects.exists()

    sender.turns(2)

    delivery, incident = the_delivery("broken"), Incident.objects.get()
    assert (delivery.state, delivery.attempts) == ("GIVEN_UP", ATTEMPTS_MAX)
    assert incident.kind == "ALERTS_UNDELIVERED"
    assert incident.title == "Alerts could not be delivered through json://broken"
    assert "abcdef123456" not in incident.detail + delivery.last_error
    assert good.titles[-1] == "PAPER: Alerts could not be delivered through json://broken"


def test_what_is_urgent_arrives_however_long_the_line_was_down(start, desk, clock):
    hook = Told(errors=["no route to host"] * (ATTEMPTS_MAX + 3))
    sender = start(hook=hook)
    control.halt(desk.mode, by="priya", reason="odd fills", now=desk.clock())

    for _ in range(ATTEMPTS_MAX + 4):
        sender.turns()
        clock.advance(seconds=300)

    assert "PAPER: Trading is halted, by priya" in hook.titles
    assert Incident.objects.get().kind == "ALERTS_UNDELIVERED"


def test_a_channel_that_stays_broken_makes_no_alert_of_its_own_alert(start, order, clock):
    sender = start(broken=Told(errors=["no"] * 1000))
    order("FILLED")
    for _ in range(3 * ATTEMPTS_MAX):
        sender.turns()
        clock.advance(seconds=300)

    assert kinds() == ["ORDER_FILLED", "UNDELIVERED"]
    assert Incident.objects.get().count == 2


def test_what_was_given_up_can_be_sent_again_and_what_was_delivered_is_not(start, order, clock):
    broken, good = Told(errors=["no"] * ATTEMPTS_MAX), Told()
    sender = start(broken=broken, good=good)
    order("FILLED")
    for _ in range(ATTEMPTS_MAX):
        sender.turns()
        clock.advance(seconds=300)
    message = AlertMessage.objects.order_by("pk").first()

    count = outbox.send_again(message, sender.sender._setup.channels, now=clock())
    sender.turns(2)

    assert count == 1
    assert message.deliveries.get(channel="broken").state == "DELIVERED"
    assert good.titles.count(message.title) == 1


def test_sending_again_reaches_a_channel_that_is_new(start, order, clock):
    first = start(one=Told())
    order("FILLED")
    first.turns()
    late = Told()
    second = start(one=Told(), two=late, first_turn=False)

    first.sender.end()
    message = AlertMessage.objects.order_by("pk").first()
    assert outbox.send_again(message, second.sender._setup.channels, now=clock()) == 1
    second.turns(2)

    assert late.titles == [message.title]


def test_a_channel_that_is_taken_out_is_given_up_in_words(start, order, clock):
    first = start(gone=Told(errors=["no"]), hook=Told())
    order("FILLED")
    first.turns()
    first.sender.end()

    start(hook=Told()).turns()
    clock.advance(seconds=2)
    start(hook=Told()).turns()

    assert the_delivery("gone").last_error == "its channel is not in ALERT_URLS any more"
    assert states() == {"gone": "GIVEN_UP", "hook": "DELIVERED"}
    assert not Incident.objects.exists()


@pytest.mark.parametrize(("hours", "told"), [(24, 1), (24.01, 0)])
def test_what_is_older_than_a_day_is_not_told_any_more(start, order, clock, hours, told):
    channel = Told(errors=["no"])
    sender = start(hook=channel)
    order("FILLED")
    sender.turns()
    channel.words.clear()

    clock.advance(hours=hours)
    sender.turns()

    assert len(channel.words) == told


@pytest.mark.parametrize(("ahead", "told"), [(0, 0), (0.01, 1), (7200, 1)])
def test_a_clock_that_was_set_back_holds_up_no_attempt_for_longer_than_the_longest_pause(
    start, order, clock, ahead, told
):
    channel = Told(errors=["no"])
    sender = start(hook=channel)
    order("FILLED")
    sender.turns()
    channel.words.clear()

    clock.moment = the_delivery().next_at - max(PAUSES) - timedelta(seconds=ahead)
    sender.sender._led_at = None  # its stopwatch goes by the clock that was set back
    sender.turns()

    assert len(channel.words) == told


# --- Channels that hang ----------------------------------------------------------------------------------------------


def test_a_channel_that_hangs_holds_up_no_other(start, order, hanging):
    good = Told()
    sender = start(hangs=hanging, good=good)

    for _ in range(3):
        order("FILLED")
        sender.turns()
        sender.sender._desk.clock.advance(seconds=4)

    assert len(good.words) == 3
    assert hanging.calls == 1


def test_a_hanging_attempt_is_left_behind_at_its_bound_and_may_have_arrived(start, order, hanging, clock):
    sender = start(hangs=hanging)
    order("FILLED")
    sender.turns()

    clock.advance(seconds=ANSWER_SECONDS_MAX - 0.01)
    sender.turns()
    assert the_delivery("hangs").state == "SENDING"

    clock.advance(seconds=0.01)
    sender.turns()
    delivery = the_delivery("hangs")
    assert (delivery.state, delivery.attempts, delivery.maybe_twice) == ("WAITING", 1, True)
    assert delivery.last_error == "no answer within 15 s"


def test_a_channel_that_hangs_for_ever_is_given_up_and_leaves_few_threads(start, order, hanging, clock):
    sender = start(hangs=hanging)
    order("FILLED")
    for _ in range(2 * ATTEMPTS_MAX + 2):
        sender.turns()
        clock.advance(seconds=300)

    first = the_delivery("hangs")
    assert (first.state, first.attempts) == ("GIVEN_UP", ATTEMPTS_MAX)
    assert first.last_error == f"{HANGING_MAX} earlier attempts hang still"
    assert hanging.calls == HANGING_MAX
    assert Incident.objects.filter(kind="ALERTS_UNDELIVERED").exists()


def test_a_channel_that_raises_is_a_failed_attempt(start, order):
    class Raises:
        def __call__(self, words):
            raise RuntimeError("secret=abcdef123456 is odd")

    good = Told()
    sender = start(raises=Raises(), good=good)
    order("FILLED")
    sender.turns()

    assert the_delivery("raises").last_error == "RuntimeError: secret=… is odd"
    assert len(good.words) == 1


def test_a_row_that_trips_us_up_silences_no_other(start, order, incident, monkeypatch):
    real, tripped = watching.TABLES[0].news, []

    def odd(event):
        if event.order.symbol == "ODD":
            tripped.append(event)
            raise KeyError("a defect")
        return real(event)

    sender = start(hook=Told())
    monkeypatch.setattr(watching, "TABLES", [replace(watching.TABLES[0], news=odd), *watching.TABLES[1:]])

    order("FILLED", symbol="ODD")
    order("FILLED")
    incident(Incident.Kind.ORDER_IN_DOUBT)
    sender.turns(2)

    assert sorted(kinds()) == ["ORDER_FILLED", "ORDER_IN_DOUBT"]
    assert len(tripped) > 1, "it is looked at again: the defect may be mended by then"


def test_a_watcher_that_trips_us_up_silences_no_other(start, order, monkeypatch):
    sender = start(hook=Told())
    monkeypatch.setattr(sender.sender._pulse, "look", lambda now: 1 / 0)

    order("FILLED")
    sender.turns()

    assert kinds() == ["ORDER_FILLED"]


def test_what_is_urgent_goes_first_through_a_channel_that_was_away(start, order, incident, clock):
    channel = Told(errors=["no", "no"])
    sender = start(hook=channel)
    order("FILLED")
    sender.turns()
    incident(Incident.Kind.ORDER_IN_DOUBT, title="BUY 1 INFY")
    sender.turns()
    channel.words.clear()

    clock.advance(seconds=5)
    sender.turns(2)

    assert channel.titles == ["PAPER: In doubt: BUY 1 INFY", "PAPER: Order filled: BUY 10 RELIANCE at ₹1,400.00"]
    assert not Alert.objects.waiting("PAPER").exists()
