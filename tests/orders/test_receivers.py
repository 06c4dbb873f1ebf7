"""The channel and the stream, with a real Valkey: heard, written down, and only then acknowledged."""

from __future__ import annotations

import os
import re
import signal
from datetime import datetime, timedelta

import pytest
import redis
from django.conf import settings as django_settings
from django.db import DatabaseError

from orders.backlog import Backlog
from orders.inbox import Received
from orders.models import Signal
from orders.receivers import ChannelReceiver, StreamReceiver, connect
from risk.models import Incident
from tests.servers import SERVERS

from .paper.paper_process import until
from .together import direct_connection

STREAM, GROUP, CHANNEL = "test:stream", "test-group", "test:channel"


@pytest.fixture
def desk(bare_desk, db):
    """Writing signals down needs nothing of the broker."""
    return bare_desk


class Bell:
    def __init__(self):
        self.rung = 0

    def __call__(self):
        self.rung += 1


@pytest.fixture
def valkey():
    client = connect(django_settings.REDIS_URL)
    client.delete(STREAM)
    yield client
    client.delete(STREAM)
    client.close()


@pytest.fixture
def bell():
    return Bell()


@pytest.fixture
def stream(desk, valkey, bell):
    def make(consumer="one", **more):
        return StreamReceiver(desk, valkey, stream=STREAM, group=GROUP, consumer=consumer, heard=bell, **more)

    return make


@pytest.fixture
def subscribed(desk, valkey, bell):
    """Make a receiver that is subscribed already."""
    receivers = []

    def make(**more):
        receivers.append(ChannelReceiver(desk, valkey, channel=CHANNEL, heard=bell, **more))
        receivers[-1].turn()
        return receivers[-1]

    yield make
    for receiver in receivers:
        receiver.reset()


@pytest.fixture
def channel(subscribed):
    return subscribed()


def pending_of(valkey) -> int:
    return valkey.xpending(STREAM, GROUP)["pending"]


class NoTable:
    """The signals' table is away for the block: whatever would be written there fails."""

    def __enter__(self):
        self.rename("orders_signal", "orders_signal_away")

    def __exit__(self, *_):
        self.rename("orders_signal_away", "orders_signal")

    def rename(self, before, after):
        with direct_connection() as other:
            other.execute(f"ALTER TABLE {before} RENAME TO {after}")


# --- The channel -----------------------------------------------------------------------------------------------------


def test_what_is_published_is_written_down_and_the_bell_rung(channel, valkey, message, bell):
    valkey.publish(CHANNEL, message(signal_id="a-1"))

    channel.turn()

    assert Signal.objects.get().signal_id == "a-1"
    assert bell.rung == 1


def test_everything_that_waits_is_one_batch(channel, valkey, message, bell):
    for number in range(20):
        valkey.publish(CHANNEL, message(signal_id=f"a-{number}"))

    until(lambda: channel.turn() or Signal.objects.count() == 20)

    assert bell.rung <= 3


def test_a_quiet_turn_rings_no_bell(channel, bell):
    channel.turn()

    assert (bell.rung, Signal.objects.count()) == (0, 0)


def test_what_is_no_signal_is_a_malformed_row(channel, valkey):
    valkey.publish(CHANNEL, b"\xff\x00 not a signal")

    channel.turn()

    assert Signal.objects.get().status == "MALFORMED"


@pytest.mark.django_db(transaction=True)
def test_what_is_published_while_nothing_can_be_written_down_is_heard_and_written_down_later(
    channel, valkey, message, bell
):
    with NoTable():
        for number in range(3):
            valkey.publish(CHANNEL, message(signal_id=f"a-{number}"))
            channel.turn()
        assert bell.rung == 0

    until(lambda: channel.turn() or Signal.objects.count() == 3)

    assert sorted(Signal.objects.values_list("signal_id", "duplicates")) == [("a-0", 0), ("a-1", 0), ("a-2", 0)]
    assert Incident.objects.count() == 0  # nothing was lost, nobody need look


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("published", "lost"), [(5, 0), (6, 1), (12, 7)])
def test_what_is_kept_meanwhile_is_bounded_and_what_was_lost_is_counted_and_told_once(
    subscribed, valkey, message, published, lost
):
    channel = subscribed(kept_max=5)
    with NoTable():
        for number in range(published):
            valkey.publish(CHANNEL, message(signal_id=f"a-{number:02}"))
        channel.turn()
        channel.turn()

    until(lambda: channel.turn() or Signal.objects.count() == 5)
    channel.turn()

    kept = sorted(Signal.objects.values_list("signal_id", flat=True))
    assert kept == [f"a-{number:02}" for number in range(lost, published)]  # the newest
    told = list(Incident.objects.values_list("kind", "title", "count"))
    title = f"{lost} messages of the channel were lost: nothing could be written down"
    assert told == ([("SIGNAL_GAP", title, 1)] if lost else [])


def test_what_is_kept_is_bounded_in_bytes_too(clock):
    backlog = Backlog(100, bytes_max=10)
    for raw in (b"four", b"four", b"three", b"x" * 11):
        backlog.keep(Received(raw=raw, source=Signal.Source.CHANNEL), clock())
        assert sum(len(kept.raw) for kept in backlog.oldest(100)) <= 10

    assert (len(backlog), backlog.lost) == (0, 4)


@pytest.mark.django_db(transaction=True)
def test_what_is_kept_is_written_down_although_redis_is_away_now(channel, valkey, message):
    """The database was away, and when it is back Redis is not: what was heard needs no Redis any more."""
    with NoTable():
        valkey.publish(CHANNEL, message(signal_id="a-1"))
        channel.turn()

    channel.reset()
    channel._client = connect("redis://127.0.0.1:1/0")

    def turn():
        with pytest.raises(redis.ConnectionError):
            channel.turn()
        return Signal.objects.exists()

    until(turn)
    assert [row.signal_id for row in Signal.objects.all()] == ["a-1"]


def cut(channel, valkey):
    """End the subscription from outside and take the turn that notices."""
    valkey.client_kill_filter(_type="pubsub")

    def turn():
        try:
            channel.turn()
        except redis.ConnectionError:
            channel.reset()
            return True
        return False

    until(turn)


def test_a_subscription_that_was_cut_is_made_again(channel, valkey, message):
    cut(channel, valkey)

    channel.turn()
    valkey.publish(CHANNEL, message(signal_id="a-1"))
    channel.turn()

    assert Signal.objects.get().signal_id == "a-1"


@pytest.mark.usefixtures("noon")
def test_the_time_in_which_the_channel_was_not_heard_is_said_once_from_when_until_when(channel, valkey, clock):
    cut(channel, valkey)
    client, channel._client = channel._client, connect("redis://127.0.0.1:1/0")
    for _ in range(3):
        with pytest.raises(redis.ConnectionError):
            channel.turn()
        clock.advance(minutes=5)
    open_gap = Incident.objects.get()
    assert open_gap.title.startswith(f"The channel {CHANNEL} is not heard since ")

    channel._client = client
    channel.turn()
    channel.turn()

    gap = Incident.objects.get()
    began, ended = re.fullmatch(r"The channel \S+ was not heard from (.+) until (.+)", gap.title).groups()
    in_a_leap_year = [f"2028 {at} +0530" for at in (began, ended)]
    begins, ends = (datetime.strptime(at, "%Y %d %b %H:%M:%S %z") for at in in_a_leap_year)
    assert timedelta(minutes=15) <= ends - begins
    assert (gap.kind, gap.count, gap.pk) == ("SIGNAL_GAP", 1, open_gap.pk)


def test_every_outage_is_an_incident_of_its_own_although_the_last_is_still_open(channel, valkey, clock):
    for _ in range(2):
        cut(channel, valkey)
        channel.turn()
        channel.turn()
        clock.advance(seconds=1)

    assert [gap.count for gap in Incident.objects.filter(kind="SIGNAL_GAP", is_open=True)] == [1, 1]


def test_a_gap_that_a_person_resolved_while_it_lasted_is_completed_and_not_opened_again(channel, valkey, clock):
    cut(channel, valkey)
    client, channel._client = channel._client, connect("redis://127.0.0.1:1/0")
    for _ in range(2):
        with pytest.raises(redis.ConnectionError):
            channel.turn()
    Incident.objects.get().resolve(by="priya", note="Redis is being moved", now=clock())

    channel._client = client
    channel.turn()

    assert "was not heard from" in Incident.objects.get().title


def test_with_redis_down_at_the_start_the_gap_begins_with_the_first_try(desk, valkey, bell):
    receiver = ChannelReceiver(desk, connect("redis://127.0.0.1:1/0"), channel=CHANNEL, heard=bell)
    with pytest.raises(redis.ConnectionError):
        receiver.turn()

    receiver._client = valkey
    receiver.turn()
    receiver.reset()

    assert "was not heard from" in Incident.objects.get().title


@pytest.mark.processes
def test_a_line_that_is_quiet_because_nobody_is_there_is_given_up(subscribed, message):
    """Valkey stands still, as behind a line that was cut without a word; nothing is closed and nothing refused."""
    channel = subscribed(silence_seconds=0.5)
    server = SERVERS.valkey.process.pid
    os.kill(server, signal.SIGSTOP)
    try:

        def turn():
            try:
                channel.turn()
            except redis.TimeoutError:
                return True
            return False

        until(turn, 10)
    finally:
        os.kill(server, signal.SIGCONT)


def test_a_quiet_day_is_no_gap(subscribed):
    channel = subscribed(silence_seconds=0.2)

    for _ in range(6):
        channel.turn()

    assert Incident.objects.count() == 0


def test_while_nobody_knows_who_leads_it_listens_and_writes_nothing(subscribed, valkey, message):
    leading = []
    channel = subscribed(leads=lambda: bool(leading))
    valkey.publish(CHANNEL, message(signal_id="a-1"))
    channel.turn()
    assert Signal.objects.count() == 0

    leading.append(True)
    channel.turn()

    assert Signal.objects.get().signal_id == "a-1"


def test_when_another_one_leads_what_was_heard_before_is_written_down_and_no_more_is_heard(
    subscribed, valkey, message, bell
):
    resting = []
    channel = subscribed(leads=lambda: False, rests=lambda: bool(resting))
    valkey.publish(CHANNEL, message(signal_id="heard"))
    channel.turn()
    valkey.publish(CHANNEL, message(signal_id="not taken from the socket yet"))

    resting.append(True)
    channel.turn()
    until(lambda: not dict(valkey.pubsub_numsub(CHANNEL)).get(CHANNEL.encode()))
    valkey.publish(CHANNEL, message(signal_id="for the other one"))
    channel.turn()

    assert sorted(Signal.objects.values_list("signal_id", flat=True)) == ["heard", "not taken from the socket yet"]


# --- The stream ------------------------------------------------------------------------------------------------------


def test_what_was_sent_before_anybody_listened_is_read_from_the_beginning(stream, valkey, message, bell):
    entry_id = valkey.xadd(STREAM, {"signal": message(signal_id="a-1")})
    receiver = stream()

    receiver.turn()  # makes the group
    receiver.turn()

    row = Signal.objects.get()
    assert (row.signal_id, row.source, row.stream_entry_id) == ("a-1", "STREAM", entry_id.decode())
    assert (pending_of(valkey), bell.rung) == (0, 1)


def test_entries_are_read_in_batches_until_none_is_left(stream, valkey, message):
    for number in range(501):
        valkey.xadd(STREAM, {"signal": message(signal_id=f"a-{number}")})
    receiver = stream()

    for _ in range(3):
        receiver.turn()

    assert Signal.objects.count() == 501
    assert pending_of(valkey) == 0


@pytest.mark.parametrize("lost", ["the stream", "the group", "everything"])
def test_a_group_that_was_lost_is_made_again_from_the_beginning(stream, valkey, message, lost):
    receiver = stream()
    receiver.turn()
    valkey.xadd(STREAM, {"signal": message(signal_id="a-1")})
    receiver.turn()
    match lost:
        case "the stream":
            valkey.delete(STREAM)
        case "the group":
            valkey.xgroup_destroy(STREAM, GROUP)
        case "everything":
            valkey.flushall()
    valkey.xadd(STREAM, {"signal": message(signal_id="a-2")})

    for _ in range(3):
        receiver.turn()

    assert sorted(Signal.objects.values_list("signal_id", "duplicates")) == [("a-1", 0), ("a-2", 0)]
    assert pending_of(valkey) == 0


def test_two_that_make_the_group_at_once_do_no_harm(stream, valkey):
    stream()._make_group()
    stream()._make_group()


def test_what_a_dead_consumer_read_and_never_acknowledged_is_claimed_at_the_start(stream, valkey, message):
    stream("dead").turn()
    valkey.xadd(STREAM, {"signal": message(signal_id="a-1")})
    valkey.xreadgroup(GROUP, "dead", {STREAM: ">"})
    assert pending_of(valkey) == 1

    stream("alive").turn()

    assert Signal.objects.get().signal_id == "a-1"
    assert pending_of(valkey) == 0


def test_more_than_a_batch_of_them_is_claimed_too(stream, valkey, message):
    stream("dead").turn()
    for number in range(501):
        valkey.xadd(STREAM, {"signal": message(signal_id=f"a-{number}")})
    valkey.xreadgroup(GROUP, "dead", {STREAM: ">"}, count=1000)

    stream("alive").turn()

    assert Signal.objects.count() == 501
    assert pending_of(valkey) == 0


def test_what_another_has_just_read_is_not_taken_from_it_later_on(stream, valkey, message):
    receiver = stream("alive")
    receiver.turn()
    receiver.turn()  # claims what was there at its start: nothing
    valkey.xadd(STREAM, {"signal": message(signal_id="a-1")})
    valkey.xreadgroup(GROUP, "other", {STREAM: ">"})

    receiver.turn()

    assert (Signal.objects.count(), pending_of(valkey)) == (0, 1)


def test_a_minute_later_what_another_left_is_claimed(stream, valkey, message):
    receiver = stream("alive", claim_idle_ms=0)
    receiver.turn()
    receiver.turn()
    valkey.xadd(STREAM, {"signal": message(signal_id="a-1")})
    valkey.xreadgroup(GROUP, "other", {STREAM: ">"})

    receiver._claimed_at -= 61
    receiver.turn()

    assert (Signal.objects.count(), pending_of(valkey)) == (1, 0)


@pytest.mark.django_db(transaction=True)
def test_what_could_not_be_written_down_is_not_acknowledged_and_written_down_later(stream, valkey, message, bell):
    receiver = stream()
    receiver.turn()
    valkey.xadd(STREAM, {"signal": message(signal_id="a-1")})
    with NoTable(), pytest.raises(DatabaseError):
        receiver.turn()
    assert (Signal.objects.count(), pending_of(valkey), bell.rung) == (0, 1, 0)

    receiver.reset()
    receiver.turn()

    assert Signal.objects.get().signal_id == "a-1"
    assert (pending_of(valkey), bell.rung) == (0, 1)


def test_what_was_written_down_and_not_acknowledged_is_neither_lost_nor_counted_twice(stream, valkey, message, desk):
    """The executor died between the commit and the acknowledgement."""
    stream("dead").turn()
    valkey.xadd(STREAM, {"signal": message(signal_id="a-1")})

    class DiesBeforeItAcknowledges:
        def __getattr__(self, name):
            return getattr(valkey, name)

        def xack(self, *_):
            raise redis.ConnectionError("gone")

    dying = StreamReceiver(
        desk, DiesBeforeItAcknowledges(), stream=STREAM, group=GROUP, consumer="dead", heard=lambda: None
    )
    with pytest.raises(redis.ConnectionError):
        dying.turn()
    assert pending_of(valkey) == 1

    stream("alive").turn()

    row = Signal.objects.get()
    assert (row.duplicates, pending_of(valkey)) == (0, 0)


def test_an_entry_without_the_field_is_a_malformed_row_and_acknowledged(stream, valkey):
    receiver = stream()
    receiver.turn()
    valkey.xadd(STREAM, {"sygnal": "BUY RELIANCE"})

    receiver.turn()

    row = Signal.objects.get()
    assert (row.status, bytes(row.raw)) == ("MALFORMED", b"{b'sygnal': b'BUY RELIANCE'}")
    assert pending_of(valkey) == 0


def test_bytes_of_any_kind_pass_through_the_stream(stream, valkey):
    receiver = stream()
    receiver.turn()
    valkey.xadd(STREAM, {"signal": bytes(range(256))})

    receiver.turn()

    assert bytes(Signal.objects.get().raw) == bytes(range(256))


def test_another_kind_of_key_in_the_streams_place_is_told_once_and_not_deleted(stream, valkey, message):
    valkey.set(STREAM, "not a stream")
    receiver = stream()

    for _ in range(3):
        with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
            receiver.turn()
        receiver.reset()

    told = Incident.objects.get()
    assert (told.kind, told.count) == ("SIGNAL_GAP", 1)
    assert "WRONGTYPE" in told.detail
    assert valkey.get(STREAM) == b"not a stream"

    valkey.delete(STREAM)
    valkey.xadd(STREAM, {"signal": message(signal_id="a-1")})
    until(lambda: receiver.turn() or Signal.objects.exists())
    assert "was not heard from" in Incident.objects.get().title


def test_a_redis_that_writes_nothing_down_any_more_is_told_and_read_on_when_it_does(stream, valkey, message):
    """Its disk is full: it refuses all that changes something, reading in a group included."""
    receiver = stream()
    receiver.turn()
    valkey.xadd(STREAM, {"signal": message(signal_id="a-1")})
    valkey.config_set("min-replicas-to-write", 1)
    try:
        with pytest.raises(redis.ResponseError, match="NOREPLICAS"):
            receiver.turn()
    finally:
        valkey.config_set("min-replicas-to-write", 0)

    receiver.reset()
    receiver.turn()

    assert Signal.objects.get().signal_id == "a-1"
    assert (Incident.objects.get().count, pending_of(valkey)) == (1, 0)
