"""
Kite's WebSocket: ticks and order updates for whoever connects with a valid token.

Nothing here waits for a client: messages go into each connection's outbox. Three things happen by the
machine's time: a look at the market, a heartbeat on quiet connections, and the release of late updates. What
the moment is they ask the paper Kite's clock, which may stand still.

Kite documents the messages and the limits, but not how it refuses; assumed here: a fourth connection of an
api_key is answered 429 at the handshake, tokens beyond the limit get an error message and change nothing,
setting a mode subscribes, and subscribing again sets the mode back to quote, as the SDK's own book-keeping has it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime

from aiohttp import WSCloseCode, WSMsgType, web

from orders.paper.errors import BAD_TOKEN, KiteRefusal, bad_input
from orders.paper.market.instruments import INSTRUMENTS, Instrument
from orders.paper.stream.connection import CLOSE_SECONDS, Connection, Credentials, notice_vanishing
from orders.paper.stream.feed import Feed, Prices
from orders.paper.stream.mishaps import (
    AT_HANDSHAKE,
    AT_TICK,
    AskMishap,
    AskUpdateFault,
    StreamMishap,
    no_mishap,
    no_update_fault,
)
from orders.paper.stream.packets import Mode, frame
from orders.paper.stream.updates import Updates
from orders.paper.stream.wishes import Action, NotUnderstood, Wish, read_wish

LOOK_SECONDS = 1.0
BEAT_SECONDS = 2.0
RELEASE_SECONDS = 0.1

INSTRUMENTS_MAX = 3000  # of one connection
CONNECTIONS_MAX = 3  # of one api_key
# Longer messages up to this size are told that they are too long; beyond it the connection is closed with 1009.
MESSAGE_BYTES_MAX = 1024 * 1024

NOT_A_HANDSHAKE = "This is a WebSocket: connect to it with an upgrade request."
TOO_MANY_CONNECTIONS = "Too many requests"
TOO_MANY_INSTRUMENTS = f"More than {INSTRUMENTS_MAX} instruments on one connection."
BINARY_MESSAGE = "Messages should be text."
LOGGED_OUT = "The access token is not valid any more."
SHUTTING_DOWN = "The server is shutting down."

log = logging.getLogger(__name__)

Check = Callable[[str, str, datetime], None]  # api_key, access_token, now: raises KiteRefusal
AtRelease = Callable[[datetime], None]
Sleep = Callable[[float], Awaitable[object]]


def nothing_to_say(now: datetime) -> None:
    """Have nothing of one's own to tell."""


class Stream:
    def __init__(
        self,
        prices: Prices,
        *,
        clock: Callable[[], datetime],
        check: Check,
        instruments: Iterable[Instrument] = INSTRUMENTS.values(),
        update_fault: AskUpdateFault = no_update_fault,
        mishap: AskMishap = no_mishap,
        at_release: AtRelease = nothing_to_say,
        connections_max: int | None = CONNECTIONS_MAX,
        look_seconds: float = LOOK_SECONDS,
        beat_seconds: float = BEAT_SECONDS,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.feed = Feed(prices, instruments)
        self.clock = clock
        self.check = check
        self.updates = Updates(update_fault)
        self.mishap = mishap
        self.at_release = at_release
        self.connections_max = connections_max
        self.look_seconds = look_seconds
        self.beat_seconds = beat_seconds
        self.sleep = sleep
        self.connections: list[Connection] = []
        self.refusals = 0  # handshakes still to be refused
        self.farewells: set[asyncio.Task[None]] = set()
        self.running: asyncio.Task[None] | None = None

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, which check their caller themselves: the token is in the query, not in a header."""
        # A HEAD cannot become a WebSocket.
        return [web.get(path, self.handle, allow_head=False) for path in ("/", "/ws")]

    def attach(self, app: web.Application) -> None:
        """Serve on this application's port, for as long as it runs."""
        app.add_routes(self.routes())
        app.on_startup.append(self.start)
        app.on_shutdown.append(self.stop)

    async def start(self, _app: web.Application | None = None) -> None:
        self.running = asyncio.create_task(self.run())
        self.running.add_done_callback(report)

    async def stop(self, _app: web.Application | None = None) -> None:
        """Stop ticking and say goodbye to everybody, for at most `CLOSE_SECONDS`."""
        if self.running is not None:
            self.running.cancel()
            await asyncio.wait([self.running])
        for connection in self.connections:
            self._dismiss(connection, WSCloseCode.GOING_AWAY, SHUTTING_DOWN)
        if self.farewells:
            await asyncio.wait(self.farewells, timeout=2 * CLOSE_SECONDS)

    async def run(self) -> None:
        """Tick, beat and release until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._every(self.look_seconds, lambda: self.tick(self.clock())))
            tasks.create_task(self._every(self.beat_seconds, self.beat))
            tasks.create_task(self._every(RELEASE_SECONDS, lambda: self.release(self.clock())))

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection until it ends, or answer in Kite's envelope why not."""
        # Pings are answered here and not by aiohttp, because a connection that fell silent does not answer them.
        socket = web.WebSocketResponse(
            autoping=False, compress=False, max_msg_size=MESSAGE_BYTES_MAX, timeout=CLOSE_SECONDS
        )
        try:
            who = self._admit(request, socket.can_prepare(request).ok)
        except KiteRefusal as reason:
            return refused(reason)
        notice_vanishing(request.transport)
        connection = Connection(socket, request.transport, who)
        # Before the first wait, so that two handshakes cannot share the last place.
        self.connections.append(connection)
        try:
            await socket.prepare(request)
            await self._converse(connection)
        except ConnectionResetError:
            log.debug("The client left in the middle of a message.")
        finally:
            self.connections.remove(connection)
        return socket

    def order_update(self, row: Mapping[str, object], now: datetime) -> None:
        """Tell everybody connected; who is not misses it for good, as at Kite."""
        if self.connections:
            message = json.dumps({"type": "order", "data": row}).encode()
            self._tell_all(self.updates.tell(message, now))

    def release(self, now: datetime) -> None:
        """Send the held-back updates whose time has come; what only now can be told is told first."""
        self.at_release(now)
        self._tell_all(self.updates.due(now))

    async def tick(self, now: datetime) -> None:
        """Look at the market and send what changed; nobody tells us of a token that expires, so look at those too."""
        self.let_go(now)
        if self.connections and (mishap := self.mishap(now, AT_TICK)):
            self.suffer(mishap)
        for connection in self.connections:
            connection.newly.clear()
        news = await self.feed.news(lambda: (pair for one in self._listening() for pair in one.modes.items()), now)
        for connection in self._listening():
            self._send_news(connection, news, now)

    def beat(self) -> None:
        """Send a heartbeat where nothing was sent since the last call, and let go who takes nothing any more."""
        for connection in self.connections:
            connection.beat()

    def let_go(self, now: datetime) -> None:
        """Close the connections whose token is not valid any more: logged out, expired, or ended for all."""
        for connection in self.connections:
            try:
                self.check(connection.who.api_key, connection.who.access_token, now)
            except KiteRefusal:
                self._dismiss(connection, WSCloseCode.POLICY_VIOLATION, LOGGED_OUT)

    def suffer(self, mishap: StreamMishap, times: int = 1) -> None:
        """Let it go wrong now, or for REFUSE at the next so many handshakes."""
        if mishap is StreamMishap.REFUSE:
            self.refusals += times
            return
        for connection in self.connections:
            match mishap:
                case StreamMishap.SILENT:
                    connection.fall_silent()
                case StreamMishap.DROP:
                    connection.abort()
                case StreamMishap.STRAY_PONG:
                    connection.pong()

    def forget(self) -> None:
        """Undo what mishaps left: updates held back, handshakes to be refused, connections that say nothing."""
        self.updates.forget()
        self.refusals = 0
        for connection in self.connections:
            connection.speak_again()

    def _listening(self) -> list[Connection]:
        return [connection for connection in self.connections if not connection.silent]

    def _admit(self, request: web.Request, is_handshake: bool) -> Credentials:
        if not is_handshake:
            raise bad_input(NOT_A_HANDSHAKE)
        now = self.clock()
        if self.refusals == 0 and self.mishap(now, AT_HANDSHAKE) is StreamMishap.REFUSE:
            self.refusals = 1
        if self.refusals:
            self.refusals -= 1
            raise KiteRefusal(403, "TokenException", BAD_TOKEN)
        who = Credentials(api_key=request.query.get("api_key", ""), access_token=request.query.get("access_token", ""))
        self.check(who.api_key, who.access_token, now)
        taken = sum(1 for one in self.connections if one.who.api_key == who.api_key and not one.closing)
        if self.connections_max is not None and taken >= self.connections_max:
            raise KiteRefusal(429, "NetworkException", TOO_MANY_CONNECTIONS)
        return who

    async def _converse(self, connection: Connection) -> None:
        writer = asyncio.create_task(connection.write())
        try:
            await self._listen(connection)
        finally:
            writer.cancel()
            await asyncio.wait([writer])

    async def _listen(self, connection: Connection) -> None:
        while True:
            message = await connection.socket.receive()
            match message.type:
                case WSMsgType.TEXT:
                    self._obey(connection, str(message.data))
                case WSMsgType.BINARY:
                    connection.tell(error_message(BINARY_MESSAGE))
                case WSMsgType.PING:
                    connection.pong(bytes(message.data))
                case WSMsgType.PONG:
                    pass
                case _:
                    return

    def _obey(self, connection: Connection, text: str) -> None:
        try:
            wish = read_wish(text)
        except NotUnderstood as reason:
            connection.tell(error_message(reason.reason))
            return
        if wish.action is Action.UNSUBSCRIBE:
            connection.unsubscribe(wish.tokens)
        else:
            self._subscribe(connection, wish)

    def _subscribe(self, connection: Connection, wish: Wish) -> None:
        """Subscribe and send the current packets at once. A token that names nothing takes a place all the same."""
        modes = dict.fromkeys(wish.tokens, wish.mode)
        if len(connection.modes.keys() | modes.keys()) > INSTRUMENTS_MAX:
            connection.tell(error_message(TOO_MANY_INSTRUMENTS))
            return
        connection.subscribe(modes)
        connection.newly.update(modes)
        self._offer(connection, modes, self.feed.current(modes, self.clock()))

    def _send_news(self, connection: Connection, news: Mapping[tuple[int, Mode], bytes], now: datetime) -> None:
        due: dict[int, bytes] = {}
        for token, mode in connection.modes.items():
            if token in connection.newly:  # it was told of a later moment than this look's
                connection.behind.add(token)
                continue
            body = news.get((token, mode))
            if body is None and token in connection.behind:
                body = self.feed.latest(token, mode, now)
            if body is not None:
                due[token] = body
        self._offer(connection, due, list(due.values()))

    def _offer(self, connection: Connection, tokens: Iterable[int], packets: list[bytes]) -> None:
        if not packets:
            return
        if connection.offer_tick(frame(packets)):
            connection.behind.difference_update(tokens)
        else:
            connection.behind.update(tokens)

    def _tell_all(self, messages: list[bytes]) -> None:
        for message in messages:
            for connection in self.connections:
                connection.tell(message)

    def _dismiss(self, connection: Connection, code: WSCloseCode, reason: str) -> None:
        if not connection.closing:
            # The loop keeps only a weak hold of tasks.
            farewell = asyncio.create_task(connection.close(code, reason))
            self.farewells.add(farewell)
            farewell.add_done_callback(self.farewells.discard)

    async def _every(self, seconds: float, act: Callable[[], Awaitable[None] | None]) -> None:
        while True:
            await self.sleep(seconds)
            acting = act()
            if acting is not None:
                await acting


def error_message(reason: str) -> bytes:
    return json.dumps({"type": "error", "data": reason}).encode()


def refused(reason: KiteRefusal) -> web.Response:
    """Answer a handshake in Kite's error envelope."""
    envelope = {"status": "error", "message": reason.message, "data": None, "error_type": reason.error_type}
    return web.json_response(envelope, status=reason.http_status)


def report(task: asyncio.Task[None]) -> None:
    """Say aloud that the stream has stopped ticking: nobody waits for its task."""
    if not task.cancelled() and (failure := task.exception()):
        log.error("The stream stopped ticking.", exc_info=failure)
