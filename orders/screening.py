"""
Decisions that lead nowhere, many of them under one lock: a HOLD, a weak score, whatever the screen refuses.

Each is the decision that `deciding.decide` would have come to: the same facts of its own instrument, the same verdicts,
a row of its own. They are made together because none of them changes what another is held against, but for the newest
signal that was decided, which is followed here. What may lead somewhere is left where it is, and so is everything of
its symbol that came after it: that is for `decide`, one at a time.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property, lru_cache

import structlog
from django.db import connection, transaction

from orders import missed_exits
from orders.copying import copy_in
from orders.desk import Desk, trading_date
from orders.lifecycle import UNFINISHED
from orders.models import Decision, Instrument, Signal
from orders.models.signal import DECIDED, Kind
from orders.observed import NOTHING_OBSERVED
from orders.portfolio import Key, snapshot
from orders.proposal import propose_for_signal
from orders.session_hours import group_of, market_of
from risk import limit_versions
from risk.engine.control import Control, Finding
from risk.engine.decision import Decision as Assessment
from risk.engine.decision import Verdict, assess
from risk.engine.facts import Portfolio, ProposedOrder, Side, TradingSignalType, TradingState
from risk.engine.kept_facts import SHAPE, kept_part
from risk.engine.limits import Limits
from risk.engine.market_rules import AFTER_THE_OPEN, BEFORE_THE_CLOSE
from risk.engine.rates import RATE_LIMIT_EXCEEDED
from risk.engine.rules import SCREEN, Outcome
from risk.engine.sessions import InstrumentGroup, MarketSession, Phase
from risk.models import TradingControl

log = structlog.get_logger(__name__)

RUN_MAX = 500  # signals of one run: so many are looked at under one lock
RUN_SECONDS_MAX = 0.1  # of looking at them, where each has a book of its own; what is under way is finished

_COLUMNS = (
    "mode",
    "signal_id",
    "at",
    "outcome",
    "reason",
    "exchange",
    "symbol",
    "actor",
    "facts",
    "verdicts",
    "limits_version",
    "control_version",
)


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a run, and those before it, came to: how many they concluded, up to which signal, and what they saw."""

    concluded: int
    last: int  # a primary key
    is_the_end: bool  # nothing undecided came after it, but for what is held up
    seen: frozenset[Key]
    held_up: frozenset[Key]  # the oldest undecided one of these may lead somewhere
    may_lead_nowhere: Callable[[Signal], bool]  # by what was known of limits and switches under the last lock

    def leaves(self, signal: Signal) -> bool:
        """Return whether it is not for a run to come, as the oldest undecided signal of its symbol."""
        key = (signal.exchange, signal.symbol)
        if key in self.seen:
            return key in self.held_up
        return self.concluded == 0 or not self.may_lead_nowhere(signal)  # else it is for the next ones


def conclude_what_leads_nowhere(desk: Desk, *, since: Run | None = None) -> Run:
    """
    Decide what leads nowhere among the oldest undecided signals, or among those that come after an earlier run.

    Of each symbol their order is kept: none is decided before one that came earlier and still waits.
    """
    last, held_up = (since.last, set(since.held_up)) if since else (0, set())
    with transaction.atomic(durable=True):
        control = TradingControl.objects.locked(desk.mode)
        waiting = list(Signal.objects.undecided_after(last, desk.mode, but=held_up)[:RUN_MAX])
        facts = _Facts(desk, control, waiting, desk.clock())
        concluded: list[_Concluded] = []
        end = time.monotonic() + RUN_SECONDS_MAX
        for signal in waiting:
            last, key = signal.pk, (signal.exchange, signal.symbol)
            if key not in held_up and (one := facts.conclude(signal)):
                concluded.append(one)
            else:
                held_up.add(key)
            if time.monotonic() > end:
                break
        _write(facts, concluded)
    if concluded:
        log.info("signals.led_nowhere", count=len(concluded), held_up=len(held_up))
    return Run(
        concluded=len(concluded) + (since.concluded if since else 0),
        last=last,
        is_the_end=len(waiting) < RUN_MAX and (not waiting or waiting[-1].pk == last),
        seen=frozenset({(signal.exchange, signal.symbol) for signal in waiting if signal.pk <= last})
        | (since.seen if since else frozenset()),
        held_up=frozenset(held_up),
        may_lead_nowhere=facts.may_lead_nowhere,
    )


@dataclass(frozen=True, kw_only=True)
class _Book:
    """What the orders of one instrument are held against, once for all of its signals, and how that is kept."""

    limits: Limits
    portfolio: Portfolio

    @cached_property
    def as_kept(self) -> str:
        return json.dumps(kept_part(self.portfolio))

    @cached_property
    def screen(self) -> tuple[Control, ...]:
        """The controls of the screen. The pace of orders is the same for all signals, so it is measured once."""
        return tuple(_measured_once(each) if each.code == RATE_LIMIT_EXCEEDED else each for each in SCREEN)


@dataclass(frozen=True, kw_only=True)
class _Concluded:
    """A signal whose decision is made and not written yet."""

    signal: Signal
    proposed: ProposedOrder
    assessment: Assessment
    book: _Book


@dataclass(kw_only=True)
class _Shared:
    """What is asked once for a whole run, after its lock was taken."""

    tried: frozenset[int]  # signals that had an order before
    instruments: dict[Key, Instrument]
    peculiar: frozenset[Key]  # what the book of no other instrument can stand for
    newest: dict[Kind, datetime | None]
    books: dict[object, _Book] = field(default_factory=dict)
    windows: dict[InstrumentGroup, bool] = field(default_factory=dict)  # whether signals may open something now


class _Facts:
    """The facts of one run. The caller holds the mode's lock, so that nothing of them changes meanwhile."""

    def __init__(self, desk: Desk, control: TradingControl, signals: Collection[Signal], now: datetime) -> None:
        self.desk, self.control, self.now = desk, control, now
        self._general = limit_versions.settle(now=now)
        self._of_all = desk.tighten(self._general.limits())
        self._own = limit_versions.of_instruments(now=now)
        self._may_trade = control.auto_trading and desk.auto_trading_allowed and control.state != TradingState.HALTED
        self._shared = _read(desk, signals, self._own, now)

    @property
    def limits_version(self) -> int:
        return self._general.version

    def conclude(self, signal: Signal) -> _Concluded | None:
        """Return the decision on a signal that leads nowhere, whatever becomes of the others; None for another one."""
        key, shared = (signal.exchange, signal.symbol), self._shared
        instrument = shared.instruments.get(key)
        if instrument is None or signal.pk in shared.tried or not self.may_lead_nowhere(signal):
            return None
        kind = (*key, signal.strategy)
        book = self._book(key, instrument)
        proposed = propose_for_signal(
            self.desk, signal, instrument, book.portfolio, book.limits, newest_decided_at=shared.newest[kind]
        )
        assessment = assess(proposed, book.portfolio, book.limits, self.now, rules=book.screen)
        if _leads_somewhere(signal, assessment, book.portfolio):
            return None
        if assessment.outcome.value in DECIDED:
            assert signal.signal_at is not None, "a received signal has a time"
            shared.newest[kind] = max(shared.newest[kind] or signal.signal_at, signal.signal_at)
        return _Concluded(signal=signal, proposed=proposed, assessment=assessment, book=book)

    def may_lead_nowhere(self, signal: Signal) -> bool:
        """Return whether a look at the book is worth it. Only a hint, from what is at hand: what counts is assessed."""
        assert signal.cms_score is not None, "a received signal has a score"
        assert signal.signal_at is not None, "a received signal has a time"
        if signal.signal_type == TradingSignalType.HOLD or not self._may_trade:
            return True
        key = (signal.exchange, signal.symbol)
        limits, newest = self._limits(key), self._shared.newest.get((*key, signal.strategy))
        if newest is not None and signal.signal_at < newest:
            return True
        if signal.signal_type == Side.SELL:
            threshold = limits.cms_sell_threshold
            return threshold is None or signal.cms_score >= threshold or key not in self._shared.peculiar
        threshold, age_max = limits.cms_buy_threshold, limits.signal_age_max_seconds
        if threshold is None or signal.cms_score <= threshold or self.control.state == TradingState.REDUCE_ONLY:
            return True
        is_old = age_max is None or self.now - signal.signal_at > timedelta(seconds=age_max)
        return is_old or not self._is_in_the_window(key)

    def _is_in_the_window(self, key: Key) -> bool:
        """Return whether a signal may open something of the instrument at this time of the day, as far as is known."""
        instrument, windows = self._shared.instruments.get(key), self._shared.windows
        if instrument is None or not self.desk.keeps_market_hours:
            return True
        group = group_of(instrument)
        if group not in windows:
            windows[group] = _is_in_the_window_of(market_of(self.desk, instrument, now=self.now), self.now)
        return windows[group]

    def _limits(self, key: Key) -> Limits:
        if key not in self._own:
            return self._of_all
        return self.desk.tighten(self._general.limits().within(self._own[key]))

    def _book(self, key: Key, instrument: Instrument) -> _Book:
        """Return the book beside which orders of the instrument stand: its own, or that of any that nothing is of."""
        books, limits = self._shared.books, self._limits(key)
        hours = group_of(instrument) if self.desk.keeps_market_hours else None
        same: object = key if key in self._shared.peculiar or limits.include_external else hours
        if same not in books:
            portfolio = snapshot(self.desk, self.control, instrument, NOTHING_OBSERVED, limits=limits, now=self.now)
            books[same] = _Book(limits=limits, portfolio=portfolio)
        return books[same]


# Orders of today are counted, and those of the day before tell when something of the symbol was bought or sold last.
# Each part names the columns of an index itself, and none reads what a symbol did in its years.
_WHAT_IS_OF_THEM = """
SELECT 'held', exchange, symbol, 0 FROM orders_position WHERE mode = %(mode)s AND quantity <> 0
UNION ALL
SELECT 'ordered', exchange, symbol, 0 FROM orders_order
WHERE mode = %(mode)s AND symbol = ANY(%(symbols)s) AND status = ANY(%(unfinished)s)
UNION ALL
SELECT DISTINCT 'ordered', exchange, symbol, 0 FROM orders_order WHERE mode = %(mode)s AND trading_date >= %(since)s
UNION ALL
SELECT 'troubled', '', symbol, 0 FROM risk_incident
WHERE mode = %(mode)s AND status IN ('OPEN', 'ACKNOWLEDGED') AND symbol <> ''
UNION ALL
SELECT 'tried', '', '', signal_id FROM orders_order WHERE signal_id = ANY(%(signals)s)
"""


def _read(desk: Desk, signals: Collection[Signal], limited: Collection[Key], now: datetime) -> _Shared:
    keys = {(signal.exchange, signal.symbol) for signal in signals}
    symbols = [symbol for _, symbol in keys]
    listed = Instrument.objects.filter(exchange__in={exchange for exchange, _ in keys}, symbol__in=symbols)
    of_them: defaultdict[str, set[tuple[str, str, int]]] = defaultdict(set)
    with connection.cursor() as cursor:
        cursor.execute(
            _WHAT_IS_OF_THEM,
            {
                "mode": desk.mode,
                "symbols": symbols,
                "unfinished": sorted(status.value for status in UNFINISHED),
                "since": trading_date(now) - timedelta(days=1),
                "signals": [signal.pk for signal in signals],
            },
        )
        for what, *found in cursor:
            of_them[what].add(tuple(found))
    held = {(exchange, symbol) for exchange, symbol, _ in of_them["held"]}
    ordered = {(exchange, symbol) for exchange, symbol, _ in of_them["ordered"]}
    troubled = {symbol for _, symbol, _ in of_them["troubled"]}
    return _Shared(
        tried=frozenset(pk for _, _, pk in of_them["tried"]),
        instruments={(each.exchange, each.symbol): each for each in listed},
        peculiar=frozenset(held.union(limited, ordered, (key for key in keys if key[1] in troubled))),
        newest=Signal.objects.newest_of_kinds(
            desk.mode, {(signal.exchange, signal.symbol, signal.strategy) for signal in signals}
        ),
    )


def _measured_once(control: Control) -> Control:
    """Return the control with what it finds first for all that are held against it."""
    found: list[Finding] = []

    def rule(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
        if not found:
            found.append(control.rule(proposed, portfolio, limits, now))
        return found[0]

    return replace(control, rule=rule)


def _is_in_the_window_of(market: MarketSession, now: datetime) -> bool:
    if market.phase != Phase.CONTINUOUS or market.opens_at is None or market.closes_at is None:
        return False
    return market.opens_at + AFTER_THE_OPEN <= now < market.closes_at - BEFORE_THE_CLOSE


def _leads_somewhere(signal: Signal, assessment: Assessment, portfolio: Portfolio) -> bool:
    """Return whether the signal may come to an order, to a wait, to a cancel, or to a person."""
    if assessment.outcome == Outcome.APPROVED:
        return True
    if {breach.control for breach in assessment.breaches} == {RATE_LIMIT_EXCEEDED}:
        return True  # it waits for room
    holding = portfolio.holding
    in_the_book = holding.own > 0 or holding.buy_orders > 0 or holding.working_buys > 0
    return in_the_book and missed_exits.wants_to_close(signal, assessment)


def _write(facts: _Facts, concluded: list[_Concluded]) -> None:
    """Write a decision for each, and with it what became of its signal."""
    if not concluded:
        return
    copy_in(Decision, _COLUMNS, _decisions(facts, concluded))
    count = Signal.objects.conclude_each(
        [(each.signal.pk, Signal.Status(each.assessment.outcome.value), each.assessment.reason) for each in concluded],
        now=facts.now,
    )
    assert count == len(concluded), "who concludes a signal holds the lock"


def _decisions(facts: _Facts, concluded: list[_Concluded]) -> Iterator[tuple[object, ...]]:
    for each in concluded:
        proposed, assessment = each.proposed, each.assessment
        yield (
            facts.desk.mode,
            each.signal.pk,
            facts.now,
            assessment.outcome.value,
            assessment.reason,
            proposed.exchange,
            proposed.symbol,
            "",
            # As `kept_facts.kept` has it, the book's part written out once for all that were held against it.
            f'{{"shape": {SHAPE}, "proposed": {json.dumps(kept_part(proposed))}, "portfolio": {each.book.as_kept}}}',
            f"[{', '.join(map(_as_json, assessment.verdicts))}]",
            facts.limits_version,
            facts.control.version,
        )


@lru_cache(maxsize=4096)
def _as_json(verdict: Verdict) -> str:
    """Return a verdict as it is kept: most are the same for every signal of a run."""
    return json.dumps(vars(verdict))
