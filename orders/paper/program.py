"""The process: take the state directory and the port, serve until told to stop."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path

from aiohttp import web

from orders.paper.clock import Clock
from orders.paper.exchange.events import ClockSet, FaultStruck
from orders.paper.exchange.exchange import Exchange
from orders.paper.exchange.gtt_desk import GttDesk
from orders.paper.exchange.journal import Journal, JournalDamaged, JournalUnwritable
from orders.paper.exchange.ledger import Ledger
from orders.paper.exchange.turns import Turns
from orders.paper.faults.faults import Fault, Route
from orders.paper.faults.queue import FaultQueue, Subject
from orders.paper.faults.specification import spell
from orders.paper.furnishing import furnish
from orders.paper.indian_time import IST, trading_date
from orders.paper.market.market import Market
from orders.paper.market.replay import ReplayUnreadable, read_replay
from orders.paper.market.sessions import AlwaysOpen, ExchangeHours
from orders.paper.options import Options, check_pair
from orders.paper.profile import PROFILES
from orders.paper.server.app import PaperKite
from orders.paper.server.limits import RateLimits, placed_on
from orders.paper.server.logins import Logins, LoginsDamaged
from orders.paper.server.site import Site, build_site
from orders.paper.server.wire_protocol import WireProtocol

TURN_SECONDS = 0.2
# A fault may keep an answer dribbling for a minute; stopping does not wait for it.
SHUTDOWN_SECONDS = 1.0
BACKLOG = 128  # connections that wait to be taken
# A thousand instruments in one quote.
REQUEST_LINE_BYTES_MAX = 64 * 1024
# What is not HTTP at all is answered 400 by aiohttp, which need not tell us of it with a traceback.
WIRE_LOG = logging.getLogger("orders.paper.wire")
WIRE_LOG.setLevel(logging.CRITICAL)


class CannotStart(Exception):
    """The server cannot run here; the text is one sentence that says what to do."""


def run(options: Options, announce: Callable[[str], None]) -> None:
    """
    Serve until SIGTERM or SIGINT; `announce` gets the lines that say where and how, once connections are taken.

    Raise `CannotStart` when the state directory, the port or an option cannot be had.
    """
    problem = check_pair(options.api_key, options.access_token)
    if problem:
        raise CannotStart(problem)
    with exclusive(options.state_dir), listening(options.host, options.port) as listener:
        try:
            paper = open_paper(options)
            site = build_site(paper, redirect_url=options.redirect_url, postback_url=options.postback_url)
            asyncio.run(serve(site, listener, announce))
        except (JournalDamaged, LoginsDamaged, ReplayUnreadable) as damage:
            raise CannotStart(str(damage)) from damage
        except JournalUnwritable as failure:
            raise CannotStart(f"{failure}: make room or permissions right, then start again.") from failure


def open_paper(options: Options) -> PaperKite:
    """Bring back the state of the directory, and lay over it what the options ask for."""
    profile = PROFILES[options.profile]
    keeps_hours = options.market_hours == "nse" and profile.keeps_hours
    market = Market(options.seed, ExchangeHours() if keeps_hours else AlwaysOpen())
    if options.replay:
        market.replay(read_replay(options.replay))
    clock = Clock(wall)
    journal = Journal(options.state_dir)
    try:
        ledger = Ledger(market, journal, clock, options.cash)
    except KeyError as missing:
        raise JournalDamaged(
            f"{journal.path} is damaged: a line speaks of {missing}, which is not known there: put back what is "
            "missing, or move the file away to start an empty book."
        ) from missing
    if options.clock:
        ledger.write(ClockSet(at=options.clock, moment=options.clock, speed=1, wall=wall()))
    exchange = Exchange(ledger, profile)
    limits = RateLimits(enabled=profile.rate_limits and options.rate_limits)
    limits.resume(placed_on(trading_date(clock()), exchange.book), clock())
    ledger.listeners.append(limits.note)
    paper = PaperKite(
        exchange=exchange,
        turns=Turns(exchange, GttDesk(exchange)),
        journal=journal,
        clock=clock,
        faults=FaultQueue(options.fault, partial(note_strike, ledger)),
        logins=Logins(options.state_dir, api_secret=options.api_secret, pair=options.pair),
        limits=limits,
    )
    if options.pair:
        furnish(exchange, clock())
    return paper


async def serve(site: Site, listener: socket.socket, announce: Callable[[str], None]) -> None:
    """Answer requests and let time pass until a stop signal arrives or the journal cannot be written."""
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    runner = web.AppRunner(site.app, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()

    def connection() -> WireProtocol:
        assert runner.server is not None
        return WireProtocol(
            runner.server, loop=loop, access_log=WIRE_LOG, logger=WIRE_LOG, max_line_size=REQUEST_LINE_BYTES_MAX
        )

    server = await loop.create_server(connection, sock=listener, backlog=BACKLOG)
    try:
        announce(f"paper kite listening on {address(listener)}")
        for line in example(site.paper, address(listener)):
            announce(line)
        await turn_until(stopping, site.paper)
    finally:
        server.close()
        await runner.cleanup()


async def turn_until(stopping: asyncio.Event, paper: PaperKite) -> None:
    """Let the market move: fill what the price has crossed, expire what is of an earlier day."""
    while not stopping.is_set():
        paper.turns.take(paper.clock())
        await paper.journal.settle()
        try:
            await asyncio.wait_for(stopping.wait(), TURN_SECONDS)
        except TimeoutError:
            continue


def example(paper: PaperKite, root: str) -> list[str]:
    """Return three lines that place an order with the SDK."""
    api_key, access_token = paper.logins.example_pair
    return [
        "  from kiteconnect import KiteConnect",
        f'  kite = KiteConnect("{api_key}", "{access_token}", root="{root}")',
        '  kite.place_order("regular", "NSE", "INFY", "BUY", 1, "CNC", "MARKET", market_protection=-1)',
    ]


def note_strike(ledger: Ledger, fault: Fault, route: Route, number: int, about: Subject) -> int:
    """Write down that a fault struck, for the journal to be a witness of it; return the number of the strike."""
    strike = ledger.last_strike + 1
    ledger.write(
        FaultStruck(
            at=ledger.clock(),
            route=route,
            fault=spell(fault),
            number=number,
            strike=strike,
            tag=about.tag,
            order_id=about.order_id,
        )
    )
    return strike


def wall() -> datetime:
    """Return the present moment on the machine's clock: the only place where this server asks for it."""
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
        if isinstance(error.__context__, socket.gaierror):  # which create_server() raises anew as an OSError
            raise CannotStart(f"The host {host} is not found: give another --host.") from error
        raise CannotStart(
            f"Port {port} on {host} cannot be had ({os.strerror(error.errno or 0)}): "
            "stop what listens there or give another --port."
        ) from error
    with listener:
        yield listener
