"""What the market says: quotes, instruments, candles."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from aiohttp import web

from orders.paper.clock import EARLIEST, LATEST
from orders.paper.envelope import success
from orders.paper.errors import bad_input
from orders.paper.exchange.quirks import Quirks
from orders.paper.faults.faults import Route
from orders.paper.indian_time import IST
from orders.paper.market.instruments import BY_TOKEN, EXCHANGES, INSTRUMENTS, Instrument, instrument_dump
from orders.paper.market.market import Candle, Market
from orders.paper.profile import Profile
from orders.paper.server.quotes import QUOTE_SHAPES
from orders.paper.server.routes import RouteTable
from orders.paper.server.wire import Row, number

MOMENT_FORMATS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d")


class MarketRoutes:
    def __init__(self, market: Market, clock: Callable[[], datetime], profile: Profile) -> None:
        self.market = market
        self.clock = clock
        self.profile = profile

    def routes(self) -> RouteTable:
        return [
            (Route.QUOTE, "GET", "/quote", self.quote),
            (Route.QUOTE, "GET", "/quote/ohlc", self.quote),
            (Route.QUOTE, "GET", "/quote/ltp", self.quote),
            (Route.INSTRUMENTS, "GET", "/instruments", self.instruments),
            (Route.INSTRUMENTS, "GET", "/instruments/{exchange}", self.instruments),
            (Route.HISTORICAL, "GET", "/instruments/historical/{token}/{interval}", self.candles),
            (Route.QUOTE, "GET", "/instruments/trigger_range/{side}", self.trigger_range),
        ]

    async def quote(self, request: web.Request, _: Quirks) -> web.Response:
        shape, keys_max = QUOTE_SHAPES[request.path]
        found, now = wanted_instruments(request, keys_max), self.clock()
        return success({key: shape(self.market, one, now) for key, one in found.items()})

    async def instruments(self, request: web.Request, _: Quirks) -> web.Response:
        exchange = request.match_info.get("exchange")
        if exchange not in (None, *EXCHANGES):
            raise bad_input("Invalid `exchange`.")
        listed = [one for one in INSTRUMENTS.values() if exchange in (None, one.exchange)]
        return web.Response(text=instrument_dump(listed), content_type="text/csv")

    async def candles(self, request: web.Request, _: Quirks) -> web.Response:
        instrument = BY_TOKEN.get(request.match_info["token"])
        if instrument is None:
            raise bad_input("invalid token")
        interval = request.match_info["interval"]
        longest = self.profile.span_days.get(interval)
        if longest is None:
            raise bad_input(f"invalid interval: use one of {', '.join(self.profile.span_days)}")
        start, end = moment(request.query.get("from", ""), "from"), moment(request.query.get("to", ""), "to")
        if start > end:
            raise bad_input("invalid from date: it is after the to date")
        if end - start > timedelta(days=longest):
            raise bad_input(f"interval exceeds max limit: {longest} days")
        with_interest = request.query.get("oi") in ("1", "true")
        # Two months of minutes take a second: other requests do not wait for it.
        found = await asyncio.to_thread(self.market.candles, instrument, interval, start, end, self.clock())
        return success({"candles": [candle_row(candle, with_interest) for candle in found]})

    async def trigger_range(self, request: web.Request, _: Quirks) -> web.Response:
        """Answer how far from the last price a cover order's stop may be; undocumented today."""
        if request.match_info["side"].upper() not in ("BUY", "SELL"):
            raise bad_input("Invalid `transaction_type`: use buy or sell.")
        now = self.clock()
        return success({key: self._range(one, now) for key, one in wanted_instruments(request, 500).items()})

    def _range(self, instrument: Instrument, now: datetime) -> Row:
        lower, upper = self.market.circuit(instrument, now)
        return {
            "instrument_token": instrument.instrument_token,
            "lower": number(lower),
            "upper": number(upper),
            "percentage": 10.0,
        }


def wanted_instruments(request: web.Request, keys_max: int) -> dict[str, Instrument]:
    """Return the instruments asked for by NSE:SYMBOL or token; unknown ones are left out, as Kite does."""
    keys = request.query.getall("i", [])
    if not keys:
        raise bad_input("Missing or empty field `i`")
    if len(keys) > keys_max:
        raise bad_input(f"At most {keys_max} instruments can be asked for at once.")
    return {key: found for key in keys if (found := INSTRUMENTS.get(key) or BY_TOKEN.get(key))}


def moment(text: str, field: str) -> datetime:
    """Return the moment in Mumbai that the text names."""
    for shape in MOMENT_FORMATS:
        try:
            named = datetime.strptime(text, shape).replace(tzinfo=IST)
        except ValueError:
            continue
        if EARLIEST <= named <= LATEST:
            return named
    raise bad_input(f"invalid {field} date: write it like 2026-11-23 09:15:00")


def candle_row(candle: Candle, with_interest: bool) -> list[object]:
    row: list[object] = [
        candle.at.strftime("%Y-%m-%dT%H:%M:%S%z"),
        number(candle.open),
        number(candle.high),
        number(candle.low),
        number(candle.close),
        candle.volume,
    ]
    return [*row, 0] if with_interest else row
