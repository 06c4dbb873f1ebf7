"""A stream on a real port that does nothing by itself: the test ticks and beats."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

import aiohttp
from aiohttp import web
from kiteconnect import KiteTicker

from orders.paper.stream.stream import Stream

from .stand_ins import INFY, NIFTY, NOW, RELIANCE, Prices, Tokens

SECONDS = 5
PAIR = ("key", "token")


async def never(_seconds: float) -> None:
    await asyncio.Event().wait()


class Setting:
    """A stream with its market, its clock and its tokens."""

    def __init__(self, **options: object) -> None:
        self.prices = Prices()
        self.tokens = Tokens()
        self.now = NOW
        usual = {
            "clock": lambda: self.now,
            "check": self.tokens.check,
            "instruments": (INFY, RELIANCE, NIFTY),
            "sleep": never,
        }
        self.stream = Stream(self.prices, **(usual | options))
        self.root = ""

    async def tick(self, now: datetime | None = None) -> None:
        await self.stream.tick(now or self.now)

    async def serve(self) -> web.AppRunner:
        app = web.Application()
        self.stream.attach(app)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.root = f"ws://127.0.0.1:{runner.addresses[0][1]}"
        return runner


class Client:
    """A WebSocket that hides nothing: pings and pongs come out of it like messages."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def say(self, action: str, value: object) -> None:
        await self.socket.send_str(json.dumps({"a": action, "v": value}))

    async def hear(self) -> aiohttp.WSMessage:
        return await self.socket.receive(SECONDS)

    async def hear_ticks(self) -> dict[int, dict]:
        message = await self.hear()
        assert message.type is aiohttp.WSMsgType.BINARY
        return decoded(message.data)

    async def hear_text(self) -> dict:
        message = await self.hear()
        assert message.type is aiohttp.WSMsgType.TEXT
        return json.loads(message.data)

    async def hears_nothing_more(self) -> bool:
        """Ask for a pong and return whether it is the next thing that comes: what was sent before would come first."""
        await self.socket.ping(b"are you there")
        message = await self.hear()
        return message.type is aiohttp.WSMsgType.PONG and message.data == b"are you there"


class World:
    """A served setting and the clients of a test."""

    def __init__(self, setting: Setting, session: aiohttp.ClientSession) -> None:
        self.setting = setting
        self.stream = setting.stream
        self.prices = setting.prices
        self.session = session
        self.clients: list[Client] = []  # held, so that none is closed by being forgotten

    async def connect(self, pair: tuple[str, str] = PAIR, path: str = "/") -> Client:
        url = f"{self.setting.root}{path}?api_key={pair[0]}&access_token={pair[1]}"
        self.clients.append(Client(await self.session.ws_connect(url, autoping=False)))
        return self.clients[-1]

    async def refusal(self, pair: tuple[str, str] = PAIR) -> tuple[int, dict]:
        """Try a handshake that is refused, and return the status and the envelope."""
        headers = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        }
        url = self.setting.root.replace("ws://", "http://")
        query = {"api_key": pair[0], "access_token": pair[1]}
        async with self.session.get(f"{url}/", params=query, headers=headers) as answer:
            return answer.status, await answer.json()


@asynccontextmanager
async def world(**options: object) -> AsyncIterator[World]:
    setting = Setting(**options)
    runner = await setting.serve()
    try:
        async with aiohttp.ClientSession() as session:
            yield World(setting, session)
    finally:
        await runner.cleanup()


async def until(holds: Callable[[], object]) -> None:
    """Let the loop run until it holds."""
    async with asyncio.timeout(SECONDS):
        while not holds():
            await asyncio.sleep(0.001)


def decoded(frame: bytes) -> dict[int, dict]:
    """Return what the SDK reads in a binary frame, by token."""
    ticks = KiteTicker("key", "token")._parse_binary(frame)
    return {tick["instrument_token"]: tick for tick in ticks}
