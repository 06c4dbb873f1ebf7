"""The stream on a port of a thread's own, and the SDK's KiteTicker in a process of its own."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .streaming import SECONDS, Setting

PROCESS = Path(__file__).with_name("ticker_process.py")


class Served:
    """A setting served from a thread; everything that touches it is done in that thread."""

    def __init__(self) -> None:
        self.setting = Setting()
        self.loop = asyncio.new_event_loop()
        self.runner = self.loop.run_until_complete(self.setting.serve())
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

    def do(self, act: Callable[..., object], *arguments: object) -> object:
        async def there() -> object:
            done = act(*arguments)
            return await done if inspect.isawaitable(done) else done

        return asyncio.run_coroutine_threadsafe(there(), self.loop).result(SECONDS)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self.runner.cleanup(), self.loop).result(SECONDS)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(SECONDS)
        self.loop.close()


class TickerProcess:
    """The process, and all that its tickers have told so far."""

    def __init__(self, root: str) -> None:
        # Indian time, so that the SDK's naive local times are those that Kite meant.
        environment = os.environ | {"TZ": "Asia/Kolkata"}
        self.process = subprocess.Popen(
            [sys.executable, str(PROCESS), root],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self.told: list[dict] = []
        self.heard = threading.Condition()
        self.listener = threading.Thread(target=self._listen)
        self.listener.start()
        self.names = (f"ticker {number}" for number in itertools.count(1))

    def ticker(self, token: str = "token") -> Ticker:  # noqa: S107 - the stand-in's
        one = Ticker(self, next(self.names))
        one.do("connect", token=token)
        return one

    def command(self, **command: object) -> None:
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def stop(self) -> None:
        self.process.stdin.close()
        self.process.wait(SECONDS)
        self.listener.join(SECONDS)
        self.process.stdout.close()

    def _listen(self) -> None:
        for line in self.process.stdout:
            with self.heard:
                self.told.append(json.loads(line))
                self.heard.notify_all()


class Ticker:
    """One KiteTicker of the process: what it is told to do, and what its callbacks got."""

    def __init__(self, process: TickerProcess, name: str) -> None:
        self.process = process
        self.name = name
        self.read = 0  # how much of what the process told was looked at

    def do(self, what: str, **facts: object) -> None:
        self.process.command(ticker=self.name, do=what, **facts)

    def hear(self, event: str) -> dict:
        """Return the next call of this callback, passing over other callbacks."""
        with self.process.heard:
            found = self.process.heard.wait_for(lambda: self._next(event), SECONDS)
        assert found, f"no {event}; told was {self.process.told[-10:]}"
        return found

    def hear_ticks(self) -> dict[int, dict]:
        return {tick["instrument_token"]: tick for tick in self.hear("ticks")["ticks"]}

    def _next(self, event: str) -> dict | None:
        while self.read < len(self.process.told):
            line = self.process.told[self.read]
            self.read += 1
            if line["ticker"] == self.name and line["event"] == event:
                return line
        return None


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    one = Served()
    yield one
    one.stop()


@pytest.fixture(scope="module")
def ticker_process(served: Served) -> Iterator[TickerProcess]:
    process = TickerProcess(f"{served.setting.root}/ws")
    yield process
    process.stop()


@pytest.fixture
def ticker(served: Served, ticker_process: TickerProcess) -> Iterator[Ticker]:
    """Connect a KiteTicker to a market that stands where it stood at the start."""
    served.do(served.setting.prices.__init__)
    one = ticker_process.ticker()
    one.hear("connect")
    yield one
    one.do("close")
    one.hear("close")
