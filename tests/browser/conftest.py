"""
A real Chromium, the system's own, and those who sit before it.

`admin_page` is Tara's, who may do everything, logged in through the form. A journey takes `journey` instead: Tara,
logged in without it, on a large dark screen and on a small light one; each page is looked at as `Person` does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from playwright.sync_api import expect

from orders import by_hand
from orders.deciding import ManualOrder
from orders.desk import Desk
from orders.models import Order
from orders.quotes import load_instruments
from orders.receivers import connect
from risk.engine.facts import OrderType, Side
from tests.orders.conftest import follow, held, resting, wish
from tests.orders.paper.paper_process import PaperProcess

from .staged_day import FIRST_LIMITS, START, StagedDay
from .staged_time import StagedTime
from .watching import LARGE_DARK, SMALL_LIGHT, Person, Screen

__all__ = ["follow", "held", "resting", "wish"]  # of the cast that trades
expect.set_options(timeout=20_000)  # how long a page may take to show it on a machine that does much else
CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))


@pytest.fixture(scope="session", autouse=True)
def synchronous_calls() -> Iterator[None]:
    """Playwright runs an event loop in the test's thread, which Django takes for a reason to refuse queries there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        yield


@pytest.fixture(scope="session")
def base_url() -> None:
    """Stand in for the plugin's own fixture, which pytest warns of; the live server says where to go."""


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    if not CHROMIUM.exists():
        pytest.skip(f"there is no Chromium at {CHROMIUM}: install it, or name it in CHROMIUM")
    return {"executable_path": str(CHROMIUM), "args": ["--no-sandbox"]}


@pytest.fixture
def tara(transactional_db: None) -> User:
    return User.objects.create_superuser("tara", password="a long password")


@pytest.fixture
def placed(desk: Desk) -> Callable[..., Order]:
    """Place a BUY of one share: RELIANCE rests below 1,400.00 and INFY below 1,500.00."""

    def place(symbol: str, price: str) -> Order:
        wish = ManualOrder(
            token=f"{symbol} {price}",
            side=Side.BUY,
            exchange="NSE",
            symbol=symbol,
            quantity=1,
            order_type=OrderType.LIMIT,
            limit_price=Decimal(price),
            by="tara",
        )
        return by_hand.place(desk, wish)

    return place


@pytest.fixture
def person(new_context: Any, live_server: Any) -> Iterator[Callable[..., Person]]:
    """Let somebody sit down at a screen: with a name they are logged in, a superuser unless there is such a user."""

    seated: list[Person] = []

    def sit(screen: Screen, name: str = "") -> Person:
        context = new_context(viewport={"width": screen.width, "height": screen.height}, color_scheme=screen.scheme)
        somebody = Person(context, live_server.url)
        seated.append(somebody)
        if name:
            user = User.objects.filter(username=name).first() or User.objects.create_superuser(name)
            somebody.log_in(user)
        return somebody

    yield sit
    for somebody in seated:
        somebody.leave()


@pytest.fixture(params=[LARGE_DARK, SMALL_LIGHT], ids=str)
def screen(request: pytest.FixtureRequest) -> Screen:
    return request.param


@pytest.fixture
def journey(person: Callable[..., Person], screen: Screen, desk: Desk) -> Person:
    return person(screen, "tara")


@pytest.fixture
def step() -> timedelta:
    return timedelta(hours=1)


@pytest.fixture
def staged_day(transactional_db: None, tmp_path: Path, settings: Any, step: timedelta) -> Iterator[StagedDay]:
    """The day of `StagedDay`, played until a quarter past two, on a paper server of its own."""
    paper = PaperProcess(tmp_path, "--clock", f"{START:%Y-%m-%dT%H:%M}")
    times = StagedTime(paper, START)
    settings.PAPER_KITE_URL, settings.LOOSENING_NEEDS = paper.root, "second_person"
    settings.FIRST_LIMITS = FIRST_LIMITS
    listener = connect(settings.REDIS_URL).pubsub()
    listener.subscribe(settings.SIGNAL_CHANNEL)
    try:
        with times.for_everybody():
            desk = Desk.from_settings(clock=times)
            load_instruments(desk, "NSE")
            day = StagedDay(desk, paper, times, step=step)
            day.play()
            yield day
    finally:
        listener.close()
        paper.stop()


@pytest.fixture
def complaints(page: Any) -> list[str]:
    """What the browser complained of."""
    found: list[str] = []
    page.on("console", lambda line: found.append(line.text) if line.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: found.append(str(error)))
    return found


@pytest.fixture
def admin_page(page: Any, live_server: Any, tara: User, complaints: list[str]) -> Any:
    """The admin's first page, after logging in through the form."""
    page.goto(f"{live_server.url}/admin/")
    page.fill("[name=username]", "tara")
    page.fill("[name=password]", "a long password")
    page.click("button[type=submit]")
    page.wait_for_selector("#status-strip")
    assert settings.TRADING_MODE in page.title()
    return page
