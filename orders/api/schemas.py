"""What the JSON API says and takes: money and prices as strings, times in ISO 8601 with their offset."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any

from django.utils import timezone
from ninja import Schema
from pydantic import ConfigDict, Field, PlainSerializer, WithJsonSchema

from orders.lifecycle import OrderStatus
from orders.models import Decision, Order, Signal
from risk.engine.control import plain
from risk.engine.facts import Side

NAME = r"^[A-Z0-9&_\-]{1,40}$"
TEXT = r"^[^\x00]*$"  # no column takes a NUL


def _plainly(amount: Decimal) -> str:
    return format(amount, "f")  # 0E-12 is no way to say nothing


def _with_offset(moment: datetime) -> str:
    return timezone.localtime(moment).isoformat()


Money = Annotated[
    Decimal,
    PlainSerializer(_plainly, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^-?\d+(\.\d+)?$", "description": "Decimal; INR if it is money."}),
]
Score = Annotated[
    Decimal,
    PlainSerializer(plain, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^-?\d+(\.\d+)?$", "description": "Decimal, −100 to 100."}),
]
Moment = Annotated[
    datetime, PlainSerializer(_with_offset, return_type=str), WithJsonSchema({"type": "string", "format": "date-time"})
]
Name = Annotated[str, Field(pattern=NAME)]
Reason = Annotated[
    str, Field(min_length=1, max_length=400, pattern=r"^[^\x00]*[^\x00\s][^\x00]*$", description="Why. It is kept.")
]


class Paging(Schema):
    """Which part of a list: newest first, from a cursor on."""

    cursor: Annotated[str, Field(pattern=r"^[0-9]{1,18}$", description="`next` of the page before.")] | None = None
    limit: int = Field(50, ge=1, le=200)


class OrderFilters(Paging):
    status: OrderStatus | None = None
    exchange: Name | None = None
    symbol: Name | None = None
    side: Side | None = None
    origin: Order.Origins | None = None
    trading_date: date | None = Field(None, description="In Mumbai.")
    signal_id: str | None = Field(None, min_length=1, max_length=100, pattern=TEXT)


class SignalFilters(Paging):
    signal_id: str | None = Field(
        None,
        min_length=1,
        max_length=100,
        pattern=TEXT,
        description="The publisher's, or the digest that stands for it.",
    )
    status: Signal.Status | None = None
    symbol: Name | None = None
    strategy: str | None = Field(None, min_length=1, max_length=60, pattern=TEXT)


class DecisionFilters(Paging):
    outcome: Annotated[str, Field(pattern=r"^[A-Z_]{1,10}$")] | None = None
    symbol: Name | None = None
    signal_id: str | None = Field(None, min_length=1, max_length=100, pattern=TEXT)


class PositionFilters(Paging):
    symbol: Name | None = None
    every: bool = Field(False, description="Also those that are flat.")


class SignalOut(Schema):
    """A signal as it was received, and what became of it."""

    signal_id: str
    status: str
    reason: str
    signal_type: str
    exchange: str
    symbol: str
    cms_score: Score | None
    signal_at: Moment | None
    price: Money | None
    quantity: int | None
    order_type: str
    strategy: str
    seq: int | None
    source: str
    sent_by: str
    received_at: Moment
    decided_at: Moment | None
    duplicates: int


class EventOut(Schema):
    at: Moment
    actor: str
    before: str
    after: str
    note: str


class FillOut(Schema):
    trade_id: str
    quantity: int
    price: Money
    filled_at: Moment
    source: str
    recorded_at: Moment
    recorded_by: str
    reason: str


class OrderOut(Schema):
    """An order, and how far it got."""

    order_id: str | None = Field(None, alias="client_order_id", description="Ours; null for one placed elsewhere.")
    broker_order_id: str
    origin: str
    signal_id: str | None = None
    created_by: str
    exchange: str
    symbol: str
    side: str
    product: str
    order_type: str
    quantity: int
    price: Money | None
    is_exit: bool
    status: str
    status_reason: str
    broker_status: str
    filled_quantity: int
    average_price: Money | None
    trading_date: date
    created_at: Moment
    submitted_at: Moment | None
    ended_at: Moment | None
    cancel_requested_at: Moment | None
    cancel_requested_by: str
    cancel_reason: str
    cancel_answer: str

    @staticmethod
    def resolve_signal_id(order: Order) -> str | None:
        return order.signal.signal_id if order.signal else None


class OrderStory(OrderOut):
    """An order with all that happened to it."""

    events: list[EventOut]
    fills: list[FillOut]

    @staticmethod
    def resolve_events(order: Order) -> list[Any]:
        return list(order.events.all())

    @staticmethod
    def resolve_fills(order: Order) -> list[Any]:
        return list(order.fills.order_by("filled_at", "id"))


class PositionOut(Schema):
    """What our own fills opened in a symbol, beside what the broker told last."""

    exchange: str
    symbol: str
    product: str
    quantity: int
    average_price: Money
    cost: Money
    realised_pnl: Money
    broker_quantity: int | None
    broker_as_of: Moment | None
    last_price: Money | None
    updated_at: Moment


class DecisionOut(Schema):
    """What the risk desk said of an order that was wished for, with the verdict of every control."""

    id: int
    at: Moment
    outcome: str
    reason: str
    exchange: str
    symbol: str
    actor: str
    signal_id: str | None = None
    order_id: str | None = None
    limited_by: list[str]
    verdicts: list[dict[str, Any]]
    limits_version: int
    control_version: int

    @staticmethod
    def resolve_signal_id(decision: Decision) -> str | None:
        return decision.signal.signal_id if decision.signal else None

    @staticmethod
    def resolve_order_id(decision: Decision) -> str | None:
        order: Order | None = getattr(decision, "order", None)  # none for a refusal
        return order.client_order_id if order else None


class Orders(Schema):
    items: list[OrderOut]
    next: str | None = Field(description="The cursor of the next page; null on the last one.")


class Signals(Schema):
    items: list[SignalOut]
    next: str | None


class Decisions(Schema):
    items: list[DecisionOut]
    next: str | None


class Positions(Schema):
    items: list[PositionOut]
    next: str | None


class LimitsOut(Schema):
    """The limits in force. Numbers that are not counted in whole are strings."""

    version: int
    limits: dict[str, str | int | bool | list[str] | None]


class ToldOut(Schema):
    what: str
    text: str
    good: bool


class Switch(Schema):
    """The switch: `version` is what a loosening has to name."""

    mode: str
    state: str
    auto_trading: bool
    version: int
    changed_by: str
    changed_at: Moment
    reason: str


class Trading(Switch):
    """The switch, and how the desk is."""

    health: list[ToldOut] = Field(description="The executor, the login, the broker's book: as known, nobody is asked.")
    orders_in_doubt: int
    unfinished_orders: int
    incidents_open: int


class Halted(Switch):
    """What a halt came to."""

    cancels: list[OrderOut] = Field(description="The orders whose cancel was asked for.")
    note: str


class Cancelled(Schema):
    order: OrderOut
    note: str


class Why(Schema):
    model_config = ConfigDict(extra="forbid")

    reason: Reason


class Loosening(Why):
    version: int = Field(ge=1, le=2**31 - 1, description="The switch's version as it was read: if it changed, no.")


class TroubleOut(Schema):
    field: str
    detail: str


class ProblemOut(Schema):
    """RFC 9457. `code` is for programs, `detail` for people."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str
    errors: list[TroubleOut] | None = None
    control: str | None = Field(None, description="What refused it, where that was a control.")
