"""What a fault does to a request: answers that lie, come late, come slowly, or never come."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from http import HTTPStatus

from aiohttp import web

from orders.paper.envelope import refusal, success
from orders.paper.errors import BAD_TOKEN, TIMED_OUT, KiteRefusal
from orders.paper.exchange.journal import JournalUnwritable
from orders.paper.faults.faults import Fault, Kind

TRICKLE_SECONDS = 0.5
log = logging.getLogger(__name__)

Answer = Callable[[], Awaitable[web.Response]]

BAD_GATEWAY = KiteRefusal(502, "DataException", "Unable to understand the response from the OMS.")
UNAVAILABLE = KiteRefusal(503, "NetworkException", "Unable to communicate with the OMS. Please try again later.")
GATEWAY_TIMEOUT = KiteRefusal(504, "NetworkException", "Gateway timed out.")
TOO_MANY = KiteRefusal(429, "NetworkException", "Too many requests")

NO_FUNDS = KiteRefusal(
    400, "MarginException", "Insufficient funds. Required margin is 100000.00 but available margin is 0.00."
)
REFUSED = KiteRefusal(400, "InputException", "Invalid order: refused on request.")
LOGGED_OUT = KiteRefusal(403, "TokenException", BAD_TOKEN)
ORDER_TIMED_OUT = KiteRefusal(400, "OrderException", TIMED_OUT)
# The page of the proxy that stands before the API, which knows nothing of JSON.
PAGE = "<html>\n<head><title>{0}</title></head>\n<body><center><h1>{0}</h1></center></body>\n</html>\n"


def page(status: HTTPStatus) -> web.Response:
    text = PAGE.format(f"{status.value} {status.phrase}")
    return web.Response(status=status.value, text=text, content_type="text/html")


# Answered without looking at the request: nothing is accepted.
INSTEAD: dict[Kind, Callable[[], web.Response]] = {
    Kind.ERROR_502_JSON: partial(refusal, BAD_GATEWAY),
    Kind.ERROR_502_HTML: partial(page, HTTPStatus.BAD_GATEWAY),
    Kind.ERROR_503: partial(refusal, UNAVAILABLE),
    Kind.ERROR_503_HTML: partial(page, HTTPStatus.SERVICE_UNAVAILABLE),
    Kind.ERROR_504: partial(refusal, GATEWAY_TIMEOUT),
    Kind.ERROR_504_HTML: partial(page, HTTPStatus.GATEWAY_TIMEOUT),
    Kind.ERROR_429: partial(refusal, TOO_MANY),
    Kind.REFUSE_MARGIN: partial(refusal, NO_FUNDS),
    Kind.REFUSE_INPUT: partial(refusal, REFUSED),
    Kind.TOKEN: partial(refusal, LOGGED_OUT),
}
# Answered after the request was carried out.
AFTERWARDS: dict[Kind, Callable[[], web.Response]] = {
    Kind.ERROR_502_JSON_AFTER: partial(refusal, BAD_GATEWAY),
    Kind.ERROR_502_AFTER: partial(page, HTTPStatus.BAD_GATEWAY),
    Kind.ERROR_503_AFTER: partial(refusal, UNAVAILABLE),
    Kind.ERROR_503_HTML_AFTER: partial(page, HTTPStatus.SERVICE_UNAVAILABLE),
    Kind.ERROR_504_AFTER: partial(refusal, GATEWAY_TIMEOUT),
    Kind.ERROR_504_HTML_AFTER: partial(page, HTTPStatus.GATEWAY_TIMEOUT),
    Kind.ERROR_429_AFTER: partial(refusal, TOO_MANY),
    Kind.ERROR_400_TIMEOUT_AFTER: partial(refusal, ORDER_TIMED_OUT),
    Kind.EMPTY_SUCCESS: partial(success, None),
}


async def suffer(
    fault: Fault, request: web.Request, answer: Answer, late: set[asyncio.Task[None]]
) -> web.StreamResponse:
    """Answer the request as the fault wants; `answer` carries it out, now or among the `late` tasks."""
    if fault.do in INSTEAD:
        return INSTEAD[fault.do]()
    # The client may be gone later; and a connection ends in a reset when it is closed with something unread in it.
    await request.read()
    match fault.do:
        case Kind.DROP_BEFORE:
            return drop(request)
        case Kind.RESET_BEFORE:
            return reset(request)
        case Kind.LATE_AFTER:
            keep(asyncio.create_task(answer_late(fault, answer)), late)
            return refusal(GATEWAY_TIMEOUT)
        case Kind.DELAY:
            await asyncio.sleep(fault.duration.total_seconds())
    return await distort(fault, request, await answer())


async def distort(fault: Fault, request: web.Request, honest: web.Response) -> web.StreamResponse:
    """Return what the client gets to see of an honest answer."""
    if fault.do in AFTERWARDS:
        return AFTERWARDS[fault.do]()
    match fault.do:
        case Kind.DROP_AFTER:
            return drop(request)
        case Kind.RESET_AFTER:
            return reset(request)
        case Kind.DROP_MID_ANSWER:
            return await break_off(request, honest, drop)
        case Kind.RESET_MID_ANSWER:
            return await break_off(request, honest, reset)
        case Kind.DELAY_AFTER:
            await asyncio.sleep(fault.duration.total_seconds())
            return honest
        case Kind.TRICKLE:
            return await trickle(request, honest, TRICKLE_SECONDS if fault.seconds is None else fault.seconds)
        case _:
            return honest


async def break_off(
    request: web.Request, honest: web.Response, end: Callable[[web.Request], web.Response]
) -> web.StreamResponse:
    """Send half of the body and end the connection."""
    slow, body = await begin(request, honest)
    with suppress(ConnectionError):
        await slow.write(body[: len(body) // 2])
    end(request)
    return slow


async def begin(request: web.Request, honest: web.Response) -> tuple[web.StreamResponse, bytes]:
    """Send the head of an answer; return what the body goes into, and the body."""
    body = honest.body
    assert isinstance(body, bytes)
    slow = web.StreamResponse(status=honest.status, headers={"Content-Type": honest.headers["Content-Type"]})
    slow.content_length = len(body)
    await slow.prepare(request)
    return slow, body


def drop(request: web.Request) -> web.Response:
    """Close the connection; the response that is returned finds nobody to be sent to."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def reset(request: web.Request) -> web.Response:
    """Close the connection as a machine does that knows nothing of it."""
    if request.transport is not None:
        # Lingering for no time at all, a socket says RST where it would say FIN: socket(7).
        linger = struct.pack("ii", 1, 0)
        request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    return drop(request)


async def answer_late(fault: Fault, answer: Answer) -> None:
    await asyncio.sleep(fault.duration.total_seconds())
    try:
        await answer()
    except JournalUnwritable as failure:
        log.error("A request that was to be carried out late was not: %s.", failure)


def keep(task: asyncio.Task[None], late: set[asyncio.Task[None]]) -> None:
    """Hold a reference while the task runs: the event loop alone would let it be collected."""
    late.add(task)
    task.add_done_callback(late.discard)


async def trickle(request: web.Request, honest: web.Response, seconds: float) -> web.StreamResponse:
    """Send the body byte by byte, slower than anyone expects yet faster than a read times out."""
    slow, body = await begin(request, honest)
    # A client that loses patience and hangs up is what this is for.
    with suppress(ConnectionError):
        for position in range(len(body)):
            await asyncio.sleep(seconds)
            await slow.write(body[position : position + 1])
        await slow.write_eof()
    return slow
