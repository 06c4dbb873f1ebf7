"""What the market says: quotes, instruments, candles."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache

from aiohttp import web

from orders.paper.envelope import success
from orders.paper.errors import bad_input
from orders.paper.exchange.quirks import Quirks
from orders.paper.faults.faults import Route
from orders.paper.indian_time import IST, midnight, trading_date
from orders.paper.market.instruments import BY_TOKEN, EXCHANGES, INSTRUMENTS, Instrument, future_rows, instrument_dump
from orders.paper.market.market import Candle, Market
from orders.paper.profile import Profile
from orders.paper.server.quotes import QUOTE_SHAPES
from orders.paper.server.routes import RouteTable
from orders.paper.server.wire import Row, number
from orders.paper.terms import Side

DATE_FORMAT = "%Y-%m-%d"
MOMENT_FORMATS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", DATE_FORMAT)
YEARS = range(1990, 2100)  # further away are typing errors, and where calendars end
END_OF_DAY = time(23, 59, 59)
INSTANT = timedelta(microseconds=1)
TRIGGER_RANGE_KEYS_MAX = 500
# Done in one go, in some milliseconds where nobody has looked before; then other requests are served.
QUOTES_AT_ONCE = 2
CANDLES_AT_ONCE = timedelta(hours=2)
DAYS_AT_ONCE = timedelta(days=30)
DAY = "day"


class MarketRoutes:
    def __init__(self, market: Market, clock: Callable[[], datetime], profile: Profile) -> None:
        self.market = market
        self.clock = clock
        self.profile = profile
        # A long history is seconds of work: orders that come meanwhile wait for a slice of one, not of many.
        self._one_history = asyncio.Semaphore(1)

    def routes(self) -> RouteTable:
        return [
            (Route.QUOTE, "GET", "/quote", self.quote),
            (Route.QUOTE, "GET", "/quote/ohlc", self.quote),
            (Route.QUOTE, "GET", "/quote/ltp", self.quote),
            (Route.INSTRUMENTS, "GET", "/instruments", self.instruments),
            (Route.INSTRUMENTS, "GET", "/instruments/{exchange}", self.instruments),
            (Route.HISTORICAL, "GET", "/instruments/historical/{token}/{interval}", self.candles),
            (Route.QUOTE, "GET", "/instruments/trigger_range/{transaction_type}", self.trigger_range),
        ]

    async def quote(self, request: web.Request, _: Quirks) -> web.Response:
        shape, keys_max = QUOTE_SHAPES[request.path]
        found, now = wanted_instruments(request, keys_max), self.clock()
        return success(await rows_of(found, lambda one: shape(self.market, one, now)))

    async def instruments(self, request: web.Request, _: Quirks) -> web.Response:
        exchange = request.match_info.get("exchange")
        if exchange not in (None, *EXCHANGES):
            raise bad_input("Invalid `exchange`.")
        return web.Response(text=dump(exchange, trading_date(self.clock())), content_type="text/csv")

    async def candles(self, request: web.Request, _: Quirks) -> web.Response:
        instrument = BY_TOKEN.get(request.match_info["token"])
        if instrument is None:
            raise bad_input("invalid token")
        interval = request.match_info["interval"]
        longest = self.profile.span_days.get(interval)
        if longest is None:
            raise bad_input(f"invalid interval: use one of {', '.join(self.profile.span_days)}")
        start, end = span(request, longest)
        if interval == DAY:
            start = midnight(start)  # where the candle of a day is
        with_interest = request.query.get("oi") in ("1", "true")
        async with self._one_history:
            rows = [row async for row in self._candles(instrument, interval, start, end, with_interest)]
        body = f'{{"status": "success", "data": {{"candles": [{", ".join(rows)}]}}}}'
        return web.Response(text=body, content_type="application/json")

    async def trigger_range(self, request: web.Request, _: Quirks) -> web.Response:
        """Answer between which prices a cover order's stop may be; undocumented today."""
        wanted = request.match_info["transaction_type"].upper()
        if wanted not in list(Side):
            raise bad_input("Invalid `transaction_type`: use buy or sell.")
        side, now = Side(wanted), self.clock()
        found = wanted_instruments(request, TRIGGER_RANGE_KEYS_MAX)
        tradable = {key: one for key, one in found.items() if not one.is_index}
        return success(await rows_of(tradable, lambda one: self._range(one, side, now)))

    def _range(self, instrument: Instrument, side: Side, now: datetime) -> Row:
        """Return the losing side of the last price, as far as the circuit limits reach."""
        last, tick = self.market.last_price(instrument, now), instrument.tick_size
        lowest, highest = self.market.circuit(instrument, now)
        lower, upper = (lowest, last - tick) if side is Side.BUY else (last + tick, highest)
        distance: Decimal = last - lower if side is Side.BUY else upper - last
        return {
            "instrument_token": instrument.instrument_token,
            "lower": number(lower),
            "upper": number(upper),
            "percentage": number(distance * 100 / last),
        }

    async def _candles(
        self, instrument: Instrument, interval: str, start: datetime, end: datetime, with_interest: bool
    ) -> AsyncIterator[str]:
        """
        Yield the candles as JSON, and let others be served every few of them.

        Not in a thread: the market draws its paths when they are first looked at, and is not locked.
        """
        now = self.clock()
        for first, last in slices(start, min(end, now), DAYS_AT_ONCE if interval == DAY else CANDLES_AT_ONCE):
            for candle in self.market.candles(instrument, interval, first, last, now):
                yield json.dumps(candle_row(candle, with_interest))
            await asyncio.sleep(0)


@lru_cache(maxsize=16)
def dump(exchange: str | None, today: date) -> str:
    """Return the CSV of an exchange's instruments, or of all."""
    futures = future_rows(today) if exchange in (None, "NFO") else ()
    return instrument_dump((one for one in INSTRUMENTS.values() if exchange in (None, one.exchange)), futures)


async def rows_of(found: dict[str, Instrument], row: Callable[[Instrument], Row]) -> dict[str, Row]:
    """Return a row for each instrument, and let others be served every few of them."""
    rows: dict[str, Row] = {}
    for count, (key, instrument) in enumerate(found.items(), start=1):
        rows[key] = row(instrument)
        if count % QUOTES_AT_ONCE == 0:
            await asyncio.sleep(0)
    return rows


def wanted_instruments(request: web.Request, keys_max: int) -> dict[str, Instrument]:
    """Return the instruments asked for by NSE:SYMBOL or token; unknown ones are left out, as Kite does."""
    keys = request.query.getall("i", [])
    if not keys:
        raise bad_input("Missing or empty field `i`")
    if len(keys) > keys_max:
        raise bad_input(f"At most {keys_max} instruments can be asked for at once.")
    return {key: found for key in keys if (found := INSTRUMENTS.get(key) or BY_TOKEN.get(key))}


def span(request: web.Request, days_max: int) -> tuple[datetime, datetime]:
    """Return the first and the last moment asked for; a last day without a time is meant whole."""
    start, _ = moment(request, "from")
    end, whole_day = moment(request, "to")
    if start > end:
        raise bad_input("invalid from date: it is after the to date")
    if end - start > timedelta(days=days_max):
        raise bad_input(f"interval exceeds max limit: {days_max} days")
    return start, datetime.combine(end.date(), END_OF_DAY, IST) if whole_day else end


def moment(request: web.Request, field: str) -> tuple[datetime, bool]:
    """Return the moment in Mumbai that a field names, and whether it named the day only."""
    text = request.query.get(field, "").strip()
    for shape in MOMENT_FORMATS:
        try:
            named = datetime.strptime(text, shape).replace(tzinfo=IST)
        except ValueError:
            continue
        if named.year not in YEARS:
            raise bad_input(f"invalid {field} date: use a year from {YEARS[0]} to {YEARS[-1]}")
        return named, shape == DATE_FORMAT
    raise bad_input(f"invalid {field} date: write it like 2026-11-23 09:15:00")


def slices(start: datetime, end: datetime, step: timedelta) -> Iterator[tuple[datetime, datetime]]:
    """Yield the time from start to end in steps, which do not overlap."""
    while start <= end:
        yield start, min(start + step - INSTANT, end)
        start += step


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
