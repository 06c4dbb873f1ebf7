"""A real Chromium, the system's own, logged in as Tara, who may do everything; what it says on its console is kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User

from orders import by_hand
from orders.deciding import ManualOrder
from orders.desk import Desk
from orders.models import Order
from risk.engine.facts import OrderType, Side

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
