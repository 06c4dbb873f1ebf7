"""The channel and the stream, with a real Valkey: heard, written down, and only then acknowledged."""

from __future__ import annotations

import pytest
import redis
from django.conf import settings as django_settings
from django.db import DatabaseError, connection, transaction

from orders.models import Signal
from orders.receivers import ChannelReceiver, StreamReceiver, connect

from .paper.paper_process import until

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
def channel(desk, valkey, bell):
    """A receiver that is subscribed already."""
    receiver = ChannelReceiver(desk, valkey, channel=CHANNEL, heard=bell)
    receiver.turn()
    until(lambda: dict(valkey.pubsub_numsub(CHANNEL)).get(CHANNEL.encode()))
    yield receiver
    receiver.reset()


def pending_of(valkey) -> int:
    return valkey.xpending(STREAM, GROUP)["pending"]


class NoTable:
    """The signals' table is away for the block: what writes there fails, and a transaction takes it all back."""

    def __enter__(self):
        self.block = transaction.atomic()
        self.block.__enter__()
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE orders_signal RENAME TO orders_signal_away")

    def __exit__(self, *_):
        transaction.set_rollback(True)
        self.block.__exit__(None, None, None)


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


def test_what_could_not_be_written_down_is_kept_and_written_down_later(channel, valkey, message, bell):
    valkey.publish(CHANNEL, message(signal_id="a-1"))
    with NoTable(), pytest.raises(DatabaseError):
        channel.turn()
    assert (Signal.objects.count(), bell.rung) == (0, 0)

    channel.reset()
    valkey.publish(CHANNEL, message(signal_id="nobody listens"))
    channel.turn()

    assert [signal.signal_id for signal in Signal.objects.all()] == ["a-1"]


def test_what_is_kept_is_written_down_although_redis_is_away_now(channel, valkey, message, desk):
    """The database was away, and when it is back Redis is not: what was heard needs no Redis any more."""
    valkey.publish(CHANNEL, message(signal_id="a-1"))
    with NoTable(), pytest.raises(DatabaseError):
        channel.turn()

    channel.reset()
    channel._client = connect("redis://127.0.0.1:1/0")
    with pytest.raises(redis.ConnectionError):
        channel.turn()

    assert [signal.signal_id for signal in Signal.objects.all()] == ["a-1"]


def test_a_subscription_that_was_cut_is_made_again(channel, valkey, message):
    valkey.client_kill_filter(_type="pubsub")
    for _ in range(2):
        try:
            channel.turn()
        except redis.ConnectionError:
            channel.reset()

    until(lambda: dict(valkey.pubsub_numsub(CHANNEL)).get(CHANNEL.encode()))
    valkey.publish(CHANNEL, message(signal_id="a-1"))
    channel.turn()

    assert Signal.objects.get().signal_id == "a-1"


# --- The stream ------------------------------------------------------------------------------------------------------


def test_what_was_sent_before_anybody_listened_is_read_from_the_beginning(stream, valkey, message, bell):
    entry_id = valkey.xadd(STREAM, {"signal": message(signal_id="a-1")})
    receiver = stream()

    receiver.turn()  # makes the group
    receiver.turn()

    signal = Signal.objects.get()
    assert (signal.signal_id, signal.source, signal.stream_entry_id) == ("a-1", "STREAM", entry_id.decode())
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

    signal = Signal.objects.get()
    assert (signal.duplicates, pending_of(valkey)) == (0, 0)


def test_an_entry_without_the_field_is_a_malformed_row_and_acknowledged(stream, valkey):
    receiver = stream()
    receiver.turn()
    valkey.xadd(STREAM, {"sygnal": "BUY RELIANCE"})

    receiver.turn()

    signal = Signal.objects.get()
    assert (signal.status, bytes(signal.raw)) == ("MALFORMED", b"{b'sygnal': b'BUY RELIANCE'}")
    assert pending_of(valkey) == 0


def test_bytes_of_any_kind_pass_through_the_stream(stream, valkey):
    receiver = stream()
    receiver.turn()
    valkey.xadd(STREAM, {"signal": bytes(range(256))})

    receiver.turn()

    assert bytes(Signal.objects.get().raw) == bytes(range(256))


def test_another_kind_of_key_in_the_streams_place_is_told_and_not_deleted(stream, valkey):
    valkey.set(STREAM, "not a stream")

    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        stream().turn()

    assert valkey.get(STREAM) == b"not a stream"
