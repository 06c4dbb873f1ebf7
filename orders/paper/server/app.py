"""Kite's routes put together: check who asks and how often, suffer a waiting fault, answer in Kite's envelope."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from aiohttp import web

from orders.paper.clock import Clock
from orders.paper.envelope import refusal
from orders.paper.errors import BAD_TOKEN, KiteRefusal, bad_input, server_failed
from orders.paper.exchange.exchange import Exchange
from orders.paper.exchange.forms import TAG_LENGTH_MAX
from orders.paper.exchange.journal import Journal, JournalUnwritable
from orders.paper.exchange.quirks import NO_QUIRKS, Quirks
from orders.paper.exchange.turns import Turns
from orders.paper.faults.faults import Route
from orders.paper.faults.misbehaviour import suffer
from orders.paper.faults.queue import FaultQueue, Strike, Subject
from orders.paper.server.forms import read_form
from orders.paper.server.limits import RateLimits, scope_of
from orders.paper.server.logins import Logins
from orders.paper.server.routes import Handler, RouteTable

BODY_BYTES_MAX = 256 * 1024  # a basket of a hundred orders fits
log = logging.getLogger(__name__)

Answerer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(kw_only=True)
class PaperKite:
    """The parts that the routes share."""

    exchange: Exchange
    turns: Turns
    journal: Journal
    clock: Clock
    faults: FaultQueue
    logins: Logins
    limits: RateLimits


class Door:
    """What every request passes on its way in, and every answer on its way out."""

    def __init__(self, paper: PaperKite) -> None:
        self.paper = paper
        self.late: set[asyncio.Task[None]] = set()

    def add(self, app: web.Application, table: RouteTable, *, guarded: bool = True) -> None:
        """Put the routes into the application; guarded ones need a session."""
        for route, method, path, handler in table:
            answer = partial(self._respond, route, handler, guarded)
            if method == "GET":
                app.router.add_get(path, answer, allow_head=False)
            else:
                app.router.add_route(method, path, answer)

    async def forget_late(self, _app: web.Application) -> None:
        self.cancel_late()

    def cancel_late(self) -> None:
        for task in self.late:
            task.cancel()

    async def _respond(self, route: Route, handler: Handler, guarded: bool, request: web.Request) -> web.StreamResponse:
        """Answer one request, as the next waiting fault has it."""
        now = self.paper.clock()
        if guarded:
            api_key, access_token = credentials(request)
            self.paper.logins.check(api_key, access_token, now)
            self.paper.limits.check(scope_of(request.method, request.path), api_key, now)
        strike = await self._strike(route, request)
        if strike is None:
            return await self._settled(handler, request, NO_QUIRKS)
        return await suffer(strike.fault, request, partial(self._settled, handler, request, strike.quirks), self.late)

    async def _strike(self, route: Route, request: web.Request) -> Strike | None:
        """Return the strike of a waiting fault, which is in the journal by then; nothing is carried out yet."""
        if not self.paper.faults.waiting:
            return None
        about = await self._new_order(request) if route is Route.PLACE else self._named_order(request)
        return self.paper.faults.meet(route, about)

    async def _new_order(self, request: web.Request) -> Subject:
        try:
            form = await read_form(request)
        except KiteRefusal:
            return Subject()  # which the route will say, unless the fault has it otherwise
        return Subject(tag=form.get("tag", "")[:TAG_LENGTH_MAX] or None)

    def _named_order(self, request: web.Request) -> Subject:
        order = self.paper.exchange.book.orders.get(request.match_info.get("order_id", ""))
        return Subject() if order is None else Subject(tag=order.ticket.tag, order_id=order.order_id)

    async def _settled(self, handler: Handler, request: web.Request, quirks: Quirks) -> web.Response:
        """
        Carry the request out, and wait until what it changed is on the disk.

        A refusal is an answer too, and faults apply to it alike.
        """
        try:
            answer = await handler(request, quirks)
        except KiteRefusal as reason:
            answer = refusal(reason)
        await self.paper.journal.settle()
        return answer


@web.middleware
async def in_envelope(request: web.Request, handler: Answerer) -> web.StreamResponse:
    """Put every refusal into Kite's envelope, aiohttp's own among them."""
    try:
        return await handler(request)
    except KiteRefusal as reason:
        return refusal(reason)
    except JournalUnwritable as failure:
        log.error("%s %s was answered 500: %s.", request.method, request.path, failure)
        return refusal(server_failed(failure))
    except web.HTTPRequestEntityTooLarge:
        return refusal(bad_input(f"The request is larger than {BODY_BYTES_MAX} bytes."))
    except web.RequestPayloadError:
        return refusal(bad_input("The request's body cannot be decoded."))
    except ConnectionResetError:
        # The client hung up in the middle of its request: nobody is left to read this.
        return web.Response(status=400)
    except web.HTTPRedirection:
        raise
    except web.HTTPException as error:
        message = "Route not found" if error.status == 404 else error.reason
        return refusal(KiteRefusal(error.status, "GeneralException", message))
    except Exception:  # a defect of ours: the client still gets an answer that it can read
        log.exception("%s %s failed", request.method, request.path)
        return refusal(KiteRefusal(500, "GeneralException", "The paper server failed: its log says why."))


def credentials(request: web.Request) -> tuple[str, str]:
    """Return API key and access token of `Authorization: token api_key:access_token`, or refuse."""
    scheme, _, pair = request.headers.get("Authorization", "").partition(" ")
    api_key, _, access_token = pair.partition(":")
    if scheme != "token" or not api_key or not access_token:
        raise KiteRefusal(403, "TokenException", BAD_TOKEN)
    return api_key, access_token
