"""Clients and servers for the tests of the paper Kite itself; those that kill a server start their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kiteconnect import KiteConnect

from .paper_process import PaperProcess


@pytest.fixture
def kite(paper: PaperProcess) -> KiteConnect:
    return paper.kite()


@pytest.fixture
def start_paper(tmp_path: Path) -> Iterator[Callable[..., PaperProcess]]:
    started = []

    def start(*options: str, **how: Any) -> PaperProcess:
        server = PaperProcess(tmp_path / "state", *options, **how)
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
