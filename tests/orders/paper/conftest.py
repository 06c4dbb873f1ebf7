"""
The stage: one paper server for all tests, emptied before each, and INFY frozen at 1500.00.

Tests that kill and restart a server start their own with `start_paper`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kiteconnect import KiteConnect

from .paper_process import PaperProcess


@pytest.fixture(scope="session")
def paper_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaperProcess]:
    server = PaperProcess(tmp_path_factory.mktemp("paper"))
    yield server
    server.stop()


@pytest.fixture
def paper(paper_server: PaperProcess) -> Iterator[PaperProcess]:
    paper_server.reset()
    paper_server.set_price("NSE:INFY", "1500.00")
    yield paper_server
    paper_server.close_clients()


@pytest.fixture
def kite(paper: PaperProcess) -> KiteConnect:
    return paper.kite()


@pytest.fixture
def start_paper(tmp_path: Path) -> Iterator[Callable[..., PaperProcess]]:
    started = []

    def start(*options: str) -> PaperProcess:
        server = PaperProcess(tmp_path / "state", *options)
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def order() -> Callable[..., dict]:
    """Return the arguments of a limit buy of ten INFY at 1490, which rests; keywords change or (None) drop them."""

    def arguments(**changes: object) -> dict:
        usual = {
            "variety": "regular",
            "exchange": "NSE",
            "tradingsymbol": "INFY",
            "transaction_type": "BUY",
            "quantity": 10,
            "product": "CNC",
            "order_type": "LIMIT",
            "price": 1490.0,
        }
        return {name: value for name, value in (usual | changes).items() if value is not None}

    return arguments


@pytest.fixture
def market_order(order: Callable[..., dict]) -> Callable[..., dict]:
    def arguments(**changes: object) -> dict:
        return order(**{"order_type": "MARKET", "price": None, "market_protection": -1} | changes)

    return arguments
