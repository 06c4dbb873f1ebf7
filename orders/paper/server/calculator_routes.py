"""What imaginary orders would block and cost: margins, baskets, the virtual contract note."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Annotated, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from orders.paper.envelope import success
from orders.paper.errors import NO_SUCH_INSTRUMENT, bad_input, first_problem
from orders.paper.exchange.exchange import Exchange
from orders.paper.exchange.quirks import Quirks
from orders.paper.faults.faults import Route
from orders.paper.market.instruments import INSTRUMENTS, Instrument
from orders.paper.money.charges import Charges, charges_of
from orders.paper.money.margins import Wanted, basket_margin, margin_of
from orders.paper.server.portfolio_wire import charges_row, order_margin_row
from orders.paper.server.routes import RouteTable
from orders.paper.server.wire import Row, number
from orders.paper.terms import OrderType, Product, Side, Variety

Shape = TypeVar("Shape")
ORDERS_MAX = 200
NOTHING = Decimal(0)
Price = Annotated[Decimal, Field(ge=0, le=10_000_000, allow_inf_nan=False)]
Shares = Annotated[int, Field(gt=0, le=999_999_999, strict=True)]


class Asked(BaseModel):
    model_config = ConfigDict(extra="ignore")  # SDKs send more than is asked for

    exchange: str
    tradingsymbol: str
    transaction_type: Side
    variety: Variety = Variety.REGULAR
    product: Product
    order_type: OrderType
    quantity: Shares

    @property
    def instrument(self) -> Instrument:
        found = INSTRUMENTS.get(f"{self.exchange}:{self.tradingsymbol}")
        if found is None or found.is_index:
            raise bad_input(NO_SUCH_INSTRUMENT)
        return found


class AskedMargin(Asked):
    price: Price = NOTHING
    trigger_price: Price = NOTHING


class AskedCharges(Asked):
    order_id: str = ""
    average_price: Price


MARGINS = TypeAdapter(Annotated[list[AskedMargin], Field(min_length=1, max_length=ORDERS_MAX)])
CHARGES = TypeAdapter(Annotated[list[AskedCharges], Field(min_length=1, max_length=ORDERS_MAX)])


class CalculatorRoutes:
    def __init__(self, exchange: Exchange, clock: Callable[[], datetime]) -> None:
        self.exchange = exchange
        self.clock = clock

    def routes(self) -> RouteTable:
        return [
            (Route.CALCULATORS, "POST", "/margins/orders", self.margins),
            (Route.CALCULATORS, "POST", "/margins/basket", self.basket),
            (Route.CALCULATORS, "POST", "/charges/orders", self.charges),
        ]

    async def margins(self, request: web.Request, _: Quirks) -> web.Response:
        """Answer each order beside the account's positions and open orders (Kite Connect v3, "Margin calculation")."""
        compact = mode(request)
        wanted = await self._wanted(request)
        return success([self._row(one, self.exchange.margin_of(one), compact) for one in wanted])

    async def basket(self, request: web.Request, _: Quirks) -> web.Response:
        """Answer the orders one after another: `initial` for each by itself, `final` after what sets off what."""
        compact = mode(request)
        with_positions = request.query.get("consider_positions", "").lower() == "true"
        wanted = await self._wanted(request)
        initial = sum((margin_of(one, 0) for one in wanted), NOTHING)
        final = basket_margin(wanted, self._position_of if with_positions else lambda _: 0)
        cost = sum((cost_of(one) for one in wanted), Charges())
        return success(
            {
                "initial": total_row(initial, compact),
                "final": total_row(final, compact),
                "orders": [self._row(one, margin_of(one, 0), compact) for one in wanted],
                "charges": charges_row(cost),
            }
        )

    async def charges(self, request: web.Request, _: Quirks) -> web.Response:
        """Answer what executed orders cost; they may be imaginary."""
        asked = await body(request, CHARGES)
        return success([note_row(one) for one in asked])

    async def _wanted(self, request: web.Request) -> list[Wanted]:
        now = self.clock()
        return [self._want(one, now) for one in await body(request, MARGINS)]

    def _want(self, asked: AskedMargin, now: datetime) -> Wanted:
        instrument = asked.instrument
        price = asked.price if asked.order_type.has_limit else NOTHING
        return Wanted(
            instrument=instrument,
            product=Product.CO if asked.variety is Variety.CO else asked.product,
            side=asked.transaction_type,
            quantity=asked.quantity,
            price=price or self.exchange.market.last_price(instrument, now),
        )

    def _position_of(self, wanted: Wanted) -> int:
        position = self.exchange.account.position(wanted.instrument, wanted.product)
        return position.quantity if position else 0

    def _row(self, wanted: Wanted, margin: Decimal, compact: bool) -> Row:
        row = order_margin_row(wanted, margin, cost_of(wanted))
        if compact:
            return {key: row[key] for key in ("type", "tradingsymbol", "exchange", "total")}
        return row


async def body(request: web.Request, shape: TypeAdapter[Shape]) -> Shape:
    """Return the request's JSON in its shape, or refuse with what is wrong with it."""
    try:
        return shape.validate_json(await request.read())
    except ValidationError as error:
        where, problem = first_problem(error)
        raise bad_input(f"Invalid `{where or 'body'}`: {problem}.") from error


def mode(request: web.Request) -> bool:
    """Tell whether the short form was asked for."""
    asked = request.query.get("mode", "")
    if asked not in ("", "compact"):
        raise bad_input("Invalid `mode`: use compact, or leave it out.")
    return asked == "compact"


def cost_of(wanted: Wanted) -> Charges:
    return charges_of(
        exchange=wanted.instrument.exchange,
        product=wanted.product,
        side=wanted.side,
        quantity=wanted.quantity,
        price=wanted.price,
    )


def total_row(total: Decimal, compact: bool) -> Row:
    """Return a basket's sum in the shape of an order's margin, which names no instrument."""
    if compact:
        return {"type": "", "tradingsymbol": "", "exchange": "", "total": number(total)}
    parts = ("span", "exposure", "option_premium", "additional", "bo", "cash", "var", "leverage")
    row: Row = {"type": "", "tradingsymbol": "", "exchange": ""} | dict.fromkeys(parts, 0)
    return row | {
        "var": number(total),
        "pnl": {"realised": 0, "unrealised": 0},
        "charges": charges_row(Charges()),
        "total": number(total),
    }


def note_row(asked: AskedCharges) -> Row:
    cost = charges_of(
        exchange=asked.instrument.exchange,
        product=Product.CO if asked.variety is Variety.CO else asked.product,
        side=asked.transaction_type,
        quantity=asked.quantity,
        price=asked.average_price,
    )
    return {
        "transaction_type": str(asked.transaction_type),
        "tradingsymbol": asked.tradingsymbol,
        "exchange": asked.exchange,
        "variety": str(asked.variety),
        "product": str(asked.product),
        "order_type": str(asked.order_type),
        "quantity": asked.quantity,
        "price": number(asked.average_price),
        "charges": charges_row(cost),
    }
