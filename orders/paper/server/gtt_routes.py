"""GTT (good till triggered): its routes, its form fields, which are JSON texts, and its rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from orders.paper.envelope import success
from orders.paper.errors import NO_SUCH_INSTRUMENT, KiteRefusal, bad_input, first_problem
from orders.paper.exchange.events import GttTriggered
from orders.paper.exchange.exchange import Exchange
from orders.paper.exchange.forms import Form, choice, required
from orders.paper.exchange.gtt import Gtt
from orders.paper.exchange.gtt_desk import NO_SUCH_TRIGGER, GttDesk
from orders.paper.exchange.gtt_terms import GttOrder, GttTerms, GttType
from orders.paper.exchange.quirks import Quirks
from orders.paper.faults.faults import Route
from orders.paper.indian_time import timestamp
from orders.paper.market.instruments import INSTRUMENTS, Instrument
from orders.paper.server.forms import read_form
from orders.paper.server.routes import RouteTable
from orders.paper.server.wire import PLACED_BY, Row, number
from orders.paper.terms import OrderType, Product, Side

TRIGGERS = {GttType.SINGLE: 1, GttType.TWO_LEG: 2}

Price = Annotated[Decimal, Field(gt=0, le=10_000_000, allow_inf_nan=False)]


class Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore")  # SDKs send more than is asked for


class Condition(Lenient):
    exchange: str
    tradingsymbol: str
    trigger_values: list[Price] = Field(min_length=1, max_length=2)
    last_price: Price


class LegOrder(Lenient):
    exchange: str
    tradingsymbol: str
    transaction_type: Side
    quantity: int = Field(gt=0, le=999_999_999)
    order_type: OrderType
    product: Product
    price: Price


LEGS = TypeAdapter(Annotated[list[LegOrder], Field(min_length=1, max_length=2)])


class GttRoutes:
    def __init__(self, exchange: Exchange, desk: GttDesk, clock: Callable[[], datetime]) -> None:
        self.exchange = exchange
        self.desk = desk
        self.clock = clock

    def routes(self) -> RouteTable:
        return [
            (Route.GTT, "GET", "/gtt/triggers", self.all),
            (Route.GTT, "POST", "/gtt/triggers", self.place),
            (Route.GTT, "GET", "/gtt/triggers/{gtt_id}", self.one),
            (Route.GTT, "PUT", "/gtt/triggers/{gtt_id}", self.modify),
            (Route.GTT, "DELETE", "/gtt/triggers/{gtt_id}", self.delete),
        ]

    async def all(self, _request: web.Request, _: Quirks) -> web.Response:
        return success([gtt_row(gtt) for gtt in self.exchange.ledger.gtts.all.values() if gtt.listed])

    async def one(self, request: web.Request, _: Quirks) -> web.Response:
        return success(gtt_row(self.desk.find(gtt_id(request))))

    async def place(self, request: web.Request, _: Quirks) -> web.Response:
        terms, now = read_terms(await read_form(request)), self.clock()
        self._check_distance(terms, now)
        return success({"trigger_id": self.desk.place(terms, now)})

    async def modify(self, request: web.Request, _: Quirks) -> web.Response:
        wanted, now = gtt_id(request), self.clock()
        terms = read_terms(await read_form(request))
        self._check_distance(terms, now)
        self.desk.modify(wanted, terms, now)
        return success({"trigger_id": wanted})

    async def delete(self, request: web.Request, _: Quirks) -> web.Response:
        wanted = gtt_id(request)
        self.desk.delete(wanted, self.clock())
        return success({"trigger_id": wanted})

    def _check_distance(self, terms: GttTerms, now: datetime) -> None:
        """Refuse a trigger that the price has reached already, whatever last price the client names."""
        last = self.exchange.market.last_price(INSTRUMENTS[terms.instrument_key], now)
        if last in terms.trigger_values:
            raise bad_input("Trigger price cannot be the last price.")
        if terms.type is GttType.TWO_LEG and not terms.trigger_values[0] < last < terms.trigger_values[1]:
            raise bad_input("Trigger prices of a two-leg GTT should be below and above the last price.")


def gtt_id(request: web.Request) -> int:
    text = request.match_info["gtt_id"]
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise KiteRefusal(404, "GeneralException", NO_SUCH_TRIGGER)
    return int(text)


def read_terms(form: Form) -> GttTerms:
    """Return what the form asks for, or raise an `InputException` that names what is wrong with it."""
    kind = GttType(choice(form, "type", list(GttType)))
    try:
        condition = Condition.model_validate_json(required(form, "condition"))
        orders = LEGS.validate_json(required(form, "orders"))
    except ValidationError as error:
        where, problem = first_problem(error)
        raise bad_input(f"Invalid GTT: `{where or 'JSON'}`: {problem}.") from error
    if not len(condition.trigger_values) == len(orders) == TRIGGERS[kind]:
        raise bad_input(f"Invalid GTT: a {kind} one has {TRIGGERS[kind]} trigger value(s) and as many orders.")
    watched = known(condition.exchange, condition.tradingsymbol)
    legs = tuple(read_leg(order, watched) for order in orders)
    if kind is GttType.TWO_LEG and condition.trigger_values[0] >= condition.trigger_values[1]:
        raise bad_input("Invalid GTT: the lower trigger value comes first.")
    return GttTerms(
        type=kind,
        exchange=watched.exchange,
        tradingsymbol=watched.tradingsymbol,
        trigger_values=tuple(condition.trigger_values),
        last_price=condition.last_price,
        orders=legs,
    )


def read_leg(order: LegOrder, watched: Instrument) -> GttOrder:
    if known(order.exchange, order.tradingsymbol) != watched:
        raise bad_input("Invalid GTT: its orders are for the instrument that is watched.")
    if order.order_type not in (OrderType.LIMIT, OrderType.MARKET):
        raise bad_input("Invalid GTT: its orders are LIMIT orders.")
    if order.product is Product.CO:
        raise bad_input("Invalid GTT: `product` should be CNC, MIS or NRML.")
    if order.price % watched.tick_size:
        raise bad_input(f"Tick size for this script is {watched.tick_size}.")
    return GttOrder(
        exchange=watched.exchange,
        tradingsymbol=watched.tradingsymbol,
        side=order.transaction_type,
        quantity=order.quantity,
        order_type=order.order_type,
        product=order.product,
        price=order.price,
    )


def known(exchange: str, tradingsymbol: str) -> Instrument:
    instrument = INSTRUMENTS.get(f"{exchange}:{tradingsymbol}")
    if instrument is None or instrument.is_index:
        raise bad_input(NO_SUCH_INSTRUMENT)
    return instrument


def gtt_row(gtt: Gtt) -> Row:
    terms = gtt.terms
    return {
        "id": gtt.gtt_id,
        "user_id": PLACED_BY,
        "parent_trigger": None,
        "type": str(terms.type),
        "created_at": timestamp(gtt.created_at),
        "updated_at": timestamp(gtt.updated_at),
        "expires_at": timestamp(gtt.expires_at),
        "status": gtt.status,
        "condition": {
            "exchange": terms.exchange,
            "tradingsymbol": terms.tradingsymbol,
            "instrument_token": INSTRUMENTS[terms.instrument_key].instrument_token,
            "last_price": number(terms.last_price),
            "trigger_values": [number(value) for value in terms.trigger_values],
        },
        "orders": [
            leg_row(order) | {"result": result_row(order, gtt.results.get(leg))}
            for leg, order in enumerate(terms.orders)
        ],
        "meta": {},
    }


def leg_row(order: GttOrder) -> Row:
    return {
        "exchange": order.exchange,
        "tradingsymbol": order.tradingsymbol,
        "product": str(order.product),
        "order_type": str(order.order_type),
        "transaction_type": str(order.side),
        "quantity": order.quantity,
        "price": number(order.price),
    }


def result_row(order: GttOrder, result: GttTriggered | None) -> Row | None:
    """Return what became of a leg's order; a trigger that fired does not mean that it was filled."""
    if result is None:
        return None
    return leg_row(order) | {
        "account_id": PLACED_BY,
        "validity": "DAY",
        "meta": {},
        "timestamp": timestamp(result.at),
        "triggered_at": number(result.trigger_price),
        "order_result": {
            "status": "success" if result.order_id else "failed",
            "order_id": result.order_id or "",
            "rejection_reason": result.reason or "",
        },
    }
