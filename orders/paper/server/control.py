"""
The routes under /paper/, for tests and rehearsals: set prices and the clock, ask for faults, end all sessions, read
the journal, give the account funds and shares, start afresh.

They have no counterpart at Zerodha and no password, which is why the server listens on loopback by default.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Annotated, TypeVar

from aiohttp import web
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from orders.paper.clock import EARLIEST, LATEST, SPEED_MAX
from orders.paper.envelope import success
from orders.paper.errors import NO_SUCH_INSTRUMENT, KiteRefusal, bad_input, first_problem
from orders.paper.exchange.account_desk import AccountDesk
from orders.paper.exchange.events import ClockSet
from orders.paper.faults.faults import SCRIPT, Fault
from orders.paper.faults.strikes import strike_rows
from orders.paper.market.instruments import INSTRUMENTS, Instrument
from orders.paper.market.market import Depth, Level
from orders.paper.server.app import Door, PaperKite
from orders.paper.server.updates import Updates
from orders.paper.server.wire import Row, number
from orders.paper.server.witness import journal_rows

Shape = TypeVar("Shape", bound=BaseModel)
Amount = Annotated[Decimal, Field(gt=0, le=10_000_000, decimal_places=2)]  # INR


class Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewLevel(Asked):
    price: Amount
    quantity: int = Field(gt=0, le=999_999_999)
    orders: int = Field(default=1, gt=0, le=100_000)


class NewPrice(Asked):
    price: Amount | None  # None lets it move again
    buy: list[NewLevel] = Field(default=[], max_length=5)
    sell: list[NewLevel] = Field(default=[], max_length=5)


class NewTime(Asked):
    at: AwareDatetime | None = None  # None: the present moment on
    speed: float = Field(default=1, ge=0, le=SPEED_MAX, allow_inf_nan=False)


class NewFunds(Asked):
    amount: Decimal = Field(ge=-1_000_000_000, le=1_000_000_000, decimal_places=2)  # INR, negative takes out


class NewHolding(Asked):
    quantity: int = Field(gt=0, le=999_999_999)
    average_price: Amount


class Control:
    def __init__(self, paper: PaperKite, door: Door, updates: Updates) -> None:
        self.paper = paper
        self.door = door
        self.updates = updates
        self.account = AccountDesk(paper.exchange)

    def add_to(self, app: web.Application) -> None:
        router = app.router
        router.add_put("/paper/prices/{exchange}/{symbol}", self.set_price)
        router.add_post("/paper/faults", self.add_faults)
        router.add_get("/paper/faults", self.list_faults, allow_head=False)
        router.add_delete("/paper/faults", self.clear_faults)
        router.add_get("/paper/faults/struck", self.list_strikes, allow_head=False)
        router.add_get("/paper/clock", self.tell_time, allow_head=False)
        router.add_post("/paper/clock", self.set_clock)
        router.add_delete("/paper/clock", self.release_clock)
        router.add_post("/paper/funds", self.add_funds)
        router.add_post("/paper/holdings/{exchange}/{symbol}", self.give_holding)
        router.add_get("/paper/sessions", self.tell_sessions, allow_head=False)
        router.add_delete("/paper/sessions", self.end_sessions)
        router.add_post("/paper/sessions", self.restore_session)
        router.add_get("/paper/journal", self.journal, allow_head=False)
        router.add_post("/paper/reset", self.reset)

    async def set_price(self, request: web.Request) -> web.Response:
        """Set an instrument's price, with what can be traded around it, or release it; answer the price now."""
        instrument = named(request)
        wanted = await asked(request, NewPrice)
        now = self.paper.clock()
        depth = Depth(buy=levels(wanted.buy), sell=levels(wanted.sell)) if wanted.buy or wanted.sell else None
        if depth:
            check_depth(depth)
        self.paper.turns.set_price(instrument, wanted.price, now, depth)
        last = self.paper.exchange.market.last_price(instrument, now)
        return await self._done({"last_price": number(last)})

    async def add_faults(self, request: web.Request) -> web.Response:
        """Add a fault, or a script of them in order."""
        content = await request.read()
        scripted = content.lstrip().startswith(b"[")
        try:
            faults = SCRIPT.validate_json(content) if scripted else [Fault.model_validate_json(content)]
        except ValidationError as error:
            raise malformed(error) from error
        for fault in faults:
            self.paper.faults.add(fault)
        rows = [fault.model_dump(mode="json") for fault in faults]
        return success(rows if scripted else rows[0])

    async def list_faults(self, _request: web.Request) -> web.Response:
        return success(self.paper.faults.describe())

    async def list_strikes(self, _request: web.Request) -> web.Response:
        """Answer which faults struck since the book began, whose requests, and what orders came of these."""
        return success(await asyncio.to_thread(lambda: strike_rows(self.paper.journal.events())))

    async def clear_faults(self, _request: web.Request) -> web.Response:
        self.paper.faults.clear()
        return success(True)

    async def tell_time(self, _request: web.Request) -> web.Response:
        setting = self.paper.clock.setting
        speed = 1.0 if setting is None else setting.speed
        return success({"now": self.paper.clock().isoformat(), "speed": speed, "set": setting is not None})

    async def set_clock(self, request: web.Request) -> web.Response:
        """Set the clock to a moment, and how fast it goes on from there."""
        wanted = await asked(request, NewTime)
        if wanted.at is not None and not EARLIEST <= wanted.at <= LATEST:
            raise bad_input(f"Invalid `at`: use a moment from {EARLIEST.year} to {LATEST.year}.")
        return await self._run_clock(wanted.at or self.paper.clock(), wanted.speed)

    async def release_clock(self, _request: web.Request) -> web.Response:
        """Let the clock be the machine's again."""
        return await self._run_clock(None, 1)

    async def add_funds(self, request: web.Request) -> web.Response:
        wanted = await asked(request, NewFunds)
        self.account.add_funds(wanted.amount, self.paper.clock())
        return await self._done(True)

    async def give_holding(self, request: web.Request) -> web.Response:
        instrument = named(request)
        wanted = await asked(request, NewHolding)
        self.account.give_holding(instrument, wanted.quantity, wanted.average_price, self.paper.clock())
        return await self._done(True)

    async def tell_sessions(self, _request: web.Request) -> web.Response:
        logins = self.paper.logins
        return success({"standing": not logins.standing_ended, "logged_in": logins.logged_in(self.paper.clock())})

    async def end_sessions(self, request: web.Request) -> web.Response:
        """End all sessions in mid-day, as a master logout does: from now on 403, and the sockets close."""
        now = self.paper.clock()
        self.paper.logins.end_all(now)
        self.updates.stream.let_go(now)
        return await self.tell_sessions(request)

    async def restore_session(self, request: web.Request) -> web.Response:
        """Accept the standing pair again; those that had logged in stay out."""
        self.paper.logins.restore()
        return await self.tell_sessions(request)

    async def journal(self, _request: web.Request) -> web.Response:
        """Answer all that happened to orders since the book began, oldest first, as a bare list."""
        rows = await asyncio.to_thread(self._read_journal)
        return web.json_response(rows)

    async def reset(self, _request: web.Request) -> web.Response:
        """Archive the journal; begin an empty book with moving prices, no faults of before and nothing pending."""
        archive = self.paper.exchange.reset(self.paper.clock())
        self.paper.faults.clear()
        self.paper.limits.forget()
        self.paper.logins.restore()
        self.door.cancel_late()
        self.updates.forget()
        return success({"archived": archive})

    def _read_journal(self) -> list[Row]:
        return list(self._journal_rows())

    def _journal_rows(self) -> Iterator[Row]:
        return journal_rows(self.paper.journal.events())

    async def _run_clock(self, moment: datetime | None, speed: float) -> web.Response:
        clock = self.paper.clock
        self.paper.exchange.ledger.write(ClockSet(at=clock(), moment=moment, speed=speed, wall=clock.wall()))
        self.paper.turns.take(clock())
        return await self._done({"now": clock().isoformat(), "speed": speed})

    async def _done(self, payload: object) -> web.Response:
        await self.paper.journal.settle()
        return success(payload)


def named(request: web.Request) -> Instrument:
    instrument = INSTRUMENTS.get(f"{request.match_info['exchange']}:{request.match_info['symbol']}")
    if instrument is None:
        raise bad_input(NO_SUCH_INSTRUMENT)
    return instrument


async def asked(request: web.Request, shape: type[Shape]) -> Shape:
    """Return the request's JSON body in its shape, or refuse with what is wrong with it."""
    try:
        return shape.model_validate_json(await request.read() or b"{}")
    except ValidationError as error:
        raise malformed(error) from error


def levels(rows: list[NewLevel]) -> tuple[Level, ...]:
    return tuple(Level(price=row.price, quantity=row.quantity, orders=row.orders) for row in rows)


def check_depth(depth: Depth) -> None:
    bids, offers = [level.price for level in depth.buy], [level.price for level in depth.sell]
    if bids != sorted(bids, reverse=True) or offers != sorted(offers):
        raise bad_input("Invalid depth: the best level comes first on each side.")
    if bids and offers and bids[0] > offers[0]:
        raise bad_input("Invalid depth: the best bid is above the best offer.")


def malformed(error: ValidationError) -> KiteRefusal:
    """Return a refusal that names the first thing wrong with a JSON body."""
    where, problem = first_problem(error)
    return bad_input(f"Invalid `{where or 'body'}`: {problem}.")
