from orders.models.adjustment import Adjustment
from orders.models.broker import BrokerSession, ExecutorHeartbeat, Instrument
from orders.models.decision import Decision
from orders.models.fill import Fill
from orders.models.order import Order, OrderEvent
from orders.models.position import Position
from orders.models.signal import Signal

__all__ = [
    "Adjustment",
    "BrokerSession",
    "Decision",
    "ExecutorHeartbeat",
    "Fill",
    "Instrument",
    "Order",
    "OrderEvent",
    "Position",
    "Signal",
]
