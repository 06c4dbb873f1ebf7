from orders.models.adjustment import Adjustment
from orders.models.alert import Alert, AlertDelivery, AlertMessage, AlertSender
from orders.models.api_token import ApiToken, RefusedAddress
from orders.models.broker import BrokerSession, ExecutorHeartbeat, Instrument, LoginAttempt
from orders.models.broker_message import BrokerMessage
from orders.models.day_point import DayPoint
from orders.models.decision import Decision
from orders.models.end_of_day import EndOfDay
from orders.models.fill import Fill
from orders.models.flatten import Flatten, FlattenedPosition
from orders.models.going_live import GoingLiveStep, LineProof, LineProofStage
from orders.models.holding import Holding
from orders.models.missed_exit import MissedExit
from orders.models.modification import OrderModification
from orders.models.order import Order, OrderEvent
from orders.models.position import Position
from orders.models.position_day import PositionDay
from orders.models.shadow_quote import ShadowQuote
from orders.models.signal import Signal

__all__ = [
    "Adjustment",
    "Alert",
    "AlertDelivery",
    "AlertMessage",
    "AlertSender",
    "ApiToken",
    "BrokerMessage",
    "BrokerSession",
    "DayPoint",
    "Decision",
    "EndOfDay",
    "ExecutorHeartbeat",
    "Fill",
    "Flatten",
    "FlattenedPosition",
    "GoingLiveStep",
    "Holding",
    "Instrument",
    "LineProof",
    "LineProofStage",
    "LoginAttempt",
    "MissedExit",
    "Order",
    "OrderEvent",
    "OrderModification",
    "Position",
    "PositionDay",
    "RefusedAddress",
    "ShadowQuote",
    "Signal",
]
