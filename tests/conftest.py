"""
The cast of the suite.

One account on paper: RELIANCE at 1,400.00 and INFY at 1,500.00, both in lots of one, so that ₹1,000 an entry rounds up
to one share of either, and ₹10,000 a position holds seven shares of RELIANCE and not eight. The clock runs, and a test
moves it ahead instead of waiting. The suite passes at any hour: a test whose clock leaves the minute it began in takes
`noon`, and none begins in the last seconds of a date.
"""

from __future__ import annotations

import gc
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, time, timedelta
from decimal import Decimal
from time import sleep
from typing import Any, Self

import pytest
from django.db import connection
from django.db.backends.postgresql.operations import DatabaseOperations
from django.utils import timezone

from orders.broker.asked import AskedFunds, AskedPositions, AskedPrices
from orders.broker.kite import KiteGateway
from orders.broker.kite_rows import IST
from orders.broker.sessions import TokenVault
from orders.desk import Desk, DeskRules, asked_prices
from orders.inbox import Received, record
from orders.models import Instrument, Order, Signal
from orders.quotes import load_instruments
from orders.reconciliation import reconcile
from risk import control
from risk.models import CalendarDay, CalendarYear, Mode, RiskSettings, TradingControl
from tests.orders.paper.paper_process import PaperProcess

RELIANCE_PRICE = Decimal("1400.00")
WITHOUT_TRIGGERS = "SET LOCAL session_replication_role = replica"
ALWAYS_THE_SAME = {"django_content_type", "auth_permission"}  # a migration makes them, and no test changes them
LARGE_BYTES = 1 << 21
TURNS = (0, 6)  # the hours in Mumbai at which the date changes, and the logins of a day end
LISTED: list[dict[str, Any]] = []  # the instruments of the paper Kite, once a test has read them


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Run the browser's tests last.

    From its first test on, Playwright keeps an event loop running in this thread until the whole session ends, and
    asyncio refuses another loop beside it.
    """
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


def pytest_collection_finish() -> None:
    """Take what was imported and collected out of the collector's way: it would be walked again and again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """
    Begin after midnight in Mumbai what would run into it, and after six o'clock, when the logins end.

    What a test did on one date is of yesterday on the next: no assertion could say what holds on both.
    """
    slow = any(item.get_closest_marker(name) for name in ("browser", "processes"))
    now = timezone.now().astimezone(IST)
    over = now + timedelta(seconds=60 if slow else 15)
    for hour in TURNS:
        turn = over.replace(hour=hour, minute=0, second=0, microsecond=0)
        if now < turn <= over:
            sleep((turn - now).total_seconds())


@pytest.fixture(scope="session", autouse=True)
def flushes_are_quick() -> Iterator[None]:
    """
    Empty after a test that commits only what it filled, as a superuser around the triggers that refuse it.

    `TRUNCATE` of every table takes ten times as long, and pays only where a test filled a large one.
    """
    truncate = DatabaseOperations.sql_flush

    def flush(operations: Any, style: Any, tables: Sequence[str], **options: bool) -> list[str]:
        sizes = _sizes_of_filled({*tables} - ALWAYS_THE_SAME)
        if max(sizes.values(), default=0) > LARGE_BYTES or options.get("reset_sequences"):
            return [WITHOUT_TRIGGERS, *truncate(operations, style, tables, **options)]
        return [WITHOUT_TRIGGERS, *(f'DELETE FROM "{table}"' for table in sizes)]  # noqa: S608 - our own names

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DatabaseOperations, "sql_flush", flush)
        yield


def _sizes_of_filled(tables: Iterable[str]) -> dict[str, int]:
    """Return the bytes of each table that has a row."""
    select = "SELECT '{0}', pg_relation_size('{0}') WHERE EXISTS (SELECT FROM \"{0}\")"
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(select.format(each) for each in tables))
        return dict(cursor.fetchall())


# What would be in the way of tests that are about something else: like orders in a row, many at a time.
ROOMY: dict[str, Any] = {
    "duplicate_window_seconds": 0,
    "open_orders_max": 1000,
    "symbol_open_orders_max": 1000,
    "gross_exposure_max": Decimal(100_000_000),
    "positions_max": 1000,
    "reject_streak_max": 100,
    "rejections_max": 100,
}


class Clock:
    """The real time, moved ahead by what a test asks for."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        return timezone.now() + self.ahead

    def advance(self, **amount: float) -> None:
        self.ahead += timedelta(**amount)

    def at_noon(self) -> Self:
        """
        Go to the hour after noon of this date in Mumbai: minutes and hours lead to no other one, ahead or back.

        Its minute stays, so that no two tests are of one moment: the paper Kite's journals are named for theirs.
        """
        self.ahead += timedelta(hours=12 - self().astimezone(IST).hour)
        return self


class StillClock(Clock):
    """Stands still but for what a test, or a pause, moves it ahead. `paused` keeps the pauses, in seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.moment = super().__call__()
        self.paused: list[float] = []

    def __call__(self) -> datetime:
        return self.moment + self.ahead

    def at_noon(self) -> Self:
        super().at_noon()
        self.moment, self.ahead = self(), timedelta(0)
        return self

    def pause(self, seconds: float) -> None:
        self.paused.append(seconds)
        self.advance(seconds=seconds)


@pytest.fixture(scope="session")
def paper_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaperProcess]:
    # Rich, so that what the risk desk lets through is not refused for want of money.
    server = PaperProcess(tmp_path_factory.mktemp("paper"), "--cash", "1000000000")
    yield server
    server.stop()


@pytest.fixture
def paper(paper_server: PaperProcess) -> Iterator[PaperProcess]:
    """The paper Kite server with an empty book."""
    paper_server.reset()
    asked_prices.cache_clear()  # what another test asked for is no answer here
    paper_server.set_price("NSE:INFY", "1500.00")
    paper_server.set_price("NSE:RELIANCE", str(RELIANCE_PRICE))
    yield paper_server
    paper_server.close_clients()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def noon(clock: Clock, request: pytest.FixtureRequest) -> Iterator[None]:
    """
    Begin at noon in Mumbai, at the paper Kite servers too.

    To be taken by `usefixtures`, which comes before what else a test takes: nothing may have asked for the time yet,
    and a price that a server was given in the afternoon is not known at noon.
    """
    clock.at_noon()
    named = [name for name in ("paper_server", "second_server") if name in request.fixturenames]
    servers: list[PaperProcess] = [request.getfixturevalue(name) for name in named]
    for server in servers:
        server.set_clock(clock())
    yield
    for server in servers:
        server.set_clock(None)


@pytest.fixture
def bare_desk(paper: PaperProcess, clock: Clock, settings: Any) -> Desk:
    """A desk that has not read anything from its broker yet."""
    settings.PAPER_KITE_URL = paper.root
    vault = TokenVault(Mode.PAPER, secret_key="a secret of the suite")
    gateway = KiteGateway(api_key="paper", root=paper.root, access_token=vault.token)
    # The broker is asked every time: a test changes a price and expects to see it.
    return Desk(
        mode=Mode.PAPER,
        gateway=gateway,
        vault=vault,
        clock=clock,
        asked_prices=AskedPrices(seconds=0),
        asked_positions=AskedPositions(seconds=0),
        asked_funds=AskedFunds(seconds=0),
        rules=DeskRules(between_looks_seconds=0),
    )


@pytest.fixture
def desk(bare_desk: Desk, db: None) -> Desk:
    """A desk that knows its instruments, has compared its book, and trades signals."""
    know_the_instruments(bare_desk)
    reconcile(bare_desk)
    switch_on(bare_desk)
    RiskSettings.objects.filter(pk=1).update(**ROOMY)
    return bare_desk


def know_the_instruments(desk: Desk) -> None:
    """Read the broker's dump once, and find its rows again for every other test: reading takes ten times as long."""
    if not LISTED:
        load_instruments(desk, "NSE")
        LISTED.extend(Instrument.objects.values())
        return
    now = desk.clock()
    rows = [Instrument(**{**row, "id": None, "read_at": now}) for row in LISTED]
    Instrument.objects.bulk_create(rows, ignore_conflicts=True)


def switch_on(desk: Desk) -> None:
    shown = TradingControl.objects.get(mode=desk.mode).version
    control.auto_trading_on(desk.mode, by="priya", reason="test", now=desk.clock(), version_shown=shown)


def open_the_limits(**limits: Any) -> None:
    """Set limits so wide that only the one under test is met, or to the values given."""
    wide = {
        "order_value_max": Decimal(1_000_000),
        "position_value_max": Decimal(10_000_000),
        "daily_trades_max": 1000,
        "order_quantity_max": 100_000,
        "orders_per_second_max": 1000,
        "orders_per_minute_max": 1000,
        **ROOMY,
    }
    RiskSettings.objects.filter(pk=1).update(**{**wide, **limits})


def keep_the_market_open(now: datetime) -> None:
    """Let every day of this week be a session from midnight to midnight, for what trades live at whatever hour."""
    for days in range(-1, 7):
        day = (now.astimezone(IST) + timedelta(days=days)).date()
        entered = {"entered_by": "test", "entered_at": now}
        hours = {"kind": "SPECIAL", "opens": time.min, "closes": time.max, "name": "open for a test"}
        CalendarDay.objects.update_or_create(date=day, defaults={**hours, **entered})
    for year in (now.year, now.year + 1):
        CalendarYear.objects.update_or_create(year=year, defaults={"complete": True, **entered})


@pytest.fixture
def message(clock: Clock) -> Callable[..., bytes]:
    """Make the bytes of a signal: a strong BUY of RELIANCE, now; keywords change fields, None leaves one out."""

    def make(**changes: Any) -> bytes:
        fields = {
            "signal_type": "BUY",
            "symbol": "RELIANCE",
            "cms_score": 75.0,
            "timestamp": clock().isoformat(),
            **changes,
        }
        return json.dumps({name: value for name, value in fields.items() if value is not None}).encode()

    return make


@pytest.fixture
def received(desk: Desk, message: Callable[..., bytes]) -> Callable[..., Signal]:
    """Record one signal and return its row."""
    numbers = itertools.count(1)

    def receive(**changes: Any) -> Signal:
        changes.setdefault("signal_id", f"test-{next(numbers)}")
        record(desk, [Received(raw=message(**changes), source=Signal.Source.CHANNEL)])
        return Signal.objects.get(signal_id=changes["signal_id"])

    return receive


@pytest.fixture
def wired() -> Callable[..., Desk]:
    """Return a desk with another gateway, clock or rules."""
    return lambda desk, **changes: replace(desk, **changes)


def statuses(order: Order) -> list[str]:
    """Return the statuses an order went through, by its events."""
    return [event.after for event in order.events.all()]
