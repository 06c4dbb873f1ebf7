"""
One client on the WebSocket: what it has subscribed to, and what is on its way to it.

Whoever has something to say puts it into the outbox and goes on; only this connection's own writer waits for
the client. Ticks that a slow client has no room for are left out and made up by a later one, as prices are
worth nothing twice. An order update is never left out: when even those pile up, the connection is broken, so
that the client knows that it has missed something.

A client that goes without a goodbye is noticed, for else it would keep one of its key's few places. One that is there
and does not read stops taking what is sent: some beats later it is let go. One that vanished acknowledges nothing, and
the kernel breaks the connection; the heartbeats give it something to wait for. Kite is not known to send pings, so
neither do we.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from aiohttp import WSCloseCode, WSMsgType, web

from orders.paper.stream.packets import HEARTBEAT, Mode

TICKS_WAITING_MAX = 8
OUTBOX_MAX = 1000
CLOSE_SECONDS = 1.0
STALLED_BEATS_MAX = 15  # in a row with something to take and nothing taken: thirty seconds
VANISHED_MILLISECONDS = 30_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    api_key: str
    access_token: str


@dataclass(frozen=True, slots=True)
class Message:
    kind: WSMsgType
    payload: bytes
    is_tick: bool = False


HEARTBEAT_MESSAGE = Message(WSMsgType.BINARY, HEARTBEAT)


class Connection:
    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport | None, who: Credentials) -> None:
        self.socket = socket
        self.transport = transport
        self.who = who
        self.modes: dict[int, Mode] = {}  # by instrument token
        self.behind: set[int] = set()  # tokens of which a tick was left out
        self.newly: set[int] = set()  # tokens subscribed since a look at the market began
        self.outbox: deque[Message] = deque()
        self.ticks_waiting = 0
        self.waiting = asyncio.Event()
        self.quiet = False  # nothing was said since the last beat
        self.taken = False  # something was sent since the last beat
        self.stalled_beats = 0
        self.silent = False
        self.closing = False

    def offer_tick(self, payload: bytes) -> bool:
        """Put ticks into the outbox, or return False when the client has not taken the earlier ones."""
        if self.ticks_waiting >= TICKS_WAITING_MAX:
            return False
        self._put(Message(WSMsgType.BINARY, payload, is_tick=True))
        return True

    def tell(self, payload: bytes) -> None:
        """Put a text message into the outbox; break the connection when it is full."""
        self._put(Message(WSMsgType.TEXT, payload))

    def beat(self) -> None:
        """Send the heartbeat if nothing was sent since this was last called; let go who takes nothing any more."""
        self.stalled_beats = self.stalled_beats + 1 if self.outbox and not self.taken else 0
        self.taken = False
        if self.stalled_beats > STALLED_BEATS_MAX:
            self.abort()
            return
        if self.quiet and not self.outbox:
            self._put(HEARTBEAT_MESSAGE)
        self.quiet = True

    def pong(self, payload: bytes = b"") -> None:
        """Answer a ping with its payload; unasked, this is the stray pong that upsets the SDK."""
        self._put(Message(WSMsgType.PONG, payload))

    def fall_silent(self) -> None:
        """Say nothing from now on, and do not answer pings either: to the client the link looks alive."""
        self.silent = True
        self._empty()

    def speak_again(self) -> None:
        """End the silence; the next tick tells what was missed of the prices."""
        if self.silent:
            self.silent = False
            self.behind.update(self.modes)

    def subscribe(self, modes: Mapping[int, Mode]) -> None:
        self.modes.update(modes)

    def unsubscribe(self, tokens: tuple[int, ...]) -> None:
        for token in tokens:
            self.modes.pop(token, None)
            self.behind.discard(token)

    async def write(self) -> None:
        """Send what is put into the outbox until cancelled or the client is gone."""
        # The read loop sees the same end and tidies up.
        with suppress(ConnectionResetError):
            while True:
                await self.waiting.wait()
                while self.outbox:
                    message = self.outbox.popleft()
                    self.ticks_waiting -= message.is_tick
                    await self.socket.send_frame(message.payload, message.kind)
                    self.taken = True
                self.waiting.clear()

    async def close(self, code: WSCloseCode, reason: str) -> None:
        """Say goodbye; break the connection when the client does not listen."""
        self.closing = True
        self._empty()
        if self.socket.prepared:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.socket.close(code=code, message=reason.encode()), CLOSE_SECONDS)
                return
        self.abort()

    def abort(self) -> None:
        """Break the connection without a goodbye."""
        self.closing = True
        self._empty()
        if self.transport is not None:
            self.transport.abort()

    def _put(self, message: Message) -> None:
        if self.silent or self.closing:
            return
        if len(self.outbox) >= OUTBOX_MAX:
            self.abort()
            return
        self.outbox.append(message)
        self.ticks_waiting += message.is_tick
        # A client that pings often must not thereby lose its heartbeats.
        self.quiet = self.quiet and message.kind is WSMsgType.PONG
        self.waiting.set()

    def _empty(self) -> None:
        self.outbox.clear()
        self.ticks_waiting = 0


def notice_vanishing(transport: asyncio.Transport | None) -> None:
    """Let the kernel break the connection when what was sent stays unacknowledged; only Linux can be asked to."""
    wire = transport.get_extra_info("socket") if transport else None
    if wire is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, VANISHED_MILLISECONDS)
