"""The ledger told of executions as the reading of a book would tell it, at whatever time."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from orders.desk import trading_date
from orders.ledger import Line, recompute_position, settle, steps_of
from orders.models import Adjustment, Fill, Order

MONDAY = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)  # 9:30 in Mumbai
MIDNIGHT = datetime(2026, 11, 23, 18, 30, tzinfo=UTC)  # when Tuesday begins there
LINES = [("NSE", "CNC"), ("NSE", "MIS")]
A_DAY = 24 * 3600


class Book:
    """The ledger told of executions as the reading of a book would, at whatever time."""

    def __init__(self, now: datetime = MONDAY) -> None:
        self.now = now
        self.serial = 0

    def order(self, side="BUY", line=0, **more) -> Order:
        self.serial += 1
        exchange, product = LINES[line]
        usual = {
            "mode": "PAPER",
            "client_order_id": f"ours{self.serial}",
            "broker_order_id": f"SIM{self.serial}",
            "origin": "MANUAL",
            "exchange": exchange,
            "symbol": "RELIANCE",
            "product": product,
            "side": side,
            "order_type": "LIMIT",
            "quantity": 100_000,
            "price": Decimal(1),
            "status": "OPEN",
            "trading_date": trading_date(self.now),
            "created_at": self.now,
            "submitted_at": self.now,
        }
        return Order.objects.create(**{**usual, **more})

    def stranger(self, order) -> Order:
        """The row of an order whose tag the broker's book did not show at first."""
        more = {"client_order_id": None, "origin": "EXTERNAL"}
        return self.order(order.side, LINES.index((order.exchange, order.product)), **more)

    def write(self, order, shares, price, *, at=None, name=None, source="BROKER") -> None:
        """Write an execution down without settling it."""
        self.serial += 1
        at = self.now if at is None else at
        Fill.objects.create(
            order=order, mode="PAPER", exchange=order.exchange, broker_order_id=order.broker_order_id,
            trade_id=f"{name or 'T'}{self.serial}", trading_date=trading_date(at), quantity=shares,
            price=Decimal(price), filled_at=at, source=source, recorded_at=self.now,
        )  # fmt: skip

    def fill(self, order, shares=1, price="100", **more) -> None:
        self.write(order, shares, price, **more)
        self.settle(order)

    def settle(self, order) -> None:
        order.refresh_from_db()
        settle(order, now=self.now, actor="broker")

    def adjust(self, line=0, **numbers) -> None:
        """As `adjust` does: after all that there is, and reckoned from the beginning."""
        exchange, product = LINES[line]
        of_it = Line(mode="PAPER", exchange=exchange, symbol="RELIANCE", product=product)
        self.serial += 1
        Adjustment.objects.create(
            mode="PAPER", exchange=exchange, symbol="RELIANCE", product=product, quantity_before=0, quantity_after=0,
            at=max([self.now, *(step.at for step in steps_of(of_it))]), token=f"a{self.serial}", made_by="tara",
            reason="told", **numbers,
        )  # fmt: skip
        recompute_position(of_it, now=self.now)
