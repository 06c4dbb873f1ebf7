"""A broker made of values, for the books that no server can be brought to show."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from orders.broker.gateway import BrokerBook, HoldingReport, OrderReport, TradeReport
from orders.models import Order


@dataclass
class BookGateway:
    """
    Shows the book it was given last, each share at 1,400.00 INR, and remembers which cancels it was asked for.

    There are 50,000 INR to spend.
    """

    orders: list[OrderReport] = field(default_factory=list)
    trades: list[TradeReport] = field(default_factory=list)
    holds: dict[tuple[str, str], int] = field(default_factory=dict)
    holdings: tuple[HoldingReport, ...] = ()
    cancelled: list[str] = field(default_factory=list)

    def book(self, as_of: datetime) -> BrokerBook:
        return BrokerBook(
            as_of=as_of,
            orders=tuple(self.orders),
            trades=tuple(self.trades),
            positions=self.holds,
            last_prices=dict.fromkeys(self.holds, Decimal(1400)),
            holdings=self.holdings,
        )

    def available_funds(self) -> Decimal:
        return Decimal(50_000)

    def cancel(self, broker_order_id: str) -> None:
        self.cancelled.append(broker_order_id)


def report_of(order: Order, status: str, **changes: Any) -> OrderReport:
    """Return what a broker would report of the order."""
    return OrderReport(
        **{
            "broker_order_id": order.broker_order_id or "SIM1",
            "tag": order.client_order_id or "",
            "status": status,
            "status_message": "",
            "exchange": order.exchange,
            "symbol": order.symbol,
            "side": order.side,
            "product": order.product,
            "order_type": order.order_type,
            "quantity": order.quantity,
            "filled_quantity": 0,
            "price": order.price,
            "placed_at": order.created_at,
            **changes,
        }
    )


def trade_of(order: Order, trade_id: str, quantity: int, price: str = "1400.00", **changes: Any) -> TradeReport:
    """Return what a broker would report of an execution of the order."""
    return TradeReport(
        **{
            "trade_id": trade_id,
            "broker_order_id": order.broker_order_id or "SIM1",
            "exchange": order.exchange,
            "symbol": order.symbol,
            "side": order.side,
            "product": order.product,
            "quantity": quantity,
            "price": Decimal(price),
            "filled_at": order.created_at,
            **changes,
        }
    )
