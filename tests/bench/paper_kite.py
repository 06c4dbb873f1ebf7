"""
How fast the paper Kite takes orders, and what they cost in memory: `make bench-paper`.

One client with one connection pool on loopback, first one order after another, then several at once until all
are placed. Every other order rests, the rest fill. Read the numbers as ratios between runs on one machine.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import aiohttp

from tests.orders.paper.paper_process import PaperProcess

HEADERS = {"Authorization": "token paper:paper", "X-Kite-Version": "3"}
COMMON = {"exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "quantity": "1", "product": "MIS"}
RESTING = COMMON | {"order_type": "LIMIT", "price": "1400"}
FILLING = COMMON | {"order_type": "MARKET", "market_protection": "-1"}
ONE_BY_ONE = 1000


class Client:
    def __init__(self, session: aiohttp.ClientSession, root: str) -> None:
        self.session = session
        self.root = root
        self.latencies: list[float] = []

    async def place(self, number: int) -> None:
        began = time.perf_counter()
        form = RESTING if number % 2 else FILLING
        async with self.session.post(f"{self.root}/orders/regular", data=form, headers=HEADERS) as answer:
            content = await answer.json()
        assert content["status"] == "success", content
        self.latencies.append(time.perf_counter() - began)

    async def place_many(self, orders: int, connections: int) -> float:
        """Place the orders over so many connections at once; return the seconds it took."""
        numbers = iter(range(orders))

        async def worker() -> None:
            for number in numbers:
                await self.place(number)

        began = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(connections)))
        return time.perf_counter() - began


def memory(server: PaperProcess) -> int:
    """Return the server's resident memory, in bytes."""
    for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


async def measure(server: PaperProcess, orders: int, connections: int) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections)) as session:
        client = Client(session, server.root)
        for number in range(ONE_BY_ONE):
            await client.place(number)
        ordered = sorted(client.latencies)
        show("one by one, median", statistics.median(ordered) * 1000, "ms")
        show("one by one, 99th percentile", ordered[len(ordered) * 99 // 100] * 1000, "ms")
        for part in range(1, 6):
            before = memory(server)
            share = orders // 5
            seconds = await client.place_many(share, connections)
            grown = (memory(server) - before) / share
            show(f"{part * share} orders, {connections} connections", share / seconds, f"a second, {grown:.0f} B each")


def show(what: str, number: float, unit: str) -> None:
    print(f"{what:45} {number:10.2f} {unit}")  # noqa: T201


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=100_000)
    parser.add_argument("--connections", type=int, default=8)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = PaperProcess(Path(folder), "--cash", "1000000000000")
        try:
            asyncio.run(measure(server, chosen.orders, chosen.connections))
            server.reset()
            show("memory after a reset", memory(server) / 2**20, "MiB")
        finally:
            server.stop()


if __name__ == "__main__":
    main()
