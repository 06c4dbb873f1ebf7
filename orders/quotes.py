"""
The last price of an instrument and how old it is, and the instruments themselves, as the broker gives them.

Where the broker's stream is heard its price is used while it is young; otherwise the broker is asked, at most once a
second.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import structlog

from orders.broker.asked import NOTHING_TOLD, Key, Told, is_within
from orders.broker.gateway import BrokerUnreachable, MarketQuote, SessionRefused
from orders.desk import Desk
from orders.many_rows import IsAnyOf, as_text
from orders.models import Instrument, Order, Position
from risk.engine.facts import Funds, Quote
from risk.questions import Question, together

log = structlog.get_logger(__name__)

SHARE_EXCHANGES = frozenset({"NSE", "BSE"})
DERIVATIVES_EXCHANGE = "NFO"
TOLD_OF_AN_INSTRUMENT = ["name", "token", "lot_size", "tick_size", "instrument_type", "segment", "read_at"]
AHEAD_LOOK_SECONDS = 0.25
BANDS_REST = timedelta(seconds=10)  # between two questions ahead: what they are for is minutes away
FOLLOWED_MAX = 1000  # of the 3,000 that Kite tells of on one connection


def last_quote(desk: Desk, exchange: str, symbol: str) -> Quote | None:
    """Return the last price, dated by the exchange or by when the asking began; None when the broker does not say."""
    return quote_and_band(desk, exchange, symbol).quote


def quote_and_band(desk: Desk, exchange: str, symbol: str) -> Told:
    """
    Return the last price as `last_quote` and the exchange's price band; None for what the broker does not say.

    The stream tells of no band: its price does beside one that was asked for lately, else the broker is asked for both.
    """
    key = (exchange, symbol)
    heard, streamed = _heard(desk, key, desk.clock()), desk.streamed_prices
    if heard.quote and heard.band:
        return heard
    aging = [] if streamed is None else streamed.aging_bands(now=desk.clock())
    asked = desk.asked_prices.last(key, lambda keys: _ask(desk, keys), clock=desk.clock, pause=desk.pause, beside=aging)
    _remember_bands(desk)
    if streamed is None or (asked and asked.quote):
        return asked or NOTHING_TOLD
    now = desk.clock()  # the asking may have taken seconds, in which the stream went on, or fell silent
    band = streamed.kept_band(*key, now=now) if asked is None else asked.band
    # What stays unknown refuses what opens, and says so in the verdict.
    return Told(streamed.last(*key, now=now), band)


def expect_quotes(desk: Desk, keys: Iterable[Key]) -> None:
    """Say which quotes will be wanted soon, so that one question to the broker is enough for all of them."""
    now = desk.clock()
    desk.asked_prices.expect((key for key in keys if not all(_heard(desk, key, now))), now=now)


def available_funds(desk: Desk) -> Funds | None:
    """Return what the broker lets be spent, as read within the last second or else now; None when it cannot be read."""
    return desk.asked_funds.last(lambda: _ask_funds(desk), clock=desk.clock)


def funds_at_hand(desk: Desk) -> Funds | None:
    """Return them as read within the last two seconds; None when they were not: nobody is asked."""
    return desk.asked_funds.at_hand(desk.clock())


class ReadAhead:
    """Reads ahead what purchases will look for, while they come: what may be spent, and the price bands."""

    def __init__(self, desk: Desk, *, pause: Callable[[float], None] = time.sleep) -> None:
        self._desk = desk
        self._pause = pause
        self._bands_asked_at: datetime | None = None

    def turn(self) -> None:
        """Wait a moment, and read where it is time."""
        self._pause(AHEAD_LOOK_SECONDS)
        self._desk.asked_funds.read_ahead(lambda: _ask_funds(self._desk), clock=self._desk.clock)
        self._read_bands()

    def reset(self) -> None:
        """Nothing is kept that an outage would spoil."""

    def _read_bands(self) -> None:
        """
        Ask for the bands that get old. All do at once where many were asked for at once.

        Else each purchase would wait for a question of its own, and the broker takes one a second.
        """
        desk, now = self._desk, self._desk.clock()
        if desk.streamed_prices is None or is_within(self._bands_asked_at, BANDS_REST, now):
            return
        aging = desk.streamed_prices.aging_bands(now=now)
        if not aging or not desk.vault.is_valid(now):
            return
        if desk.asked_prices.read_ahead(aging, lambda keys: _ask(desk, keys), clock=desk.clock):
            # Not when it began: a broker that hangs would be asked nearly all the time.
            self._bands_asked_at = desk.clock()
            _remember_bands(desk)


def heard(desk: Desk, exchange: str, symbol: str) -> Told:
    """Return what the stream told a moment ago; None for what it did not. Nobody is asked."""
    return _heard(desk, (exchange, symbol), desk.clock())


def _heard(desk: Desk, key: Key, now: datetime) -> Told:
    """Return what the stream told of the price a moment ago, and the band that is remembered."""
    streamed = desk.streamed_prices
    return Told(streamed.last(*key, now=now), streamed.band(*key, now=now)) if streamed else NOTHING_TOLD


def _remember_bands(desk: Desk) -> None:
    """Keep the bands that the last answer told, those that others asked for too: the stream tells of none."""
    if desk.streamed_prices is not None:
        answers = desk.asked_prices.answers()
        bands = {key: told.band for key, told in answers.items() if told.band}
        desk.streamed_prices.remember_bands(bands, now=desk.clock())


def _ask(desk: Desk, keys: list[Key]) -> dict[Key, MarketQuote] | None:
    try:
        return desk.gateway.quotes(keys)
    except (BrokerUnreachable, SessionRefused):
        return None


def _ask_funds(desk: Desk) -> Funds | None:
    as_of = desk.clock()
    try:
        return Funds(available=desk.gateway.available_funds(), as_of=as_of)
    except (BrokerUnreachable, SessionRefused):
        return None


def follow_prices(desk: Desk) -> None:
    """Have the stream tell of what works, of what is held, and of what was asked about lately, in that order."""
    if desk.streamed_prices is None:
        return
    with together():
        working, held = _WORKING.ask(mode=desk.mode), _HELD.ask(mode=desk.mode)
    keys = list(dict.fromkeys([*working(), *held(), *desk.streamed_prices.asked()]))[:FOLLOWED_MAX]
    listed = _TOKENS.rows(symbols=as_text({symbol for _, symbol in keys}))
    tokens = {(exchange, symbol): token for exchange, symbol, token in listed}
    desk.streamed_prices.follow({key: tokens[key] for key in keys if key in tokens})


_WORKING = Question[Key](lambda mode: Order.objects.unfinished(mode).values_list("exchange", "symbol"), mode=str)
_HELD = Question[Key](
    lambda mode: Position.objects.filter(mode=mode).exclude(quantity=0).values_list("exchange", "symbol"), mode=str
)
_TOKENS = Question[tuple[str, str, int]](
    lambda symbols: (
        Instrument.objects.filter(IsAnyOf("symbol", symbols, of="text"))
        .order_by()
        .values_list("exchange", "symbol", "token")
    ),
    symbols=str,
)


def broker_positions_lately(desk: Desk) -> tuple[dict[Key, int], datetime] | None:
    """Return the broker's net shares as read within the last second, or else now: for a signal that waits for them."""
    return desk.asked_positions.last(lambda: broker_positions(desk), clock=desk.clock)


def broker_positions(desk: Desk) -> tuple[dict[Key, int], datetime] | None:
    """Return the broker's net shares and when the reading began; None when it cannot be read."""
    as_of = desk.clock()
    try:
        return desk.gateway.positions(), as_of
    except (BrokerUnreachable, SessionRefused):
        return None


def load_instruments(desk: Desk, exchange: str) -> int:
    """
    Take over the exchange's instruments dump and return how many there are.

    Raise `BrokerUnreachable` or `SessionRefused`. What is no longer listed stays, for the orders that name it; where
    the list of futures cannot be read, what was known of them stays, too.
    """
    now = desk.clock()
    listed = desk.gateway.instruments(exchange)
    underlyings = _underlyings(desk) if exchange in SHARE_EXCHANGES else None
    rows = {
        item.symbol: Instrument(
            exchange=item.exchange,
            symbol=item.symbol,
            name=item.name,
            token=item.token,
            lot_size=item.lot_size,
            tick_size=item.tick_size,
            instrument_type=item.instrument_type,
            segment=item.segment,
            underlies_futures=None if underlyings is None else item.symbol in underlyings,
            read_at=now,
        )
        for item in listed
        if item.lot_size > 0 and item.tick_size > 0 and item.exchange == exchange
    }  # by symbol: one that is listed twice cannot be written twice at once
    Instrument.objects.bulk_create(
        rows.values(),
        update_conflicts=True,
        unique_fields=["exchange", "symbol"],
        update_fields=[*TOLD_OF_AN_INSTRUMENT, *([] if underlyings is None else ["underlies_futures"])],
        batch_size=1000,
    )
    return len(rows)


def _underlyings(desk: Desk) -> frozenset[str] | None:
    """Return the symbols that futures are listed on, which their rows have as names; None where that is not known."""
    try:
        listed = desk.gateway.instruments(DERIVATIVES_EXCHANGE)
    except BrokerUnreachable as trouble:
        # A list many times as long as that of shares: to trade must not hang on it.
        log.warning("futures.not_read", reason=str(trouble))
        return None
    return frozenset(item.name for item in listed if item.instrument_type == "FUT") or None
