"""Placing, changing and cancelling orders; the order book and the trades."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from aiohttp import web

from orders.paper.envelope import success, success_of_rows
from orders.paper.errors import KiteRefusal, bad_input, no_such_order, server_failed
from orders.paper.exchange import legs
from orders.paper.exchange.book import Order, Trade
from orders.paper.exchange.exchange import Exchange
from orders.paper.exchange.forms import read_change, read_ticket
from orders.paper.exchange.journal import JournalUnwritable
from orders.paper.exchange.quirks import Quirks
from orders.paper.exchange.tickets import Ticket
from orders.paper.faults.faults import Route
from orders.paper.indian_time import trading_date
from orders.paper.server.forms import read_form
from orders.paper.server.routes import RouteTable
from orders.paper.server.row_texts import RowTexts
from orders.paper.server.wire import Row, history_rows, order_row, trade_row
from orders.paper.terms import Variety

log = logging.getLogger(__name__)


class OrderRoutes:
    def __init__(self, exchange: Exchange, clock: Callable[[], datetime]) -> None:
        self.exchange = exchange
        self.clock = clock
        self._order_texts = RowTexts[Order](
            order_row,
            named=lambda order: order.order_id,
            says=lambda order: (order.ticket, order.state, order.modifications),
        )
        self._trade_texts = RowTexts[Trade](
            trade_row,
            named=lambda trade: trade.trade_id,
            says=lambda trade: (trade, trade.order.ticket),
        )

    def routes(self) -> RouteTable:
        return [
            (Route.PLACE, "POST", "/orders/{variety}", self.place),
            (Route.MODIFY, "PUT", "/orders/{variety}/{order_id}", self.modify),
            (Route.CANCEL, "DELETE", "/orders/{variety}/{order_id}", self.cancel),
            (Route.ORDERS, "GET", "/orders", self.orders),
            (Route.ORDERS, "GET", "/orders/{order_id}", self.order_history),
            (Route.TRADES, "GET", "/trades", self.trades),
            (Route.TRADES, "GET", "/orders/{order_id}/trades", self.order_trades),
        ]

    async def place(self, request: web.Request, quirks: Quirks) -> web.Response:
        form = await read_form(request)
        ticket = read_ticket(request.match_info["variety"], form, self.exchange.profile)
        if form.get("autoslice", "").lower() in ("true", "1"):
            return success(self._place_sliced(ticket, quirks))
        return success({"order_id": self.exchange.place(ticket, self.clock(), quirks)})

    async def modify(self, request: web.Request, quirks: Quirks) -> web.Response:
        form, now = await read_form(request), self.clock()
        order = self._order_of_variety(request, now)
        change = read_change(request.match_info["variety"], form, order.ticket.instrument, self.exchange.profile)
        self.exchange.modify(order.order_id, change, now, quirks)
        return success({"order_id": order.order_id})

    async def cancel(self, request: web.Request, quirks: Quirks) -> web.Response:
        now = self.clock()
        order = self._order_of_variety(request, now)
        self.exchange.cancel(order.order_id, now, quirks)
        return success({"order_id": order.order_id})

    async def orders(self, _request: web.Request, _: Quirks) -> web.Response:
        now = self.clock()
        listed = self.exchange.book.orders_of(trading_date(now))
        return success_of_rows(await self._order_texts.of(order for order in listed if order.visible(now)))

    async def order_history(self, request: web.Request, _: Quirks) -> web.Response:
        return success(history_rows(self._visible_order(request)))

    async def trades(self, _request: web.Request, _: Quirks) -> web.Response:
        now = self.clock()
        done = self.exchange.book.trades_of(trading_date(now))
        return success_of_rows(await self._trade_texts.of(trade for trade in done if trade.order.visible(now)))

    async def order_trades(self, request: web.Request, _: Quirks) -> web.Response:
        return success([trade_row(trade) for trade in self._visible_order(request).trades])

    def _place_sliced(self, ticket: Ticket, quirks: Quirks) -> Row:
        """Place an order in slices, each with an id or an error of its own; the first one's names them all."""
        now = self.clock()
        if ticket.variety is not Variety.REGULAR:
            raise bad_input("Invalid `autoslice`: only regular orders are sliced.")
        parts = legs.slices(ticket, ticket.instrument.freeze_quantity)
        parent = self.exchange.place(replace(parts[0], system_tags=("autoslice",) * (len(parts) > 1)), now, quirks)
        children: list[Row] = []
        for part in parts[1:]:
            try:
                child = replace(part, system_tags=("autoslice", f"autoslice:{parent}"))
                children.append({"order_id": self.exchange.place(child, now, quirks)})
            except KiteRefusal as refusal:
                children.append({"error": refused_slice(refusal)})
            except JournalUnwritable as failure:
                # The slices before it are accepted, and their ids must not be lost with this one.
                log.error("A slice of %s was answered 500: %s.", parent, failure)
                children.append({"error": refused_slice(server_failed(failure))})
        return {"order_id": parent, "children": children}

    def _order_of_variety(self, request: web.Request, now: datetime) -> Order:
        order = self.exchange.find(request.match_info["order_id"], now)
        variety = request.match_info["variety"]
        if variety not in list(Variety):
            raise bad_input(f"Invalid `variety`: {variety[:20]!r} is not one of {', '.join(Variety)}.")
        if variety != order.ticket.variety:
            raise bad_input(f"Invalid `variety`: the order is {order.ticket.variety}.")
        return order

    def _visible_order(self, request: web.Request) -> Order:
        now = self.clock()
        order = self.exchange.find(request.match_info["order_id"], now)
        if not order.visible(now):
            raise no_such_order()
        return order


def refused_slice(refusal: KiteRefusal) -> Row:
    return {
        "code": refusal.http_status,
        "error_type": refusal.error_type,
        "message": refusal.message,
        "data": None,
    }
