"""
How the rest of the system speaks to a broker: in values, and with three outcomes for an order.

Placing an order ends in a broker's id, in `OrderRefused` (surely not placed) or in `OutcomeUnknown` (everything that
is not surely one of the two). The third is never retried: only the broker's own book explains it. Modifying one ends in
the same three, and even the first only says that the broker took the request.

    GatewayError
    ├── OrderRefused        surely not placed, or not changed
    │   ├── SessionRefused  … because the login is not valid
    │   └── TooManyRequests … because others came before it in its second, minute or day
    ├── NotSent             surely not sent: it never left this process
    ├── OutcomeUnknown      placed or not: nobody knows yet
    └── BrokerUnreachable   a read failed; what we know only grows older
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Protocol


class GatewayError(Exception):
    """Anything a broker, or the way to it, answered that is not what was asked for."""


class OrderRefused(GatewayError):
    """The broker surely did not take it."""


class SessionRefused(OrderRefused):
    """The broker does not accept our login."""


class TooManyRequests(OrderRefused):
    """The broker does not take more requests now."""


class NotSent(GatewayError):
    """Nothing was sent: it surely never left this process, for the moment to leave had passed or could not come."""


class OutcomeUnknown(GatewayError):
    """The order may or may not be at the broker. Never send it again; read the book."""


class BrokerUnreachable(GatewayError):
    """A read failed."""


@dataclass(frozen=True, kw_only=True)
class OrderRequest:
    """What we ask the broker for. Prices in INR, quantity in shares; `tag` is our own order id."""

    tag: str
    exchange: str
    symbol: str
    side: str
    product: str
    order_type: str
    quantity: int
    price: Decimal | None


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a LIMIT order is to have: shares in all, filled ones included, and its price in INR."""

    quantity: int
    price: Decimal


@dataclass(frozen=True, kw_only=True)
class OrderReport:
    """An order as the broker's book shows it. `status` is the broker's own word."""

    broker_order_id: str
    tag: str
    status: str
    status_message: str
    exchange: str
    symbol: str
    side: str
    product: str
    order_type: str
    quantity: int
    filled_quantity: int
    price: Decimal | None
    placed_at: datetime
    raw: str = field(default="", compare=False)  # the broker's own row, for a person to read; up to a bound


@dataclass(frozen=True, kw_only=True)
class TradeReport:
    """One execution as the broker's book shows it. The price is in INR."""

    trade_id: str
    broker_order_id: str
    exchange: str
    symbol: str
    side: str
    product: str
    quantity: int
    price: Decimal
    filled_at: datetime


@dataclass(frozen=True, kw_only=True)
class InstrumentReport:
    """One line of the broker's instruments dump."""

    exchange: str
    symbol: str
    name: str
    token: int
    lot_size: int
    tick_size: Decimal
    instrument_type: str
    segment: str


@dataclass(frozen=True, kw_only=True)
class HoldingReport:
    """
    Shares of one symbol that were carried over night, as the broker's book shows them; prices in INR.

    Of `quantity`, `t1_quantity` is not in demat yet, and `sold_today` was sold since: that is among the positions.
    """

    exchange: str
    symbol: str
    isin: str
    quantity: int
    t1_quantity: int
    sold_today: int
    authorised_quantity: int
    collateral_quantity: int
    average_price: Decimal | None
    last_price: Decimal | None
    close_price: Decimal | None
    discrepancy: bool


@dataclass(frozen=True, kw_only=True)
class BrokerBook:
    """
    The broker's day: its orders, trades and net shares by (exchange, symbol), holdings included.

    `as_of` is when the reading began: what happened later may be missing from it.
    """

    as_of: datetime
    orders: tuple[OrderReport, ...]
    trades: tuple[TradeReport, ...]
    positions: dict[tuple[str, str], int] = field(default_factory=dict)
    last_prices: dict[tuple[str, str], Decimal] = field(default_factory=dict)  # INR, of what is in `positions`
    close_prices: dict[tuple[str, str], Decimal] = field(default_factory=dict)  # likewise, of the trading day before
    holdings: tuple[HoldingReport, ...] = ()
    unreadable: tuple[str, ...] = ()  # rows that made no sense, in words; with any of them absence proves nothing


@dataclass(frozen=True, kw_only=True)
class MarketQuote:
    """The last traded price and the day's circuit limits in INR; without limits where the broker names none."""

    last_price: Decimal
    lower_circuit: Decimal | None = None
    upper_circuit: Decimal | None = None


@dataclass(frozen=True, kw_only=True)
class Level:
    """What others offer at one price: INR, shares, and of how many orders."""

    price: Decimal
    quantity: int
    orders: int = 1


@dataclass(frozen=True, kw_only=True)
class Depth:
    """A quote with what can be bought and sold now, the best price first on each side."""

    quote: MarketQuote
    buy: tuple[Level, ...] = ()
    sell: tuple[Level, ...] = ()

    @property
    def bid(self) -> Decimal | None:
        return self.buy[0].price if self.buy else None

    @property
    def ask(self) -> Decimal | None:
        return self.sell[0].price if self.sell else None


class Gateway(Protocol):
    """One account at one broker."""

    def place(self, request: OrderRequest, *, send_by: float) -> str:
        """
        Place the order and return the broker's id for it. Not idempotent: calling twice places two orders.

        `send_by` is a reading of `time.clock_gettime(CLOCK_BOOTTIME)`, which goes on while the machine sleeps.
        Raise `NotSent`, `OrderRefused` or `OutcomeUnknown`.
        """

    def modify(self, broker_order_id: str, terms: Terms, *, send_by: float) -> None:
        """
        Ask for other terms of a LIMIT order. Only the book says whether they came about; the old ones may hold still.

        `send_by` as for `place`. Raise `NotSent`, `OrderRefused` (surely unchanged by this) or `OutcomeUnknown`.
        """

    def cancel(self, broker_order_id: str) -> None:
        """Ask for a cancel. Only the book says whether it came about. Raise `OrderRefused`, `OutcomeUnknown`."""

    def book(self, as_of: datetime) -> BrokerBook:
        """Read orders, trades and positions. Raise `BrokerUnreachable`, `SessionRefused`."""

    def positions(self) -> dict[tuple[str, str], int]:
        """Read net shares by (exchange, symbol), holdings included. Raise `BrokerUnreachable`, `SessionRefused`."""

    def quotes(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], MarketQuote]:
        """Read prices and circuit limits by (exchange, symbol); an unknown one is left out. Raise as `positions`."""

    def available_funds(self) -> Decimal:
        """Read what may be spent on shares now, in INR, below zero for a debt. Raise as `positions`."""

    def instruments(self, exchange: str) -> list[InstrumentReport]:
        """Read the day's instruments dump. Raise as `positions`."""

    def user_id(self) -> str:
        """Return the account's user id at the broker. Raise as `positions`."""
