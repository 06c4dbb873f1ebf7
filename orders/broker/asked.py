"""
What the broker was asked for lately, shared by all who ask within a second.

Kite answers one question for quotes a second and 10 others. A question for quotes is therefore put for every
instrument that was wanted lately, and whoever comes within a second of an answer takes that one, a failed one too: to
ask again sooner would only be refused. The time is handed in, so that a clock that was set back holds nothing up.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Generic, NamedTuple, TypeVar

from orders.broker.gateway import MarketQuote
from risk.engine.facts import Funds, PriceBand, Quote

Key = tuple[str, str]  # exchange and symbol
Positions = tuple[dict[Key, int], datetime]
Answer = TypeVar("Answer")

WANTED_MAX = 500  # instruments in one question, the latest wanted: as many as Kite takes
HANGS_FROM = timedelta(seconds=3)  # of a question that fails: as long as one waits that finds nobody
WANTED_FOR = timedelta(seconds=30)  # longer than a turn over many signals takes
FUNDS_WANTED_FOR = timedelta(seconds=10)  # after the last purchase that looked for them


def is_within(moment: datetime | None, span: timedelta, now: datetime) -> bool:
    """Return whether it happened within the span before now. What lies ahead was dated by a clock set back since."""
    return moment is not None and timedelta(0) <= now - moment < span


class Told(NamedTuple):
    """What the broker said of one instrument, dated when the asking began; None for what it did not say."""

    quote: Quote | None = None
    band: PriceBand | None = None


NOTHING_TOLD = Told()


class AskedPrices:
    """Prices and bands that were asked for. One thread asks at a time; those that wait find their answer there."""

    def __init__(self, *, seconds: float = 1.0) -> None:
        """`seconds` lie between an answer and the next question; within them the answer is shared."""
        self._span = timedelta(seconds=seconds)
        self._asking = threading.Lock()
        self._lock = threading.Lock()
        self._wanted: OrderedDict[Key, datetime] = OrderedDict()
        self._answers: dict[Key, Told | None] = {}
        self._answered_at: datetime | None = None
        self._hung = False  # whether the last question failed as late as that

    def expect(self, keys: Iterable[Key], *, now: datetime) -> None:
        """Say what will be wanted soon: the next question is put for it, too."""
        with self._lock:
            for key in keys:
                self._wanted[key] = now
                self._wanted.move_to_end(key)
            while len(self._wanted) > WANTED_MAX:
                self._wanted.popitem(last=False)

    def last(
        self,
        key: Key,
        ask: Callable[[list[Key]], dict[Key, MarketQuote] | None],
        *,
        clock: Callable[[], datetime],
        pause: Callable[[float], None],
        beside: Iterable[Key] = (),
    ) -> Told | None:
        """
        Return the last price and the price band; None where the broker could not be asked.

        Waits for at most a second until the broker may be asked again; not after a question that hung while it was
        waited for, since the next one would, too. `ask` returns None when it fails. Where there is room in the question
        it is put for what is `beside`, too.
        """
        came_at = clock()
        self.expect([key], now=came_at)  # who asks meanwhile asks for it, too
        with self._asking:
            now = clock()
            if is_within(self._answered_at, self._span, now):
                if key in self._answers:
                    return self._answers[key]
                assert self._answered_at is not None, "it is within the span"
                if self._hung and came_at < self._answered_at:
                    return None
                pause((self._answered_at + self._span - now).total_seconds())
            self._put_the_question(ask, clock, first=[key], beside=beside)
            return self._answers[key]

    def read_ahead(
        self,
        keys: Iterable[Key],
        ask: Callable[[list[Key]], dict[Key, MarketQuote] | None],
        *,
        clock: Callable[[], datetime],
    ) -> bool:
        """
        Ask for what is wanted, and for as many of these as there is room for. Return whether the broker was asked.

        It is not within a second of the last answer. What fails answers nobody: who wants a price meanwhile asks, but
        not who stood waiting while it hung.
        """
        with self._asking:
            if is_within(self._answered_at, self._span, clock()):
                return False
            if not self._put_the_question(ask, clock, beside=keys):
                self._answers = {}
            return True

    def answers(self) -> dict[Key, Told]:
        """Return what the last answer told of each that it was asked for; nothing where that failed."""
        return {key: told for key, told in self._answers.items() if told is not None}

    def _put_the_question(
        self,
        ask: Callable[[list[Key]], dict[Key, MarketQuote] | None],
        clock: Callable[[], datetime],
        *,
        first: Iterable[Key] = (),
        beside: Iterable[Key],
    ) -> bool:
        """Ask for what is wanted, and for what is beside it where there is room. Return whether an answer came."""
        keys = list(dict.fromkeys([*first, *self._all_wanted(clock()), *beside]))[:WANTED_MAX]
        as_of = clock()
        quotes = ask(keys)
        # Another dictionary: who has the last one keeps it.
        self._answers = {each: None if quotes is None else _as_told(quotes.get(each), as_of) for each in keys}
        self._answered_at = clock()
        self._hung = quotes is None and not is_within(as_of, HANGS_FROM, self._answered_at)
        return quotes is not None

    def _all_wanted(self, now: datetime) -> list[Key]:
        with self._lock:
            for key in [key for key, at in self._wanted.items() if not is_within(at, WANTED_FOR, now)]:
                del self._wanted[key]
            return list(self._wanted)


def _as_told(quote: MarketQuote | None, as_of: datetime) -> Told:
    if quote is None:
        return NOTHING_TOLD
    band = None
    if quote.lower_circuit is not None and quote.upper_circuit is not None:
        band = PriceBand(lower=quote.lower_circuit, upper=quote.upper_circuit, as_of=as_of)
    return Told(Quote(price=quote.last_price, as_of=as_of), band)


class _AskedOnce(Generic[Answer]):
    """One answer of the broker's for all who ask within a second; None for one that failed."""

    def __init__(self, *, seconds: float = 1.0) -> None:
        self._span = timedelta(seconds=seconds)
        self._asking = threading.Lock()
        self._latest: tuple[Answer | None, datetime | None] = (None, None)  # one thing: it is read without the lock

    def last(self, ask: Callable[[], Answer | None], *, clock: Callable[[], datetime]) -> Answer | None:
        """Return what `ask` returned within the last second, None for a failure included; else ask."""
        with self._asking:
            if not is_within(self._latest[1], self._span, clock()):
                self._latest = (ask(), clock())
            return self._latest[0]


class AskedPositions(_AskedOnce[Positions]):
    """The broker's positions as they were read last, for signals that wait for them."""


class AskedFunds(_AskedOnce[Funds]):
    """
    What may be spent, as it was read last. What our own buys take of it since is reckoned beside it.

    Read ahead while purchases look for it, so that of many only the first one waits for the broker.
    """

    def __init__(self, *, seconds: float = 1.0) -> None:
        super().__init__(seconds=seconds)
        self._at_hand_for = 2 * self._span  # long enough for what is read ahead to come
        self._young_for = self._span * 3 / 4
        self._wanted_at: datetime | None = None
        self._failed_at: datetime | None = None

    def last(self, ask: Callable[[], Funds | None], *, clock: Callable[[], datetime]) -> Funds | None:
        """Return what was read within the last second, None for a failure included; else ask."""
        with self._asking:
            now = clock()
            if is_within(self._latest[1], self._span, now):
                return self._latest[0]
            if not is_within(self._failed_at, self._span, now):  # else what was waited for just now would be twice
                self._latest = (ask(), clock())
                return self._latest[0]
            return None

    def at_hand(self, now: datetime) -> Funds | None:
        """Return what was answered within the last two seconds; None when nothing was, or it failed."""
        self._wanted_at = now
        funds, answered_at = self._latest
        return funds if is_within(answered_at, self._at_hand_for, now) else None

    def read_ahead(self, ask: Callable[[], Funds | None], *, clock: Callable[[], datetime]) -> None:
        """
        Ask before what is at hand gets old, if that was looked for lately.

        What fails takes nothing away that is at hand, and is not tried again before a second has passed.
        """
        if not is_within(self._wanted_at, FUNDS_WANTED_FOR, clock()):
            return
        with self._asking:
            now = clock()
            if is_within(self._latest[1], self._young_for, now) or is_within(self._failed_at, self._span, now):
                return
            if (funds := ask()) is not None:
                self._latest = (funds, clock())
            else:
                self._failed_at = clock()
