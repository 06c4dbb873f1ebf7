"""
Postbacks: the order's row, sent to a URL of the user's when the order ends, is modified or partly fills.

The checksum proves order id and time, not status and quantities (Kite Connect v3 documentation, "Postback").
How often Kite tries again is not documented; assumed here: four attempts, with pauses of 1, 2 and 4 seconds.
They are sent one after another, so that they arrive in order; a receiver that stays away costs those that
find no room in the queue.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Mapping

import aiohttp

QUEUE_MAX = 1000
PAUSES_SECONDS = (1, 2, 4)
TIMEOUT = aiohttp.ClientTimeout(total=5)

UPDATE = "UPDATE"  # a modification or a fill that leaves something open; never a status of the order book
POSTED = frozenset({"COMPLETE", "REJECTED", "CANCELLED", UPDATE})
NOT_IN_POSTBACK = frozenset({"modified", "tags"})

log = logging.getLogger(__name__)

Row = Mapping[str, object]


def checksum(order_id: str, order_timestamp: str, api_secret: str) -> str:
    return hashlib.sha256(f"{order_id}{order_timestamp}{api_secret}".encode()).hexdigest()


def payload(row: Row, *, api_secret: str, user_id: str, app_id: int) -> dict[str, object]:
    """Return what is sent of a row of the order book. `unfilled_quantity` is old and taken to be what is pending."""
    kept = {key: value for key, value in row.items() if key not in NOT_IN_POSTBACK}
    return kept | {
        "user_id": user_id,
        "app_id": app_id,
        "checksum": checksum(str(row["order_id"]), str(row["order_timestamp"]), api_secret),
        "unfilled_quantity": row["pending_quantity"],
    }


def is_posted(message: Row) -> bool:
    """Tell whether Kite posts this: ends and updates, nothing that is merely open, and nothing of an AMO."""
    return message["status"] in POSTED and message["variety"] != "amo"


class Postbacks:
    """Sends from a task of its own: the exchange never waits, and failures are only logged."""

    def __init__(self, url: str, *, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        self.url = url
        self.sleep = sleep
        self.queue: asyncio.Queue[Row] = asyncio.Queue(QUEUE_MAX)
        self.session: aiohttp.ClientSession | None = None
        self.sending: asyncio.Task[None] | None = None

    async def start(self, _app: object = None) -> None:
        # No environment: a proxy meant for the internet would not find a receiver on this machine.
        self.session = aiohttp.ClientSession(timeout=TIMEOUT, trust_env=False)
        self.sending = asyncio.create_task(self._send_all(self.session))

    def forget(self) -> None:
        """Never send what waits, nor try again what was not taken."""
        self.queue = asyncio.Queue(QUEUE_MAX)
        if self.sending is not None and self.session is not None:
            self.sending.cancel()
            self.sending = asyncio.create_task(self._send_all(self.session))

    async def stop(self, _app: object = None) -> None:
        """Stop without sending what still waits."""
        if self.sending is not None:
            self.sending.cancel()
            await asyncio.wait([self.sending])
        if self.session is not None:
            await self.session.close()
        if waiting := self.queue.qsize():
            log.warning("%d postbacks were not sent before the end.", waiting)

    def send(self, message: Row) -> None:
        """Queue what `payload` made of a row, if Kite posts such a one."""
        if not is_posted(message):
            return
        try:
            self.queue.put_nowait(message)
        except asyncio.QueueFull:
            log.warning("The postback of order %s is dropped: too many wait.", message["order_id"])

    async def _send_all(self, session: aiohttp.ClientSession) -> None:
        while True:
            await self._deliver(session, await self.queue.get())

    async def _deliver(self, session: aiohttp.ClientSession, message: Row) -> None:
        body = json.dumps(message).encode()
        for pause in (*PAUSES_SECONDS, None):
            failure = await self._attempt(session, body)
            if failure is None:
                return
            if pause is not None:
                await self.sleep(pause)
        log.warning("The postback of order %s was given up: %s.", message["order_id"], failure)

    async def _attempt(self, session: aiohttp.ClientSession, body: bytes) -> str | None:
        """Return None when the receiver took it, else why not. Redirects are not followed."""
        headers = {"Content-Type": "application/json"}
        try:
            async with session.post(self.url, data=body, headers=headers, allow_redirects=False) as answer:
                return None if 200 <= answer.status < 300 else f"it answered {answer.status}"
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            # A ValueError is a URL that is none.
            return type(error).__name__
