"""What the account has: positions, holdings, funds."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime

from aiohttp import web

from orders.paper.envelope import success, success_of_lists
from orders.paper.errors import bad_input
from orders.paper.exchange.account_desk import AccountDesk
from orders.paper.exchange.exchange import Exchange
from orders.paper.exchange.forms import choice, named_instrument, positive_quantity
from orders.paper.exchange.quirks import Quirks
from orders.paper.faults.faults import Route
from orders.paper.money.positions import Position
from orders.paper.server.forms import read_form
from orders.paper.server.portfolio_wire import NOTHING, holding_row, holdings_summary_row, margins_row, position_row
from orders.paper.server.routes import RouteTable
from orders.paper.server.wire import Row
from orders.paper.terms import Product, Side

SEGMENTS = ("equity", "commodity")
# A cover order's position is not converted.
CONVERTIBLE = [Product.CNC, Product.MIS, Product.NRML]


class PortfolioRoutes:
    def __init__(self, exchange: Exchange, clock: Callable[[], datetime]) -> None:
        self.exchange = exchange
        self.desk = AccountDesk(exchange)
        self.clock = clock

    def routes(self) -> RouteTable:
        return [
            (Route.POSITIONS, "GET", "/portfolio/positions", self.positions),
            (Route.POSITIONS, "PUT", "/portfolio/positions", self.convert),
            (Route.HOLDINGS, "GET", "/portfolio/holdings", self.holdings),
            (Route.HOLDINGS, "GET", "/portfolio/holdings/summary", self.holdings_summary),
            (Route.HOLDINGS, "GET", "/portfolio/holdings/compact", self.holdings_compact),
            (Route.MARGINS, "GET", "/user/margins", self.margins),
            (Route.MARGINS, "GET", "/user/margins/{segment}", self.margins),
        ]

    async def positions(self, _request: web.Request, _: Quirks) -> web.Response:
        """Answer what there is, and what of it is today's; where nothing came over the night both have one row."""
        now = self._today()
        net, day = [], []
        for position in self.exchange.account.net_positions():
            net.append(self._position_text(position, now))
            if not position.overnight_quantity:
                day.append(net[-1])
            elif (today := position.today_alone()).listed:
                day.append(self._position_text(today, now))
        return success_of_lists({"net": net, "day": day})

    async def convert(self, request: web.Request, _: Quirks) -> web.Response:
        form, now = await read_form(request), self._today()
        instrument = named_instrument(form)
        self.desk.convert(
            instrument,
            old_product=Product(choice(form, "old_product", CONVERTIBLE)),
            new_product=Product(choice(form, "new_product", CONVERTIBLE)),
            side=Side(choice(form, "transaction_type", list(Side))),
            quantity=positive_quantity(form, instrument),
            overnight=position_type(form.get("position_type", "")) == "overnight",
            now=now,
        )
        return success(True)

    async def holdings(self, _request: web.Request, _: Quirks) -> web.Response:
        return success(self._holding_rows())

    async def holdings_compact(self, _request: web.Request, _: Quirks) -> web.Response:
        """Answer the few keys of each holding that Zerodha's Go client reads."""
        keys = ("exchange", "tradingsymbol", "instrument_token", "t1_quantity", "quantity")
        return success([{key: row[key] for key in keys} for row in self._holding_rows()])

    async def holdings_summary(self, _request: web.Request, _: Quirks) -> web.Response:
        """Answer what all holdings together cost, are worth and have gained."""
        now, market = self._today(), self.exchange.market
        holdings = self.exchange.account.holdings()
        value = sum((market.last_price(one.instrument, now) * one.opening_quantity for one in holdings), NOTHING)
        before = sum((market.previous_close(one.instrument, now) * one.opening_quantity for one in holdings), NOTHING)
        cost = sum((one.average_price * one.opening_quantity for one in holdings), NOTHING)
        return success(holdings_summary_row(cost=cost, value=value, before=before))

    def _holding_rows(self) -> list[Row]:
        now, market = self._today(), self.exchange.market
        return [
            holding_row(one, market.last_price(one.instrument, now), market.previous_close(one.instrument, now), now)
            for one in self.exchange.account.holdings()
        ]

    async def margins(self, request: web.Request, _: Quirks) -> web.Response:
        segment = request.match_info.get("segment")
        if segment not in (None, *SEGMENTS):
            raise bad_input(f"Invalid `segment`: use {' or '.join(SEGMENTS)}.")
        now = self._today()
        funds = self.exchange.account.funds(
            lambda instrument: self.exchange.market.last_price(instrument, now), self.exchange.ledger.blocked
        )
        rows = margins_row(funds)
        return success(rows[segment] if segment else rows)

    def _today(self) -> datetime:
        now = self.clock()
        self.exchange.ledger.roll_to(now)
        return now

    def _position_text(self, one: Position, now: datetime) -> str:
        market = self.exchange.market
        last_price, close = market.last_price(one.instrument, now), market.previous_close(one.instrument, now)
        return json.dumps(position_row(one, last_price, close))


def position_type(text: str) -> str:
    if text not in ("day", "overnight"):
        raise bad_input("Invalid `position_type`: use day or overnight.")
    return text
