"""A whole paper Kite in the test's own process: real HTTP, a real socket, and a clock that stands where it is put."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from aiohttp import web

from orders.paper.options import Options, add_arguments
from orders.paper.program import open_paper
from orders.paper.server.site import Site, build_site

from .stream.streaming import Client

AT = "2026-11-23T10:00:00+05:30"
PAIR = ("paper", "paper")


class Whole:
    """It is ten on a Monday, and INFY stands at 1500 in any quantity. Nobody takes turns but the control routes."""

    def __init__(self, site: Site, session: aiohttp.ClientSession, root: str) -> None:
        self.paper = site.paper
        self.stream = site.updates.stream
        self.session = session
        self.root = root
        self.clients: list[Client] = []  # held, so that none is closed by being forgotten

    async def connect(self, pair: tuple[str, str] = PAIR) -> Client:
        url = f"{self.root.replace('http', 'ws')}/ws?api_key={pair[0]}&access_token={pair[1]}"
        self.clients.append(Client(await self.session.ws_connect(url, autoping=False)))
        return self.clients[-1]

    async def ask(self, method: str, path: str, *, pair: tuple[str, str] = PAIR, **form: object) -> tuple[int, dict]:
        """Ask as a client of Kite's does; return the status and the envelope."""
        headers = {"Authorization": f"token {pair[0]}:{pair[1]}"}
        texts = {name: str(value) for name, value in form.items()}
        async with self.session.request(method, f"{self.root}{path}", data=texts, headers=headers) as answer:
            return answer.status, await answer.json()

    async def log_in(self, api_key: str) -> str:
        """Log in as the app's user does, and return the access token."""
        request_token = self.paper.logins.request_token(api_key, self.paper.clock())
        checksum = hashlib.sha256(f"{api_key}{request_token}paper".encode()).hexdigest()
        form = {"api_key": api_key, "request_token": request_token, "checksum": checksum}
        _, envelope = await self.ask("POST", "/session/token", **form)
        return envelope["data"]["access_token"]

    async def control(self, method: str, path: str, content: object = None) -> object:
        async with self.session.request(method, f"{self.root}/paper/{path}", json=content) as answer:
            said = await answer.json()
            assert answer.status == 200, said
            return said["data"]

    async def stand_at(self, at: str) -> None:
        await self.control("POST", "clock", {"at": at, "speed": 0})

    async def fault(self, route: str, do: str, **more: object) -> None:
        await self.control("POST", "faults", {"route": route, "do": do, **more})

    async def place(self, variety: str = "regular", **changes: object) -> str:
        """Place a limit buy of ten INFY at 1490, which rests; keywords change its form."""
        form = {
            "exchange": "NSE",
            "tradingsymbol": "INFY",
            "transaction_type": "BUY",
            "quantity": 10,
            "product": "CNC",
            "order_type": "LIMIT",
            "price": 1490,
        }
        _, envelope = await self.ask("POST", f"/orders/{variety}", **(form | changes))
        return envelope["data"]["order_id"]


@asynccontextmanager
async def whole(state_dir: Path, *options: str) -> AsyncIterator[Whole]:
    """Serve from this directory; what is left there when it ends is what a kill would leave."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    asked = ["--state-dir", str(state_dir), "--no-rate-limits", *options]
    state_dir.mkdir(exist_ok=True)
    chosen = Options.from_namespace(parser.parse_args(asked))
    paper = open_paper(chosen)
    site = build_site(paper, postback_url=chosen.postback_url)
    runner = web.AppRunner(site.app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with aiohttp.ClientSession() as session:
            server = Whole(site, session, f"http://127.0.0.1:{runner.addresses[0][1]}")
            if paper.clock.setting is None:
                await server.stand_at(AT)
                await server.control("PUT", "prices/NSE/INFY", {"price": "1500"})
            yield server
    finally:
        await runner.cleanup()
        paper.journal.close()
