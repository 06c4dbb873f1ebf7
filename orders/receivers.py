"""
The two ways a signal comes in. Both write batches into the inbox and know nothing of what happens to them.

The stream keeps what nobody heard: its entries are acknowledged only after the rows have committed, and what an earlier
executor read and did not acknowledge is claimed at the start and every minute. The channel forgets what is published
while nobody listens.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import redis
import structlog

from orders.desk import Desk
from orders.inbox import Received, record
from orders.models import Signal

log = structlog.get_logger(__name__)


def connect(url: str) -> redis.Redis:
    """Return a client with the reply shapes of RESP2, which the receivers read, and time-outs on everything."""
    return redis.Redis.from_url(url, protocol=2, socket_timeout=5, socket_connect_timeout=5, health_check_interval=15)


# Every error of Redis, a wrong type of key or a full memory included: receiving waits, tracking and cancels go on.
REDIS_AWAY = (redis.RedisError,)
BATCH = 500
BLOCK_MS = 500
CLAIM_EVERY_SECONDS = 60.0
CLAIM_IDLE_MS = 60_000
SIGNAL_FIELD = b"signal"


class ChannelReceiver:
    """Listens to the Pub/Sub channel."""

    def __init__(self, desk: Desk, client: redis.Redis, *, channel: str, heard: Callable[[], None]) -> None:
        self._desk = desk
        self._client = client
        self._channel = channel
        self._heard = heard
        self._subscription: Any = None
        self._unrecorded: list[Received] = []

    def turn(self) -> None:
        """Wait up to half a second for messages and record what came. Raise redis errors to the loop."""
        self._record()  # what an outage kept from being recorded
        if self._subscription is None:
            self._subscription = self._client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
            self._subscription.subscribe(self._channel)
            log.info("channel.subscribed", channel=self._channel)
        message = self._subscription.get_message(timeout=BLOCK_MS / 1000)
        while message is not None:
            # Kept until it is recorded: the database may be away, and nobody says it again.
            self._unrecorded.append(Received(raw=_bytes(message["data"]), source=Signal.Source.CHANNEL))
            full = len(self._unrecorded) >= BATCH
            message = None if full else self._subscription.get_message(timeout=0.0)
        self._record()

    def _record(self) -> None:
        if self._unrecorded:
            record(self._desk, self._unrecorded)
            self._unrecorded.clear()
            self._heard()

    def reset(self) -> None:
        """Forget the subscription; the next turn makes a new one. What was published meanwhile is not heard."""
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None


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

    def turn(self) -> None:
        """Wait up to half a second for entries, record and acknowledge them. Raise redis errors to the loop."""
        try:
            self._claim_what_others_left()
            entries = self._read()
        except redis.ResponseError as error:
            if "NOGROUP" not in str(error):
                raise
            self._make_group()
            return
        self._take(entries)

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
