"""
Decide: a signal, or a person's wish, becomes an order written down as PENDING, or a reason why not.

One transaction under the lock reads the book, sizes the order, assesses it, keeps the decision with every verdict and
writes the order. What the broker must be asked for is asked before, without the lock.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from decimal import Decimal

import structlog
from django.db import transaction

from orders.desk import Desk, trading_date
from orders.execution import carry_out_cancel
from orders.identity import client_order_id
from orders.ledger import own_quantity
from orders.models import Decision, Instrument, Order, Signal
from orders.portfolio import NOTHING_OBSERVED, Observed, observe, snapshot
from orders.proposal import propose_for_signal
from risk import limit_versions
from risk.engine.control import plain
from risk.engine.decision import Decision as Assessment
from risk.engine.decision import assess
from risk.engine.facts import OrderType, Origin, Portfolio, ProposedOrder, Side, TradingSignalType, is_closing
from risk.engine.kept_facts import kept
from risk.engine.limits import Limits
from risk.engine.rates import RATE_LIMIT_EXCEEDED, tightest_for_opening
from risk.engine.rules import RULES, SCREEN, Outcome
from risk.engine.sizing import into_band
from risk.models import Incident, TradingControl

log = structlog.get_logger(__name__)

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

    `limit_price` is INR and None for MARKET. `is_exit` is for a person who may exit while trading is halted.
    """

    token: str
    side: Side
    exchange: str
    symbol: str
    quantity: int
    order_type: OrderType
    limit_price: Decimal | None
    by: str
    is_exit: bool = False


def decide(desk: Desk, signal: Signal) -> Order | None:
    """
    Decide a received signal and return its PENDING order; None when it has none, or must wait and be asked again.

    A SELL waits while our own BUY of that symbol is working: that is cancelled first, and the book must show its end.
    """
    instrument = Instrument.objects.filter(exchange=signal.exchange, symbol=signal.symbol).first()
    if instrument is None:
        unknown = f"unknown symbol {signal.exchange}:{signal.symbol}: the broker does not list it"
        signal.conclude(Signal.Status.MALFORMED, reason=unknown, now=desk.clock())
        return None
    observed = None
    if _passes_the_screen(desk, signal, instrument):
        with_position = signal.signal_type == TradingSignalType.SELL
        observed = observe(
            desk, signal.exchange, signal.symbol, with_position=with_position, with_funds=not with_position, waits=True
        )
    with transaction.atomic(durable=True):
        order, crossing = _decide_under_the_lock(desk, signal, instrument, observed)
    for buy in crossing:
        if buy.cancel_tried_at is None:  # the tracker repeats it, ever less often
            carry_out_cancel(desk, buy)
    return order


def decide_manual(desk: Desk, wish: ManualOrder) -> Order:
    """
    Decide a person's order and return it, PENDING. The same token again returns the order it made the first time.

    Raise `OrderDenied` with the decision, `UnknownInstrument`, or `InvalidOrder` for terms no order can have.
    """
    instrument = Instrument.objects.filter(exchange=wish.exchange, symbol=wish.symbol).first()
    if instrument is None:
        raise UnknownInstrument(f"{wish.exchange}:{wish.symbol} is not in the broker's list of instruments")
    _check_terms(wish)
    short = own_quantity(desk.mode, wish.exchange, wish.symbol) < 0
    buys = wish.side == Side.BUY
    observed = observe(desk, wish.exchange, wish.symbol, with_position=short or not buys, with_funds=buys)
    with transaction.atomic(durable=True):
        control = TradingControl.objects.locked(desk.mode)
        if earlier := made_earlier(desk, wish.token):
            return earlier
        now = desk.clock()
        limits = desk.tighten(limit_versions.settle_for_instrument(instrument.exchange, instrument.symbol, now=now))
        portfolio = snapshot(desk, control, instrument, observed, limits=limits, now=now)
        proposed = _as_proposed(desk, wish, instrument, portfolio)
        assessment = assess(proposed, portfolio, limits, now)
        decision = _keep(desk, control, proposed, portfolio, assessment, limits.version, now, actor=wish.by)
        if assessment.outcome == Outcome.APPROVED:
            our_id = _id_by_hand(control, wish.token)
            return _write(desk, proposed, decision, our_id=our_id, now=now, created_by=wish.by)
    raise OrderDenied(decision)


def _check_terms(wish: ManualOrder) -> None:
    if not 0 < wish.quantity <= QUANTITY_MAX:
        raise InvalidOrder(f"the quantity is {wish.quantity}: give 1 to {QUANTITY_MAX} shares")
    price = wish.limit_price
    if price is not None and not (price.is_finite() and 0 < price <= PRICE_MAX):
        raise InvalidOrder(f"the limit price is {price}: give more than 0 and at most {PRICE_MAX} INR")
    if (price is None) != (wish.order_type == OrderType.MARKET):
        raise InvalidOrder("a LIMIT order has a limit price, and a MARKET order has none")


def made_earlier(desk: Desk, token: str) -> Order | None:
    """Return the order that this token made already."""
    control = TradingControl.objects.get(mode=desk.mode)
    return Order.objects.filter(client_order_id=_id_by_hand(control, token)).first()


def _id_by_hand(control: TradingControl, token: str) -> str:
    return client_order_id(control.order_id_prefix, f"manual:{token}", 1)


def _passes_the_screen(desk: Desk, signal: Signal, instrument: Instrument) -> bool:
    """Return whether the broker is worth asking. Only a hint: what counts is said again under the lock."""
    control = TradingControl.objects.get(mode=desk.mode)
    now = desk.clock()
    limits = desk.tighten(limit_versions.for_instrument(instrument.exchange, instrument.symbol, now=now))
    portfolio = snapshot(desk, control, instrument, NOTHING_OBSERVED, limits=limits, now=now)
    proposed = propose_for_signal(desk, signal, instrument, portfolio, limits)
    return assess(proposed, portfolio, limits, now, rules=SCREEN).outcome == Outcome.APPROVED


def _decide_under_the_lock(
    desk: Desk, signal: Signal, instrument: Instrument, observed: Observed | None
) -> tuple[Order | None, list[Order]]:
    """Return the order, if any, and our own buys that must be cancelled before the signal can be decided."""
    control = TradingControl.objects.locked(desk.mode)
    signal.refresh_from_db()
    if signal.status != Signal.Status.RECEIVED:
        return None, []
    now = desk.clock()
    attempt = signal.orders.count() + 1
    if attempt > desk.rules.attempts_max:
        _give_up(desk, signal, now)
        return None, []
    limits = desk.tighten(limit_versions.settle_for_instrument(instrument.exchange, instrument.symbol, now=now))
    portfolio = snapshot(desk, control, instrument, observed or NOTHING_OBSERVED, limits=limits, now=now)
    proposed = propose_for_signal(desk, signal, instrument, portfolio, limits)
    if observed is not None and observed.broker_as_of is not None and portfolio.holding.broker is None:
        return None, []  # the book moved while the broker was asked: ask again
    assessment = assess(proposed, portfolio, limits, now, rules=RULES if observed else SCREEN)
    if crossing := _crossing_buys(desk, signal, assessment, now):
        return None, crossing
    if observed is None and assessment.outcome == Outcome.APPROVED:
        return None, []  # something changed since the screen: ask again
    if {breach.control for breach in assessment.breaches} == {"BROKER_POSITION_STALE"}:
        return None, []  # only the broker's word is missing: ask again, for as long as the signal is fresh
    if _must_wait_for_room(signal, assessment, portfolio, limits, now):
        return None, []
    decision = _keep(desk, control, proposed, portfolio, assessment, limits.version, now, signal=signal)
    if assessment.outcome != Outcome.APPROVED:
        signal.conclude(_CONCLUSIONS[assessment.outcome], reason=assessment.reason, now=now)
        _tell_of_an_exit_not_taken(desk, signal, portfolio, assessment, now)
        return None, []
    our_id = client_order_id(control.order_id_prefix, f"signal:{desk.mode}:{signal.signal_id}", attempt)
    order = _write(desk, proposed, decision, our_id=our_id, now=now, signal=signal, attempt=attempt)
    signal.conclude(Signal.Status.APPROVED, reason=proposed.size_note, now=now)
    return order, []


def waits_for_room(signal: Signal) -> bool:
    """Return whether the signal, just looked at, was left undecided for want of room."""
    return signal.status == Signal.Status.RECEIVED and signal.reason.startswith(RATE_LIMIT_EXCEEDED)


def _must_wait_for_room(
    signal: Signal, assessment: Assessment, portfolio: Portfolio, limits: Limits, now: datetime
) -> bool:
    """Return whether only the pace of orders speaks against it now, and write the first such reason on the signal."""
    if {breach.control for breach in assessment.breaches} != {RATE_LIMIT_EXCEEDED}:
        return False
    if tightest_for_opening(portfolio.traffic, limits, now).room_at is None:
        return False
    if not signal.reason.startswith(RATE_LIMIT_EXCEEDED):
        signal.wait(reason=assessment.reason)
    return True


def _crossing_buys(desk: Desk, signal: Signal, assessment: Assessment, now: datetime) -> list[Order]:
    """
    Ask for the cancel of our own working buys of a symbol that is to be sold, and return them.

    Holding nothing yet is no reason against it: the buy that would change that is the one to cancel.
    """
    screened = {control.code for control in SCREEN} - {"NOTHING_TO_SELL", RATE_LIMIT_EXCEEDED}
    refused = any(breach.control in screened for breach in assessment.breaches)
    if signal.signal_type != TradingSignalType.SELL or refused:
        return []
    buys = Order.objects.unfinished(desk.mode).filter(
        exchange=signal.exchange, symbol=signal.symbol, side=Side.BUY.value, trading_date=trading_date(now)
    )  # one of an earlier day is over, whatever we still count it as
    crossing = list(buys)
    for buy in crossing:
        buy.request_cancel(by="executor", reason=f"a signal to sell {signal.symbol} came", at=now)
    return crossing


def _as_proposed(desk: Desk, wish: ManualOrder, instrument: Instrument, portfolio: Portfolio) -> ProposedOrder:
    proposed = ProposedOrder(
        action=TradingSignalType(wish.side.value),
        exchange=wish.exchange,
        symbol=wish.symbol,
        product=desk.rules.product,
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
    inside = into_band(price, portfolio.band, wish.side, instrument.tick_size)
    note = f"clipped from {plain(price)} to {plain(inside)} INR by the price band" if inside != price else ""
    return replace(proposed, limit_price=inside, size_note=note)


def _keep(
    desk: Desk,
    control: TradingControl,
    proposed: ProposedOrder,
    portfolio: Portfolio,
    assessment: Assessment,
    limits_version: int,
    now: datetime,
    *,
    signal: Signal | None = None,
    actor: str = "",
) -> Decision:
    """Keep the decision with the facts it saw and every verdict."""
    return Decision.objects.create(
        mode=desk.mode,
        signal=signal,
        at=now,
        outcome=assessment.outcome.value,
        reason=assessment.reason,
        exchange=proposed.exchange,
        symbol=proposed.symbol,
        actor=actor,
        facts=kept(proposed, portfolio),
        verdicts=[asdict(verdict) for verdict in assessment.verdicts],
        limits_version=limits_version,
        control_version=control.version,
    )


def _write(
    desk: Desk,
    proposed: ProposedOrder,
    decision: Decision,
    *,
    our_id: str,
    now: datetime,
    signal: Signal | None = None,
    attempt: int = 1,
    created_by: str = "",
) -> Order:
    order = Order.objects.create(
        mode=desk.mode,
        client_order_id=our_id,
        origin=proposed.origin.value,
        signal=signal,
        attempt=attempt,
        decision=decision,
        created_by=created_by,
        exchange=proposed.exchange,
        symbol=proposed.symbol,
        side=proposed.action.value,
        product=proposed.product,
        order_type=proposed.order_type.value,
        quantity=proposed.quantity,
        price=proposed.limit_price,
        is_exit=proposed.is_exit,
        trading_date=trading_date(now),
        created_at=now,
    )
    if signal is not None and signal.reason.startswith(RATE_LIMIT_EXCEEDED):
        order.note(f"its signal waited: {signal.reason}", at=now, actor="executor")
    order.note(proposed.size_note or "written down", at=now, actor=created_by or "executor")
    return order


def _give_up(desk: Desk, signal: Signal, now: datetime) -> None:
    reason = f"withdrawn unsent {desk.rules.attempts_max} times: the orders of this signal show why"
    signal.conclude(Signal.Status.FAILED, reason=reason, now=now)
    Incident.objects.open(
        Incident.Kind.SIGNAL_FAILED,
        mode=desk.mode,
        subject=signal.signal_id[:60],
        title=f"{signal}: {reason}"[:200],
        symbol=signal.symbol,
        now=now,
    )


def _tell_of_an_exit_not_taken(
    desk: Desk, signal: Signal, portfolio: Portfolio, assessment: Assessment, now: datetime
) -> None:
    """Open an incident when a strong signal to close was refused although there is something of ours to close."""
    refused = {breach.control for breach in assessment.breaches}
    weak = refused & {"CMS_SCORE_TOO_WEAK", "NOTHING_TO_SELL", "SIGNAL_OUT_OF_ORDER"}
    if signal.signal_type != TradingSignalType.SELL or portfolio.holding.closable_by_sell == 0 or weak:
        return
    Incident.objects.open(
        Incident.Kind.EXIT_NOT_TAKEN,
        mode=desk.mode,
        subject=f"{signal.exchange}:{signal.symbol}",
        title=f"A signal to sell {signal.symbol} was not acted on: {assessment.reason}"[:200],
        what_to_do="It will not be acted on later. Exit the position by hand if you want to be out of it.",
        symbol=signal.symbol,
        now=now,
    )
