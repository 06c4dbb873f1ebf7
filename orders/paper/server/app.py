"""Kite's routes: check who asks, suffer a waiting fault, answer in Kite's envelope whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from urllib.parse import parse_qsl

from aiohttp import web

from orders.paper.errors import BAD_TOKEN, KiteRefusal, bad_input, no_such_order
from orders.paper.exchange.book import Order
from orders.paper.exchange.exchange import NO_QUIRKS, Exchange, Quirks
from orders.paper.exchange.journal import JournalUnwritable
from orders.paper.exchange.tickets import Form, read_change, read_ticket, required
from orders.paper.faults.faults import FaultQueue, Route
from orders.paper.faults.misbehaviour import suffer
from orders.paper.indian_time import trading_date
from orders.paper.market.instruments import BY_TOKEN, EXCHANGES, INSTRUMENTS, Instrument, instrument_dump
from orders.paper.money.positions import Position, net_positions
from orders.paper.server import account, quotes
from orders.paper.server.control import add_control_routes
from orders.paper.server.wire import history_rows, order_row, position_row, refusal, success, trade_row

BODY_BYTES_MAX = 64 * 1024
FORM_FIELDS_MAX = 100
PUBLIC = "/session/token"  # a login has no token yet, and a logout names it in the query

Clock = Callable[[], datetime]
Handler = Callable[[web.Request, Quirks], Awaitable[web.Response]]


def build_app(exchange: Exchange, faults: FaultQueue, clock: Clock) -> web.Application:
    """Return the whole application: Kite's routes, and under /paper/ the ones that steer it."""
    app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[in_envelope])
    kite = Kite(exchange, faults, clock)
    for route, method, path, handler in kite.routes():
        app.router.add_route(method, path, partial(kite.respond, route, handler))
    add_control_routes(app, exchange, faults, kite.late, clock)
    app.on_cleanup.append(kite.forget_late)
    return app


@web.middleware
async def in_envelope(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Put every refusal into Kite's envelope, aiohttp's own among them."""
    try:
        return await handler(request)
    except KiteRefusal as reason:
        return refusal(reason)
    except JournalUnwritable as failure:
        return refusal(KiteRefusal(500, "GeneralException", f"The paper server failed: {failure}."))
    except web.HTTPRequestEntityTooLarge:
        return refusal(bad_input(f"The request is larger than {BODY_BYTES_MAX} bytes."))
    except web.RequestPayloadError:
        return refusal(bad_input("The request's body cannot be decoded."))
    except ConnectionResetError:
        # The client hung up in the middle of its request: nobody is left to read this.
        return web.Response(status=400)
    except web.HTTPException as error:
        message = "Route not found" if error.status == 404 else error.reason
        return refusal(KiteRefusal(error.status, "GeneralException", message))


class Kite:
    """The routes of api.kite.trade over one exchange."""

    def __init__(self, exchange: Exchange, faults: FaultQueue, clock: Clock) -> None:
        self.exchange = exchange
        self.faults = faults
        self.clock = clock
        self.late: set[asyncio.Task[None]] = set()

    def routes(self) -> list[tuple[Route, str, str, Handler]]:
        return [
            (Route.PLACE, "POST", "/orders/{variety}", self.place),
            (Route.MODIFY, "PUT", "/orders/{variety}/{order_id}", self.modify),
            (Route.CANCEL, "DELETE", "/orders/{variety}/{order_id}", self.cancel),
            (Route.ORDERS, "GET", "/orders", self.orders),
            (Route.ORDERS, "GET", "/orders/{order_id}", self.order_history),
            (Route.TRADES, "GET", "/trades", self.trades),
            (Route.TRADES, "GET", "/orders/{order_id}/trades", self.order_trades),
            (Route.POSITIONS, "GET", "/portfolio/positions", self.positions),
            (Route.ANY, "GET", "/portfolio/holdings", self.holdings),
            (Route.QUOTE, "GET", "/quote", self.quote),
            (Route.QUOTE, "GET", "/quote/ohlc", self.quote),
            (Route.QUOTE, "GET", "/quote/ltp", self.quote),
            (Route.ANY, "GET", "/instruments", self.instruments),
            (Route.ANY, "GET", "/instruments/{exchange}", self.instruments),
            (Route.ANY, "GET", "/user/profile", self.profile),
            (Route.ANY, "GET", "/user/margins", self.margins),
            (Route.ANY, "GET", "/user/margins/{segment}", self.margins),
            (Route.ANY, "POST", PUBLIC, self.log_in),
            (Route.ANY, "DELETE", PUBLIC, self.log_out),
        ]

    async def respond(self, route: Route, handler: Handler, request: web.Request) -> web.StreamResponse:
        """Answer one request, as the next waiting fault has it."""
        if request.path != PUBLIC:
            check_token(request)
        fault = self.faults.take(route)
        if fault is None:
            return await handler(request, NO_QUIRKS)
        return await suffer(fault, request, partial(settled, handler, request, fault.quirks), self.late)

    async def forget_late(self, _app: web.Application) -> None:
        for task in self.late:
            task.cancel()

    async def place(self, request: web.Request, quirks: Quirks) -> web.Response:
        ticket = read_ticket(request.match_info["variety"], await read_form(request))
        return success({"order_id": self.exchange.place(ticket, self.clock(), quirks)})

    async def modify(self, request: web.Request, _: Quirks) -> web.Response:
        form, now = await read_form(request), self.clock()
        order = self.exchange.find(request.match_info["order_id"], now)
        change = read_change(request.match_info["variety"], form, order.ticket.instrument)
        self.exchange.modify(order.order_id, change, now)
        return success({"order_id": order.order_id})

    async def cancel(self, request: web.Request, _: Quirks) -> web.Response:
        order_id = request.match_info["order_id"]
        self.exchange.cancel(order_id, self.clock())
        return success({"order_id": order_id})

    async def orders(self, _request: web.Request, _: Quirks) -> web.Response:
        now = self.clock()
        rows = [order_row(order) for order in self.exchange.book.orders_of_day(now) if order.visible(now)]
        return success(rows)

    async def order_history(self, request: web.Request, _: Quirks) -> web.Response:
        return success(history_rows(self.visible_order(request)))

    async def trades(self, _request: web.Request, _: Quirks) -> web.Response:
        now = self.clock()
        return success(
            [
                trade_row(trade)
                for trade in self.exchange.book.trades
                if trading_date(trade.at) == trading_date(now) and trade.order.visible(now)
            ]
        )

    async def order_trades(self, request: web.Request, _: Quirks) -> web.Response:
        order = self.visible_order(request)
        return success([trade_row(trade) for trade in self.exchange.book.trades if trade.order is order])

    async def positions(self, _request: web.Request, _: Quirks) -> web.Response:
        now = self.clock()
        net = net_positions(self.exchange.book.trades, trading_date(now))
        day = [today for position in net if (today := position.today_alone()).listed]
        return success({"net": self.position_rows(net, now), "day": self.position_rows(day, now)})

    async def holdings(self, _request: web.Request, _: Quirks) -> web.Response:
        # Nothing settles on paper: what was bought stays a position.
        return success([])

    async def quote(self, request: web.Request, _: Quirks) -> web.Response:
        shape, keys_max = quotes.QUOTE_SHAPES[request.path]
        keys = request.query.getall("i", [])
        if not keys:
            raise bad_input("Missing or empty field `i`")
        if len(keys) > keys_max:
            raise bad_input(f"At most {keys_max} instruments can be asked for at once.")
        now = self.clock()
        found = {key: instrument for key in keys if (instrument := known_instrument(key))}
        return success({key: shape(self.exchange.market, one, now) for key, one in found.items()})

    async def instruments(self, request: web.Request, _: Quirks) -> web.Response:
        exchange = request.match_info.get("exchange")
        if exchange not in (None, *EXCHANGES):
            raise bad_input("Invalid `exchange`.")
        listed = [one for one in INSTRUMENTS.values() if exchange in (None, one.exchange)]
        return web.Response(text=instrument_dump(listed), content_type="text/csv")

    async def profile(self, _request: web.Request, _: Quirks) -> web.Response:
        return success(account.profile())

    async def margins(self, request: web.Request, _: Quirks) -> web.Response:
        margins = account.margins()
        segment = request.match_info.get("segment")
        if segment not in (None, *margins):
            raise bad_input("Invalid `segment`: use equity or commodity.")
        return success(margins[segment] if segment else margins)

    async def log_in(self, request: web.Request, _: Quirks) -> web.Response:
        form = await read_form(request)
        for field in ("request_token", "checksum"):
            required(form, field)
        return success(account.new_session(required(form, "api_key"), self.clock()))

    async def log_out(self, _request: web.Request, _: Quirks) -> web.Response:
        return success(True)

    def visible_order(self, request: web.Request) -> Order:
        now = self.clock()
        order = self.exchange.find(request.match_info["order_id"], now)
        if not order.visible(now):
            raise no_such_order()
        return order

    def position_rows(self, positions: list[Position], now: datetime) -> list[dict[str, object]]:
        market = self.exchange.market
        return [
            position_row(one, market.last_price(one.instrument, now), market.previous_close(one.instrument, now))
            for one in positions
        ]


async def settled(handler: Handler, request: web.Request, quirks: Quirks) -> web.Response:
    """Carry the request out; a refusal is an answer too, and faults apply to it alike."""
    try:
        return await handler(request, quirks)
    except KiteRefusal as reason:
        return refusal(reason)


async def read_form(request: web.Request) -> Form:
    """Return the form's fields, the last of each name; undecodable bytes become replacement characters."""
    body = (await request.read()).decode("utf-8", errors="replace")
    try:
        return dict(parse_qsl(body, keep_blank_values=True, max_num_fields=FORM_FIELDS_MAX))
    except ValueError as error:
        raise bad_input("The request's body is not a form.") from error


def check_token(request: web.Request) -> None:
    """Refuse a request without `Authorization: token api_key:access_token`; on paper any pair will do."""
    scheme, _, pair = request.headers.get("Authorization", "").partition(" ")
    api_key, _, access_token = pair.partition(":")
    if scheme != "token" or not api_key or not access_token:
        raise KiteRefusal(403, "TokenException", BAD_TOKEN)


def known_instrument(key: str) -> Instrument | None:
    """Return the instrument that a quote was asked for, by NSE:SYMBOL or by its token."""
    return INSTRUMENTS.get(key) or BY_TOKEN.get(key)
