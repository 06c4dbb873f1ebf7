"""
Kite's WebSocket: order updates and prices, told the moment they happen. The paper Kite server's through the same code.

Nothing that is heard here is believed: an order update only says that the book is worth reading now, and so does every
new connection, as what happened before it was told to nobody. The SDK's own client would not do: it verifies no
certificate and hears no dead link.

`turn` is one short step, for a thread that takes turns: connect when it is time, or listen for half a second.
"""

from __future__ import annotations

import contextlib
import json
import logging
import random
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from urllib.parse import urlencode, urlsplit

import structlog
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from orders.broker.deadline import boot_clock
from orders.broker.prices import StreamedPrices
from orders.broker.ticks import MalformedTicks, decode

log = structlog.get_logger(__name__)

SILENCE_SECONDS = 8.0  # Kite beats every couple of seconds when it has nothing to say; longer is a dead link
CONNECT_SECONDS = 6.0
LISTEN_SECONDS = 0.5
TOKEN_CHECK_SECONDS = 1.0
CLOSE_SECONDS = 0.5
PAUSE_SECONDS_FIRST = 0.5
PAUSE_SECONDS_MAX = 30.0
STEADY_SECONDS = 20.0  # a link that held so long ended by chance, and not because the server turns us away
FRAMES_A_TURN = 500
MESSAGE_BYTES_MAX = 1024 * 1024  # 3,000 instruments in full are 560 KB
TOKENS_A_MESSAGE = 1000
FORBIDDEN = 403

# The library logs whole handshakes at DEBUG, and the access token is in the address.
_SILENT = logging.getLogger("orders.broker.stream.wire")
_SILENT.disabled = True


class KiteStream:
    """One connection at a time, made again whenever it ends. One thread takes the turns; `is_alive` is for all."""

    def __init__(
        self,
        *,
        url: str,
        api_key: str,
        access_token: Callable[[], str],
        refused: Callable[[str, datetime], None],
        nudge: Callable[[], None],
        prices: StreamedPrices,
        clock: Callable[[], datetime],
        rng: random.Random,
        ca_file: str | None = None,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        """
        `access_token` returns the token to use now, empty while there is none; `refused` is told of one that the
        broker does not accept, and when it was used. `ca_file` replaces the system's certificate authorities.
        """
        self._url = url
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or (443 if parts.scheme == "wss" else 80))
        self._api_key = api_key
        self._access_token = access_token
        self._refused = refused
        self._nudge = nudge
        self._prices = prices
        self._clock = clock
        self._rng = rng
        self._tls = ssl.create_default_context(cafile=ca_file) if url.startswith("wss:") else None
        self._silence_seconds = silence_seconds
        self._stopping = threading.Event()
        self._connection: ClientConnection | None = None
        self._connected_at = self._heard_at = 0.0
        self._subscribed: frozenset[int] = frozenset()
        self._token, self._token_checked_at = "", -TOKEN_CHECK_SECONDS
        self._failures, self._next_try_at = 0, 0.0
        self._down_since: float | None = None
        self.connects = 0
        self.odd_frames = 0  # unreadable or unknown

    def is_alive(self) -> bool:
        """Return whether the link is up and something was heard over it lately."""
        return self._connection is not None and boot_clock() - self._heard_at < self._silence_seconds

    def turn(self) -> None:
        """Connect when it is time, or listen for a while. An unreachable broker raises nothing."""
        self._look_at_the_login()
        if self._connection is not None:
            self._listen(self._connection)
        elif self._token and boot_clock() >= self._next_try_at:
            self._connect()
        else:
            self._stopping.wait(LISTEN_SECONDS)

    def reset(self) -> None:
        """Nothing to do: what was away was not the broker, and the watchdog judges the link itself."""

    def close(self) -> None:
        """Hang up for good. For any thread."""
        self._stopping.set()
        self._hang_up()

    def _look_at_the_login(self) -> None:
        """Use a new login at once, and none that has ended."""
        now = boot_clock()
        if now - self._token_checked_at < TOKEN_CHECK_SECONDS:
            return
        token = self._access_token()
        self._token_checked_at = now
        if token == self._token:
            return
        self._token = token
        self._failures, self._next_try_at = 0, 0.0
        if self._connection is not None:
            self._end("the login changed")

    def _connect(self) -> None:
        asked_at, token = self._clock(), self._token
        query = urlencode({"api_key": self._api_key, "access_token": token})
        try:
            # Entered at once: it is closed by hand, as it lives longer than a block.
            connection = connect(
                f"{self._url}?{query}",
                ssl=self._tls,
                additional_headers={"X-Kite-Version": "3"},
                address=self._address,  # and nowhere else, whatever a redirect says
                compression=None,
                proxy=None,  # nothing of the environment may stand between us and the broker
                open_timeout=CONNECT_SECONDS,
                ping_interval=None,  # the server's heartbeat is what tells a dead link
                close_timeout=CLOSE_SECONDS,
                max_size=MESSAGE_BYTES_MAX,
                logger=_SILENT,
            ).__enter__()
        except InvalidStatus as refusal:
            status = refusal.response.status_code
            if status == FORBIDDEN:
                self._refused(f"the stream answered {status}", asked_at)
                self._token_checked_at = -TOKEN_CHECK_SECONDS
            self._fail(f"the handshake was answered {status}")
        except (OSError, EOFError, ValueError, WebSocketException) as trouble:
            self._fail(f"{type(trouble).__name__}: {trouble}".replace(token, "…"))
        else:
            self._begin(connection)

    def _begin(self, connection: ClientConnection) -> None:
        now = boot_clock()
        self._connected_at = self._heard_at = now
        self._subscribed = frozenset()
        self._connection = connection
        self.connects += 1
        self._prices.connected()
        away = None if self._down_since is None else round(now - self._down_since, 1)
        self._down_since = None
        log.info("broker_stream.connected", seconds_away=away)
        self._nudge()  # what happened while nobody listened is only in the book

    def _listen(self, connection: ClientConnection) -> None:
        wait = LISTEN_SECONDS
        try:
            self._subscribe(connection)
            for _ in range(FRAMES_A_TURN):
                frame = connection.recv(timeout=wait)
                self._heard_at, wait = boot_clock(), 0.0
                self._hear(frame)
        except TimeoutError:
            silent = boot_clock() - self._heard_at
            if silent > self._silence_seconds:
                self._end(f"nothing was heard for {silent:.1f} s")
        except (OSError, EOFError, WebSocketException) as end:
            self._end(f"{type(end).__name__}: {end}")

    def _hear(self, frame: str | bytes) -> None:
        if isinstance(frame, str):
            self._hear_text(frame)
            return
        try:
            self._prices.hear(decode(frame), heard_at=self._clock())
        except MalformedTicks as reason:
            self._count_odd(str(reason))

    def _hear_text(self, text: str) -> None:
        try:
            told = json.loads(text)
        except (ValueError, RecursionError) as reason:
            self._count_odd(str(reason))
            self._nudge()  # it may have been an order update, and reading the book does no harm
            return
        kind = told.get("type") if isinstance(told, dict) else None
        if kind == "order":
            self._nudge()
        elif kind == "error":
            log.warning("broker_stream.error", told=text[:300])
        elif kind != "message":  # Kite's announcements to people
            self._count_odd(f"of an unknown type: {text[:100]}")

    def _count_odd(self, reason: str) -> None:
        self.odd_frames += 1
        if self.odd_frames & (self.odd_frames - 1) == 0:  # the first, second, fourth … so that a flood is not a log
            log.warning("broker_stream.odd_frame", reason=reason[:300], count=self.odd_frames)

    def _subscribe(self, connection: ClientConnection) -> None:
        """Make what the connection is subscribed to what is followed; in full, as only that tells the time."""
        followed = self._prices.followed()
        for tokens in _batches(self._subscribed - followed):
            connection.send(json.dumps({"a": "unsubscribe", "v": tokens}))
        for tokens in _batches(followed - self._subscribed):
            connection.send(json.dumps({"a": "subscribe", "v": tokens}))
            connection.send(json.dumps({"a": "mode", "v": ["full", tokens]}))
        self._subscribed = followed

    def _end(self, reason: str) -> None:
        steady = boot_clock() - self._connected_at > STEADY_SECONDS
        self._hang_up()
        self._failures = 0 if steady else self._failures
        self._fail(reason)

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        self._prices.forget()
        if connection is not None:
            with contextlib.suppress(OSError, WebSocketException):  # it is gone already
                # A server that asks for pongs and reads none holds the library's own thread in a write, and with it
                # the lock that a goodbye needs: the write must end first. By the socket's own method, under any TLS.
                socket.socket.shutdown(connection.socket, socket.SHUT_RDWR)
                connection.close()

    def _fail(self, reason: str) -> None:
        """Try again later, the later the oftener it failed. Each outage is told once."""
        now = boot_clock()
        longest = min(PAUSE_SECONDS_MAX, PAUSE_SECONDS_FIRST * 2 ** min(self._failures, 16))
        self._failures += 1
        self._next_try_at = now + longest * self._rng.uniform(0.5, 1.0)
        if self._down_since is None:
            self._down_since = now
            log.warning("broker_stream.down", reason=reason[:300])


def _batches(tokens: Iterable[int]) -> list[list[int]]:
    ordered = sorted(tokens)
    return [ordered[at : at + TOKENS_A_MESSAGE] for at in range(0, len(ordered), TOKENS_A_MESSAGE)]
