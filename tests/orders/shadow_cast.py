"""
A shadow between two paper Kite servers: one is Zerodha, whose prices are real, and one takes the orders.

At Zerodha RELIANCE stands at 1,500.00, bid 1,499.50 and asked 1,500.50; the paper server left to itself says 1,400.00.
Every request to Zerodha goes through a wire that keeps it.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from orders.broker.asked import AskedFunds, AskedPositions, AskedPrices
from orders.broker.kite import KiteGateway, KiteMarket
from orders.broker.paper_prices import PaperPrices
from orders.broker.sessions import PAPER_TOKEN, TokenVault
from orders.broker.shadow import ShadowGateway
from orders.desk import Desk, DeskRules, keep_quote
from orders.reconciliation import reconcile
from risk.models import Mode, RiskSettings
from tests.conftest import ROOMY, know_the_instruments, switch_on
from tests.orders.paper.paper_process import PaperProcess
from tests.orders.raw_server import RawServer

ORDER_ROUTES = ("place", "modify", "cancel")
LAST, BID, ASK = "1500.00", "1499.50", "1500.50"


class Wire(RawServer):
    """Hands each request on to the server behind it, and keeps it."""

    def __init__(self, behind: PaperProcess) -> None:
        super().__init__()
        self._behind = ("127.0.0.1", behind.port)
        self.answer(self._hand_on)

    def asked(self) -> list[tuple[str, str]]:
        """Return (method, path) of every request."""
        heads = [re.match(rb"(\w+) ([^ ?]+)", each) for each in self.requests]
        return [(head[1].decode(), head[2].decode()) for head in heads if head]

    def _hand_on(self, sock: socket.socket) -> None:
        request = re.sub(rb"(?i)connection: keep-alive", b"Connection: close", self.requests[-1])
        with socket.create_connection(self._behind, timeout=10) as on:
            on.sendall(request)
            while more := on.recv(65536):
                sock.sendall(more)


def quoted(server: PaperProcess, last: str, bid: str, ask: str, quantity: int = 1000) -> None:
    """Have RELIANCE stand there at a server, with one level on each side."""
    level = {"quantity": quantity}
    server.control(
        "PUT",
        "prices/NSE/RELIANCE",
        {"price": last, "buy": [{"price": bid, **level}], "sell": [{"price": ask, **level}]},
    )


@pytest.fixture(scope="session")
def second_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaperProcess]:
    server = PaperProcess(tmp_path_factory.mktemp("zerodha"))
    yield server
    server.stop()


@pytest.fixture
def zerodha(second_server: PaperProcess) -> Iterator[PaperProcess]:
    """Zerodha, which would say of every order request that it came."""
    second_server.reset()
    quoted(second_server, LAST, BID, ASK)
    for route in ORDER_ROUTES:
        second_server.control("POST", "faults", {"route": route, "do": "error_503", "times": 1000})
    yield second_server
    second_server.close_clients()


@pytest.fixture
def wire(zerodha: PaperProcess) -> Iterator[Wire]:
    server = Wire(zerodha)
    yield server
    server.stop()


@pytest.fixture
def shadow(paper: PaperProcess, zerodha: PaperProcess, wire: Wire, clock: Any, db: None) -> Desk:
    """A desk in the shadow, logged in at Zerodha, that trades signals."""
    vault = TokenVault(Mode.SHADOW, secret_key="a secret of the suite")
    vault.keep(zerodha.log_in("live-key"), user_id="PAPER1", now=clock())
    gateway = ShadowGateway(
        market=KiteMarket(api_key="live-key", root=wire.root, access_token=vault.token),
        orders=KiteGateway(api_key="paper", root=paper.root, access_token=lambda: PAPER_TOKEN),
        prices=PaperPrices(paper.root),
        witness=keep_quote,
        clock=clock,
        quote_seconds=0,
    )
    desk = Desk(
        mode=Mode.SHADOW,
        gateway=gateway,
        vault=vault,
        clock=clock,
        asked_prices=AskedPrices(seconds=0),
        asked_positions=AskedPositions(seconds=0),
        asked_funds=AskedFunds(seconds=0),
        rules=DeskRules(between_looks_seconds=0),
    )
    know_the_instruments(desk)
    reconcile(desk)
    switch_on(desk)
    RiskSettings.objects.filter(pk=1).update(**ROOMY)
    return desk


def no_order_came(zerodha: PaperProcess, wire: Wire) -> bool:
    """Return what both witnesses say: nothing but reading was asked of Zerodha, and its journal has no order."""
    struck = zerodha.control("GET", "faults/struck")["data"]
    return struck == [] and zerodha.accepted() == [] and {method for method, _ in wire.asked()} <= {"GET"}
