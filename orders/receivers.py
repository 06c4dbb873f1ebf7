"""
The two ways a signal comes in. Both write batches into the inbox and know nothing of what happens to them.

The stream keeps what nobody heard: its entries are acknowledged only after the rows have committed, and what an earlier
executor read and did not acknowledge is claimed at the start and every minute. The channel forgets what is published
while nobody listens.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import redis
import structlog
from django.db import Error, connection

from orders.backlog import KEPT_MAX, Backlog, Gap
from orders.desk import Desk
from orders.inbox import Received, record
from orders.models import Signal

log = structlog.get_logger(__name__)


def connect(url: str) -> redis.Redis:
    """Return a client with the reply shapes of RESP2, which the receivers read, and time-outs on everything."""
    return redis.Redis.from_url(
        url, protocol=2, socket_timeout=5, socket_connect_timeout=5, socket_keepalive=True, health_check_interval=15
    )


def channel_listeners(url: str, channel: str, *, within_seconds: float = 1.0) -> int | None:
    """Return how many listen to the channel now; None when Redis does not say so in time."""
    with contextlib.closing(_impatient(url, within_seconds)) as client:
        try:
            return int(client.pubsub_numsub(channel)[0][1])
        except redis.RedisError:
            return None


def ping(url: str, *, within_seconds: float = 1.0) -> None:
    """Return when Redis answers. Raise `redis.RedisError` or `OSError` when it does not in time."""
    with contextlib.closing(_impatient(url, within_seconds)) as client:
        client.ping()


def keeps_its_data(url: str, *, within_seconds: float = 1.0) -> bool | None:
    """Return whether Redis writes what it is given into a file at once; None when it does not say."""
    with contextlib.closing(_impatient(url, within_seconds)) as client:
        try:
            return bool(client.info("persistence")["aof_enabled"])
        except (redis.RedisError, KeyError):
            return None


def _impatient(url: str, within_seconds: float) -> redis.Redis:
    return redis.Redis.from_url(
        url, protocol=2, socket_timeout=within_seconds, socket_connect_timeout=within_seconds, retry=None
    )


# Every error of Redis, a wrong type of key or a full memory included: receiving waits, tracking and cancels go on.
REDIS_AWAY = (redis.RedisError,)
BATCH = 500
BLOCK_MS = 500
CLAIM_EVERY_SECONDS = 60.0
CLAIM_IDLE_MS = 60_000
SIGNAL_FIELD = b"signal"
SILENCE_SECONDS = 5.0  # without an answer to a ping; then the line is given up
WRITE_PAUSE_SECONDS_MAX = 2.0


class ChannelReceiver:
    """
    Listens to the Pub/Sub channel, and keeps what it heard until it is written down.

    The database being away does not end the listening: nobody says again what was published meanwhile. What is kept is
    bounded; beyond that the oldest goes, is counted, and is told of as soon as anything can be told.
    """

    def __init__(
        self,
        desk: Desk,
        client: redis.Redis,
        *,
        channel: str,
        heard: Callable[[], None],
        leads: Callable[[], bool] = lambda: True,
        rests: Callable[[], bool] = lambda: False,
        kept_max: int = KEPT_MAX,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        """While neither leading nor resting, nobody knows who leads: it listens, and writes nothing."""
        self._desk = desk
        self._client = client
        self._channel = channel
        self._heard = heard
        self._leads = leads
        self._rests = rests
        self._silence_seconds = silence_seconds
        self._subscription: Any = None
        self._asked_at = self._answered_at = 0.0  # monotonic: the last ping, and the last sign of life
        self._heard_until: datetime | None = None
        self._gap: Gap | None = None
        self._backlog = Backlog(kept_max)
        self._write_at = self._write_pause = 0.0

    def turn(self) -> None:
        """Wait up to half a second for messages and record what came. Raise redis errors to the loop."""
        if self._rests():  # another executor listens now; what was heard before it did is still written down
            if self._subscription is not None:
                self._drain()
                self.reset()
                self._gap = self._heard_until = None
            self._write_down()
            time.sleep(BLOCK_MS / 1000)
            return
        if self._leads():
            self._write_down()  # what an outage kept from being recorded
        try:
            self._listen()
        except redis.RedisError as error:
            self._begin_gap(error)
            raise
        if self._leads():
            self._write_down()

    def reset(self) -> None:
        """Forget the subscription; the next turn makes a new one. What is published meanwhile is not heard."""
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None

    def tell_what_is_lost(self) -> None:
        """Say in the log what the process takes with it when it ends."""
        if self._backlog:
            log.critical("channel.lost_at_the_end", messages=len(self._backlog))

    def _listen(self) -> None:
        if self._subscription is None:
            self._subscribe()
        self._hear(wait=BLOCK_MS / 1000)
        self._check_the_line()

    def _hear(self, *, wait: float) -> bool:
        """Keep what has come, up to a batch. Return whether there may be more."""
        for number in range(BATCH):
            message = self._subscription.get_message(timeout=0.0 if number else wait)
            if message is None:
                return False
            self._answered_at = time.monotonic()
            if message["type"] == "message":
                kept = Received(raw=_bytes(message["data"]), source=Signal.Source.CHANNEL)
                self._backlog.keep(kept, self._desk.clock())
        return True

    def _drain(self) -> None:
        """
        Hear out what was sent to us before another executor listened: nobody else may have heard it.

        That is all up to Redis's word that we are out. What was published may still be on its way when its publisher
        has long been told so.
        """
        end = time.monotonic() + self._silence_seconds
        with contextlib.suppress(redis.RedisError):
            self._subscription.unsubscribe()
            while self._subscription.subscribed and time.monotonic() < end:
                self._hear(wait=BLOCK_MS / 1000)

    def _subscribe(self) -> None:
        subscription = self._client.pubsub()  # type: ignore[no-untyped-call]
        try:
            subscription.subscribe(self._channel)
            if subscription.get_message(timeout=self._silence_seconds) is None:
                raise redis.TimeoutError("no answer to SUBSCRIBE")
        except redis.RedisError:
            subscription.close()
            raise
        self._subscription = subscription
        self._asked_at = self._answered_at = time.monotonic()
        self._heard_until = self._desk.clock()
        log.info("channel.subscribed", channel=self._channel)
        if self._gap is not None:
            self._gap.until = self._heard_until

    def _check_the_line(self) -> None:
        """Ask now and then whether anybody is there: a line that was cut without a word is as quiet as a quiet day."""
        now = time.monotonic()
        if self._answered_at >= self._asked_at:
            self._heard_until = self._desk.clock()
            if now - self._asked_at > self._silence_seconds / 2:
                self._asked_at = now
                self._subscription.ping()
        elif now - self._asked_at > self._silence_seconds:
            raise redis.TimeoutError(f"no answer for {self._silence_seconds:g} s")

    def _begin_gap(self, error: redis.RedisError) -> None:
        if self._gap is not None:  # not told yet: one longer gap
            self._gap.until = None
            return
        self._gap = Gap(
            what=f"channel {self._channel}",
            meaning="What was published meanwhile is not known. Ask the publisher to send it again through the stream, "
            "which keeps what nobody heard.",
            since=self._heard_until or self._desk.clock(),
            reason=f"{type(error).__name__}: {error}",
        )

    def _write_down(self) -> None:
        if time.monotonic() < self._write_at or not (self._backlog or self._gap or self._backlog.lost):
            return
        try:
            while batch := self._backlog.oldest(BATCH):
                record(self._desk, batch)
                self._backlog.forget(len(batch))
                self._heard()
            self._tell()
        except Error as trouble:  # any: none is a reason to stop listening
            if self._write_pause == 0.0:
                log.error("channel.waiting_for_database", reason=f"{type(trouble).__name__}: {trouble}"[:300])
            connection.close()
            self._write_pause = min(WRITE_PAUSE_SECONDS_MAX, max(0.2, self._write_pause * 2))
            self._write_at = time.monotonic() + self._write_pause
        else:
            self._write_pause = 0.0

    def _tell(self) -> None:
        if self._gap is not None:
            self._gap.tell(self._desk)
            if self._gap.until is not None:
                self._gap = None
        if self._backlog.lost:
            self._backlog.tell(self._desk)


class StreamReceiver:
    """Reads the stream in a consumer group, from its beginning."""

    def __init__(
        self,
        desk: Desk,
        client: redis.Redis,
        *,
        stream: str,
        group: str,
        consumer: str,
        heard: Callable[[], None],
        claim_idle_ms: int = CLAIM_IDLE_MS,
    ) -> None:
        self._desk = desk
        self._client = client
        self._stream = stream
        self._group = group
        self._consumer = consumer
        self._heard = heard
        self._claim_idle_ms = claim_idle_ms
        self._claimed_at: float | None = None
        self._gap: Gap | None = None

    def turn(self) -> None:
        """Wait up to half a second for entries, record and acknowledge them. Raise redis errors to the loop."""
        try:
            self._claim_what_others_left()
            entries = self._read()
            self._take(entries)
        except redis.ResponseError as error:
            if "NOGROUP" not in str(error):
                self._tell_gap(error)
                raise
            self._make_group()
            return
        if self._gap is not None:
            self._gap.until = self._desk.clock()
            self._gap.tell(self._desk)
            self._gap = None

    def reset(self) -> None:
        """Claim again at the next turn: what was read and not acknowledged is still ours to record."""
        self._claimed_at = None

    def _read(self) -> list[tuple[bytes, Mapping[bytes, bytes]]]:
        answer: Any = self._client.xreadgroup(
            self._group, self._consumer, {self._stream: ">"}, count=BATCH, block=BLOCK_MS
        )
        return [entry for _, entries in answer for entry in entries]

    def _claim_what_others_left(self) -> None:
        now = time.monotonic()
        if self._claimed_at is not None and now - self._claimed_at < CLAIM_EVERY_SECONDS:
            return
        # At the start everything pending is ours: only the leader receives, so whoever read it is gone.
        idle = 0 if self._claimed_at is None else self._claim_idle_ms
        start: Any = b"0-0"
        while True:
            start, entries, *_ = self._client.xautoclaim(
                self._stream, self._group, self._consumer, min_idle_time=idle, start_id=start, count=BATCH
            )
            self._take(entries)
            if start == b"0-0":
                break
        self._claimed_at = now

    def _take(self, entries: Iterable[tuple[bytes, Mapping[bytes, bytes] | None]]) -> None:
        taken = [(entry_id, fields) for entry_id, fields in entries if fields is not None]
        if not taken:
            return
        record(
            self._desk,
            [
                Received(
                    raw=fields.get(SIGNAL_FIELD, repr(dict(fields)).encode()),
                    source=Signal.Source.STREAM,
                    stream_entry_id=entry_id.decode(),
                )
                for entry_id, fields in taken
            ],
        )
        self._client.xack(self._stream, self._group, *[entry_id for entry_id, _ in taken])
        self._heard()

    def _tell_gap(self, error: redis.ResponseError) -> None:
        """Tell once of a Redis that answers and refuses: unlike an outage it does not pass by itself."""
        if self._gap is not None:
            return
        gap = Gap(
            what=f"stream {self._stream}",
            meaning="Nothing in the stream is lost: it is read on from where reading stopped as soon as Redis allows "
            "it. See what it says: another kind of key under that name, a full disk or memory, a missing permission.",
            since=self._desk.clock(),
            reason=str(error),
        )
        gap.tell(self._desk)
        self._gap = gap

    def _make_group(self) -> None:
        """Make the group, and the stream if it is missing, from the beginning: nothing sent before is passed over."""
        try:
            self._client.xgroup_create(self._stream, self._group, id="0", mkstream=True)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):  # another executor made it in the same moment
                raise
        log.info("stream.group_made", stream=self._stream, group=self._group)


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
