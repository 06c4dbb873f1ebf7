"""
Decide: a signal, or a person's wish, becomes an order written down as PENDING, or a reason why not.

One transaction under the lock reads the book, sizes the order, assesses it, keeps the decision with every verdict and
writes the order. What the broker must be asked for is asked before, without the lock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import NamedTuple

import structlog
from django.db import transaction

from orders import missed_exits, restored
from orders.decided_rows import as_decided, write_order
from orders.desk import Desk, trading_date
from orders.execution import carry_out_cancel
from orders.identity import client_order_id
from orders.ledger import own_quantity
from orders.lifecycle import OrderStatus
from orders.models import Decision, Instrument, MissedExit, Order, Signal
from orders.observed import Observed, at_hand, observe, without_observed
from orders.portfolio import snapshot
from orders.proposal import propose_for_signal, sized
from orders.signal_facts import ask_look
from orders.under_lock import lock_and_ask
from orders.waiting import must_wait
from risk import limit_versions
from risk.engine.control import plain
from risk.engine.decision import Decision as Assessment
from risk.engine.decision import assess
from risk.engine.facts import OrderType, Origin, Portfolio, ProposedOrder, Side, TradingSignalType, is_closing
from risk.engine.rules import RULES, SCREEN, Applies, Outcome
from risk.engine.sizing import into_band
from risk.models import Incident, TradingControl
from risk.writing import insert

log = structlog.get_logger(__name__)

_OF_THE_BOOK = frozenset(control.code for control in SCREEN)
QUANTITY_MAX = 10_000_000  # shares: what the columns hold, far beyond any limit
PRICE_MAX = Decimal(100_000_000)  # INR

_CONCLUSIONS = {
    Outcome.IGNORED: Signal.Status.IGNORED,
    Outcome.DENIED: Signal.Status.DENIED,
    Outcome.EXPIRED: Signal.Status.EXPIRED,
}


class OrderDenied(Exception):
    """Our risk desk refuses the order. `decision` is the row that keeps every verdict."""

    def __init__(self, decision: Decision) -> None:
        super().__init__(decision.reason)
        self.decision = decision


class InvalidOrder(Exception):
    """No order can have these terms; the text says what is wrong."""


class UnknownInstrument(Exception):
    """The broker's dump does not list it; the text names it."""


@dataclass(frozen=True, kw_only=True)
class ManualOrder:
    """
    What a person, or a script, asks for. `token` makes it one order however often it is sent: a form's, or a fresh one.

    `limit_price` is INR and None for MARKET. Without a `product` it is of the desk's. `is_exit` is for a person who may
    exit while trading is halted, and `why` is kept with the order. What `may_be_repeated` is made once more where the
    broker refused it the last time. `check` is asked under the lock, and raises when the order is not wanted any more.
    """

    token: str
    side: Side
    exchange: str
    symbol: str
    quantity: int
    order_type: OrderType
    limit_price: Decimal | None
    by: str
    product: str = ""
    is_exit: bool = False
    why: str = ""
    may_be_repeated: bool = False
    check: Callable[[TradingControl], None] = lambda control: None


def decide(desk: Desk, signal: Signal) -> Order | None:
    """
    Decide a received signal and return its PENDING order; None when it has none, or must wait and be asked again.

    A SELL waits while our own BUY of that symbol is working: that is cancelled first, and the book must show its end.
    """
    buys = signal.signal_type == TradingSignalType.BUY
    observed = at_hand(desk, signal.exchange, signal.symbol) if buys else None
    found = _decide_in_one_commit(desk, signal, observed, was_asked=False)
    if found.asks_the_broker:
        sells = signal.signal_type == TradingSignalType.SELL
        observed = observe(desk, signal.exchange, signal.symbol, with_position=sells, with_funds=not sells, waits=True)
        found = _decide_in_one_commit(desk, signal, observed, was_asked=True)
    if found.is_unknown:
        unknown = f"unknown symbol {signal.exchange}:{signal.symbol}: the broker does not list it"
        missed_exits.keep(desk, signal, why=unknown)  # first: what comes between, is decided again
        signal.conclude(Signal.Status.MALFORMED, reason=unknown, now=desk.clock())
    for buy in found.crossing:
        if buy.cancel_tried_at is None:  # the tracker repeats it, ever less often
            carry_out_cancel(desk, buy)
    return found.order


class _Found(NamedTuple):
    """
    What came of a look: an order, or our own buys that must end first, or that the broker must be asked first, or that
    it does not list the instrument.
    """

    order: Order | None = None
    crossing: tuple[Order, ...] = ()
    asks_the_broker: bool = False
    is_unknown: bool = False


def decide_manual(desk: Desk, wish: ManualOrder) -> Order:
    """
    Decide a person's order and return it, PENDING. The same token again returns the order it made the first time, but
    for an exit that the broker refused: that is made anew.

    Raise `OrderDenied` with the decision, `UnknownInstrument`, or `InvalidOrder` for terms no order can have.
    """
    instrument = Instrument.objects.named(wish.exchange, wish.symbol)
    if instrument is None:
        raise UnknownInstrument(f"{wish.exchange}:{wish.symbol} is not in the broker's list of instruments")
    check_terms(wish)
    short = own_quantity(desk.mode, wish.exchange, wish.symbol) < 0
    buys = wish.side == Side.BUY
    observed = observe(desk, wish.exchange, wish.symbol, with_position=short or not buys, with_funds=buys)
    with transaction.atomic(durable=True):
        control = TradingControl.objects.locked(desk.mode)
        wish.check(control)
        earlier = made_earlier(desk, wish.token)
        if earlier is not None and not (wish.may_be_repeated and may_be_made_again(desk, earlier)):
            return earlier
        now = desk.clock()
        limits = desk.tighten(limit_versions.settle_for_instrument(instrument.exchange, instrument.symbol, now=now))
        portfolio = snapshot(desk, control, instrument, observed, limits=limits, now=now)
        proposed = proposed_by_hand(desk, wish, instrument, portfolio)
        assessment = assess(proposed, portfolio, limits, now)
        decision = as_decided(desk, control, proposed, portfolio, assessment, limits.version, now, actor=wish.by)
        if assessment.outcome == Outcome.APPROVED:
            attempt = 1 if earlier is None else earlier.attempt + 1
            our_id = _id_by_hand(control, wish.token, attempt)
            if restored.is_at_the_broker(control, our_id):
                raise InvalidOrder(f"the broker has {our_id} already, of before the restore: open the page anew")
            return write_order(
                desk,
                proposed,
                decision,
                our_id=our_id,
                now=now,
                attempt=attempt,
                created_by=wish.by,
                why=wish.why,
            )
        insert(decision)
    raise OrderDenied(decision)


def check_terms(wish: ManualOrder) -> None:
    """Raise `InvalidOrder` for terms that no order can have."""
    if not 0 < wish.quantity <= QUANTITY_MAX:
        raise InvalidOrder(f"the quantity is {wish.quantity}: give 1 to {QUANTITY_MAX} shares")
    price = wish.limit_price
    if price is not None and not (price.is_finite() and 0 < price <= PRICE_MAX):
        raise InvalidOrder(f"the limit price is {price}: give more than 0 and at most {PRICE_MAX} INR")
    if (price is None) != (wish.order_type == OrderType.MARKET):
        raise InvalidOrder("a LIMIT order has a limit price, and a MARKET order has none")


def made_earlier(desk: Desk, token: str) -> Order | None:
    """Return the order that this token made already; of several attempts the newest."""
    return made_by(desk.mode, token, attempts=desk.rules.attempts_max)


def made_by(mode: str, token: str, *, attempts: int = 1) -> Order | None:
    """Return the order of the mode that a token made, among its first so many attempts the newest."""
    control = TradingControl.objects.get(mode=mode)
    ids = [_id_by_hand(control, token, attempt) for attempt in range(1, attempts + 1)]
    return Order.objects.filter(client_order_id__in=ids).order_by("-attempt").first()


def may_be_made_again(desk: Desk, exit_order: Order) -> bool:
    """Return whether the same form may exit once more: the broker refused it, so that nothing of it can fill."""
    return exit_order.status == OrderStatus.REJECTED and exit_order.attempt < desk.rules.attempts_max


def _id_by_hand(control: TradingControl, token: str, attempt: int) -> str:
    return client_order_id(control.order_id_prefix, f"manual:{token}", attempt)


def _decide_in_one_commit(desk: Desk, signal: Signal, observed: Observed | None, *, was_asked: bool) -> _Found:
    with transaction.atomic(durable=True):
        return _decide_under_the_lock(desk, signal, observed, was_asked=was_asked)


def _decide_under_the_lock(desk: Desk, signal: Signal, observed: Observed | None, *, was_asked: bool) -> _Found:
    """
    Decide by the book and by what was `observed` at the broker, or say that it must be asked first.

    It is not asked for what the book alone refuses, and such a refusal is kept by the book alone.
    """
    buys = signal.signal_type == TradingSignalType.BUY
    control, look, now = lock_and_ask(desk, partial(ask_look, desk, signal, observed), purchase=buys)
    seen = look(control)
    if seen is None:
        return _Found(is_unknown=signal.status == Signal.Status.RECEIVED)
    if _needs_no_decision(desk, control, signal, seen.attempt, now):
        return _Found()
    portfolio, limits = seen.portfolio, seen.limits
    if was_asked and observed is not None and observed.broker_as_of is not None and portfolio.holding.broker is None:
        return _Found()  # the book moved while the broker was asked: ask again
    proposed = propose_for_signal(
        desk, signal, seen.instrument, portfolio, limits, newest_decided_at=seen.newest_decided_at
    )
    assessment = assess(proposed, portfolio, limits, now, rules=RULES if observed else SCREEN)
    if not was_asked and observed is not None and _the_book_refuses(assessment):
        portfolio, observed = without_observed(portfolio), None
        proposed = sized(proposed, portfolio, limits)
        assessment = assess(proposed, portfolio, limits, now, rules=SCREEN)
    if crossing := _crossing_buys(desk, signal, assessment, now):
        return _Found(crossing=tuple(crossing))
    if observed is None and assessment.outcome == Outcome.APPROVED:
        return _Found(asks_the_broker=not was_asked)
    if must_wait(signal, assessment, portfolio, limits, now):
        return _Found()
    decision = as_decided(desk, control, proposed, portfolio, assessment, limits.version, now, signal=signal)
    if assessment.outcome != Outcome.APPROVED:
        insert(decision)
        signal.conclude(_CONCLUSIONS[assessment.outcome], reason=assessment.reason, now=now)
        missed_exits.tell(desk, signal, portfolio, assessment, now)
        return _Found()
    our_id = _id_for_signal(desk, control, signal, seen.attempt)
    return _Found(write_order(desk, proposed, decision, our_id=our_id, now=now, signal=signal, attempt=seen.attempt))


def _needs_no_decision(desk: Desk, control: TradingControl, signal: Signal, attempt: int, now: datetime) -> bool:
    """Return whether it has one, or is not to be acted on whatever the risk desk would say; that is written down."""
    if signal.status != Signal.Status.RECEIVED:
        return True
    if attempt > desk.rules.attempts_max:
        _give_up(desk, signal, now)
        return True
    our_id = _id_for_signal(desk, control, signal, attempt)
    if restored.is_of_before(control, signal) or restored.is_at_the_broker(control, our_id):
        restored.leave_to_a_person(signal, now)
        return True
    return False


def _id_for_signal(desk: Desk, control: TradingControl, signal: Signal, attempt: int) -> str:
    return client_order_id(control.order_id_prefix, f"signal:{desk.mode}:{signal.signal_id}", attempt)


def _the_book_refuses(assessment: Assessment) -> bool:
    """Return whether it is refused by what needs no word of the broker."""
    return any(breach.control in _OF_THE_BOOK for breach in assessment.breaches)


def _crossing_buys(desk: Desk, signal: Signal, assessment: Assessment, now: datetime) -> list[Order]:
    """
    Ask for the cancel of our own working buys of a symbol that is to be sold, and return them.

    Holding nothing yet is no reason against it: the buy that would change that is the one to cancel. Nor is what only
    keeps things from being opened, such as REDUCE_ONLY: a SELL with nothing to close counts as opening, and never does.
    """
    against = {each.code for each in SCREEN if each.applies == Applies.ALWAYS or each.outcome != Outcome.DENIED}
    refused = any(breach.control in against - {"NOTHING_TO_SELL"} for breach in assessment.breaches)
    if signal.signal_type != TradingSignalType.SELL or refused:
        return []
    buys = Order.objects.unfinished(desk.mode).filter(
        exchange=signal.exchange, symbol=signal.symbol, side=Side.BUY.value, trading_date=trading_date(now)
    )  # one of an earlier day is over, whatever we still count it as
    crossing = list(buys)
    for buy in crossing:
        buy.request_cancel(by="executor", reason=f"a signal to sell {signal.symbol} came", at=now)
    return crossing


def proposed_by_hand(desk: Desk, wish: ManualOrder, instrument: Instrument, portfolio: Portfolio) -> ProposedOrder:
    """Return a person's order in the shape that the risk desk judges, its price clipped where it only closes."""
    proposed = ProposedOrder(
        action=TradingSignalType(wish.side.value),
        exchange=wish.exchange,
        symbol=wish.symbol,
        product=wish.product or desk.rules.product,
        quantity=wish.quantity,
        order_type=wish.order_type,
        limit_price=wish.limit_price,
        origin=Origin.MANUAL,
        lot_size=instrument.lot_size,
        tick_size=instrument.tick_size,
        segment=instrument.segment,
        instrument_type=instrument.instrument_type,
        is_exit=wish.is_exit,
    )
    price = wish.limit_price
    if price is None or not is_closing(proposed, portfolio.holding):
        return proposed
    inside = into_band(price, portfolio.band, portfolio.quote, wish.side, instrument.tick_size)
    note = f"clipped from {plain(price)} to {plain(inside)} INR by the price band" if inside != price else ""
    return replace(proposed, limit_price=inside, size_note=note)


def _give_up(desk: Desk, signal: Signal, now: datetime) -> None:
    reason = f"none of its {desk.rules.attempts_max} orders came about: the orders of this signal show why"
    signal.conclude(Signal.Status.FAILED, reason=reason, now=now)
    MissedExit.objects.open(signal, why=reason, at=now)
    Incident.objects.open(
        Incident.Kind.SIGNAL_FAILED,
        mode=desk.mode,
        subject=signal.signal_id[:60],
        title=f"{signal}: {reason}"[:200],
        symbol=signal.symbol,
        now=now,
    )
