"""What a fault does to a request: answers that lie, come late, come slowly, or never come."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from aiohttp import web

from orders.paper.envelope import refusal, success
from orders.paper.errors import BAD_TOKEN, TIMED_OUT, KiteRefusal
from orders.paper.faults.faults import Fault, Kind

TRICKLE_SECONDS = 0.5

Answer = Callable[[], Awaitable[web.Response]]

UNAVAILABLE = KiteRefusal(503, "NetworkException", "Unable to communicate with the OMS. Please try again later.")
GATEWAY_TIMEOUT = KiteRefusal(504, "NetworkException", "Gateway timed out.")
TOO_MANY = KiteRefusal(429, "NetworkException", "Too many requests")

# Answered without looking at the request: nothing is accepted.
INSTEAD = {
    Kind.ERROR_503: UNAVAILABLE,
    Kind.ERROR_504: GATEWAY_TIMEOUT,
    Kind.ERROR_429: TOO_MANY,
    Kind.REFUSE_MARGIN: KiteRefusal(
        400,
        "MarginException",
        "Insufficient funds. Required margin is 100000.00 but available margin is 0.00.",
    ),
    Kind.REFUSE_INPUT: KiteRefusal(400, "InputException", "Invalid order: refused on request."),
    Kind.TOKEN: KiteRefusal(403, "TokenException", BAD_TOKEN),
}
# Answered after the request was carried out.
AFTERWARDS = {
    Kind.ERROR_503_AFTER: UNAVAILABLE,
    Kind.ERROR_504_AFTER: GATEWAY_TIMEOUT,
    Kind.ERROR_429_AFTER: TOO_MANY,
    Kind.ERROR_400_TIMEOUT_AFTER: KiteRefusal(400, "OrderException", TIMED_OUT),
}
BAD_GATEWAY = "<html>\n<head><title>502 Bad Gateway</title></head>\n<body><h1>502 Bad Gateway</h1></body>\n</html>\n"


async def suffer(
    fault: Fault, request: web.Request, answer: Answer, late: set[asyncio.Task[None]]
) -> web.StreamResponse:
    """Answer the request as the fault wants; `answer` carries it out, now or among the `late` tasks."""
    if fault.do in INSTEAD:
        return refusal(INSTEAD[fault.do])
    match fault.do:
        case Kind.ERROR_502_HTML:
            return bad_gateway()
        case Kind.DROP_BEFORE:
            return drop(request)
        case Kind.LATE_AFTER:
            # The client may be gone by then: what it sent is read now.
            await request.read()
            keep(asyncio.create_task(answer_late(fault, answer)), late)
            return refusal(GATEWAY_TIMEOUT)
        case Kind.DELAY:
            await request.read()
            await asyncio.sleep(fault.duration.total_seconds())
    return await distort(fault, request, await answer())


async def distort(fault: Fault, request: web.Request, honest: web.Response) -> web.StreamResponse:
    """Return what the client gets to see of an honest answer."""
    if fault.do in AFTERWARDS:
        return refusal(AFTERWARDS[fault.do])
    match fault.do:
        case Kind.DROP_AFTER:
            return drop(request)
        case Kind.ERROR_502_AFTER:
            return bad_gateway()
        case Kind.DROP_MID_ANSWER:
            return await drop_mid_answer(request, honest)
        case Kind.EMPTY_SUCCESS:
            return success(None)
        case Kind.TRICKLE:
            return await trickle(request, honest, TRICKLE_SECONDS if fault.seconds is None else fault.seconds)
        case _:
            return honest


def bad_gateway() -> web.Response:
    return web.Response(status=502, text=BAD_GATEWAY, content_type="text/html")


async def drop_mid_answer(request: web.Request, honest: web.Response) -> web.StreamResponse:
    """Send half of the body and close the connection."""
    slow, body = await begin(request, honest)
    with suppress(ConnectionError):
        await slow.write(body[: len(body) // 2])
    drop(request)
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


async def answer_late(fault: Fault, answer: Answer) -> None:
    await asyncio.sleep(fault.duration.total_seconds())
    await answer()


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
