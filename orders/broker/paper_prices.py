"""
Prices told to a paper Kite server by its control routes, so that it fills at them. For a shadow of the real market.

Zerodha has no such routes: whatever is told here can reach a paper server only.
"""

from __future__ import annotations

from decimal import Decimal
from urllib.parse import quote

import requests

from orders.broker.deadline import DeadlineSession, deadline
from orders.broker.gateway import Depth, Level

TELL_SECONDS = 2.0
LEVELS_MAX = 5
PAISA = Decimal("0.01")


class PricesNotTold(Exception):
    """The paper Kite server did not take a price; the text says why."""


class PaperPrices:
    """The market of one paper Kite server, held to what another market shows."""

    def __init__(self, root: str) -> None:
        self._root = root.rstrip("/")

    def tell(self, exchange: str, symbol: str, depth: Depth) -> None:
        """Have the paper server trade at this last price and this book from now on. Raise `PricesNotTold`."""
        content = {
            "price": str(depth.quote.last_price.quantize(PAISA)),
            "buy": _levels(depth.buy),
            "sell": _levels(depth.sell),
        }
        address = f"{self._root}/paper/prices/{quote(exchange, safe='')}/{quote(symbol, safe='')}"
        try:
            with deadline(TELL_SECONDS), DeadlineSession() as session:
                answer = session.put(address, json=content, timeout=TELL_SECONDS)
                answer.raise_for_status()
        except (requests.RequestException, OSError) as trouble:
            raise PricesNotTold(f"the paper Kite did not take the price of {symbol}: {trouble}"[:300]) from trouble


def _levels(levels: tuple[Level, ...]) -> list[dict[str, object]]:
    return [
        {"price": str(each.price.quantize(PAISA)), "quantity": each.quantity, "orders": each.orders}
        for each in levels[:LEVELS_MAX]
    ]
