"""The process: take the state directory and the port, serve until told to stop."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from aiohttp import web

from orders.paper.exchange.exchange import Exchange
from orders.paper.exchange.journal import Journal, JournalDamaged, JournalUnwritable
from orders.paper.faults.faults import FaultQueue
from orders.paper.indian_time import IST
from orders.paper.market.market import Market
from orders.paper.server.app import build_app

MATCH_EVERY_SECONDS = 0.2
# A fault may keep an answer dribbling for a minute; stopping does not wait for it.
SHUTDOWN_SECONDS = 1.0


class CannotStart(Exception):
    """The server cannot run here; the text is one sentence that says what to do."""


@dataclass(frozen=True, kw_only=True)
class Options:
    host: str
    port: int
    state_dir: Path
    seed: int

    @classmethod
    def from_namespace(cls, chosen: argparse.Namespace) -> Options:
        return cls(host=chosen.host, port=chosen.port, state_dir=chosen.state_dir, seed=chosen.seed)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options, for the management command and for `python -m orders.paper` alike."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=port_number, default=8800, help="0 picks a free one (default: %(default)s)")
    parser.add_argument("--state-dir", type=Path, required=True, help="where the journal of the book is kept")
    parser.add_argument("--seed", type=int, default=1, help="another seed moves prices along another path")


def port_number(text: str) -> int:
    """Return the TCP port that the text names; 0 stands for any free one."""
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port between 0 and 65535")
    return int(text)


def run(options: Options, announce: Callable[[str], None]) -> None:
    """
    Serve until SIGTERM or SIGINT; `announce` gets the one line that says where, once connections are taken.

    Raise `CannotStart` when the state directory or the port cannot be had.
    """
    with exclusive(options.state_dir), listening(options.host, options.port) as listener:
        try:
            journal = Journal(options.state_dir)
            exchange = Exchange(Market(options.seed), journal)
            asyncio.run(serve(exchange, listener, announce))
        except JournalDamaged as damage:
            raise CannotStart(str(damage)) from damage
        except JournalUnwritable as failure:
            raise CannotStart(f"{failure}: make room or permissions right, then start again.") from failure


async def serve(exchange: Exchange, listener: socket.socket, announce: Callable[[str], None]) -> None:
    """Answer requests and match resting orders until a stop signal arrives or matching fails."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    app = build_app(exchange, FaultQueue(), clock)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        announce(f"paper kite listening on {address(listener)}")
        await match_until(stopping, exchange)
    finally:
        await runner.cleanup()


async def match_until(stopping: asyncio.Event, exchange: Exchange) -> None:
    """Let the market move: fill what the price has crossed, expire what is of an earlier day."""
    while not stopping.is_set():
        exchange.match(clock())
        try:
            await asyncio.wait_for(stopping.wait(), MATCH_EVERY_SECONDS)
        except TimeoutError:
            continue


def clock() -> datetime:
    """Return the present moment: the only place where this server asks for it."""
    return datetime.now(IST)


def address(listener: socket.socket) -> str:
    """Return the URL that clients should use as their root."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def exclusive(state_dir: Path) -> Iterator[None]:
    """Keep a second server out: it would write another truth into the same journal."""
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CannotStart(
            f"The state directory {state_dir} cannot be used ({error.strerror}): give another --state-dir."
        ) from error
    try:
        lock(descriptor, state_dir)
        yield
    finally:
        os.close(descriptor)


def lock(descriptor: int, state_dir: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise CannotStart(
            f"The state directory {state_dir} is in use by another paper server: "
            "stop that one or give another --state-dir."
        ) from error


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Take the port now, so that a taken one is one sentence and not a server that nobody can reach."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise CannotStart(
            f"Port {port} on {host} cannot be had ({os.strerror(error.errno or 0)}): "
            "stop what listens there or give another --port."
        ) from error
    with listener:
        yield listener
