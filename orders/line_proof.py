"""
Proving the line: one share, a limit far below the market, placed and cancelled like any other order.

It goes through the use cases that every order goes through, so that a halt, a limit or a missing login stops it as it
would stop any. What each stage brought is kept, with the broker's own words, and the verdict says whether it was the
address, the login, a permission or the funds. One proof is under way at a time, and two people who ask for one at the
same moment get one: the later names a proof that he was not shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, Decimal

import structlog
from django.db import transaction

from orders.broker.gateway import BrokerUnreachable, GatewayError, SessionRefused
from orders.deciding import InvalidOrder, ManualOrder, OrderDenied, UnknownInstrument, decide_manual, made_earlier
from orders.desk import Desk, rupees
from orders.execution import CANCEL_TAKEN, cancel, submit
from orders.lifecycle import UNFINISHED, OrderStatus
from orders.models import Decision, Instrument, LineProof, LineProofStage, Order
from orders.quotes import quote_and_band
from orders.reconciliation import reconcile
from orders.refusal_words import WHAT_TO_DO, Verdict, refusal_is_about
from risk.audit.who import explained
from risk.engine.facts import OrderType, Side
from risk.models import Incident, TradingControl

Stage = LineProofStage.Stage

WHY_CANCELLED = "it was only to prove the line"
WORD = "PROVE"  # what a person types
FAR_PERCENT = Decimal(3)  # below the last price at least: an order so far away fills in no ordinary minute
LOOKS_MAX = 8  # at the broker's book, for each thing that it must show
LOOK_SECONDS = 1.0  # between them: Kite takes no more reads than one a second
RESTS = frozenset({"OPEN", "TRIGGER PENDING"})  # in the broker's words
_OF_A_DENIAL = {"BROKER_SESSION_INVALID": Verdict.LOGIN, "INSUFFICIENT_FUNDS": Verdict.FUNDS}

log = structlog.get_logger(__name__)


class ProofRefused(Exception):
    """No proof is begun now; the text says why."""


class _Failed(Exception):
    """A stage did not bring what it should."""

    def __init__(self, stage: Stage, verdict: Verdict, measured: str, words: str = "") -> None:
        super().__init__(measured)
        self.stage, self.verdict, self.measured, self.words = stage, verdict, measured, words


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Who asks for a proof with which share. `token` is the form's, `shown` the newest proof that its page showed."""

    token: str
    exchange: str
    symbol: str
    by: str
    shown: int


@explained
def prove(desk: Desk, asked: Asked) -> LineProof:
    """
    Run one proof to its verdict and return it; the same form again returns the proof that it began.

    Raise `ProofRefused` while another one is under way, or when one was begun since the page was shown.
    """
    proof, begun = _begin(desk, asked)
    if not begun:
        return proof
    try:
        _check_login(desk, proof)
        price = _far_price(desk, proof)
        order = _place(desk, proof, price)
        verdict = _follow(desk, proof, order)
    except _Failed as failure:
        _keep(desk, proof, failure.stage, False, failure.measured, failure.words)
        verdict = failure.verdict
    return _end(desk, proof, verdict)


def break_off_overdue(desk: Desk) -> None:
    """End a proof whose process died, and wish its order cancelled. The executor looks after each reading."""
    ended = LineProof.objects.filter(mode=desk.mode, verdict=Verdict.BROKEN_OFF, order__status__in=UNFINISHED)
    for proof in ended.filter(order__cancel_requested_at=None):  # its process woke after it was broken off
        assert proof.order is not None, "it was asked for by its order"
        cancel(desk, proof.order, by="executor", reason="the proof that it belongs to was broken off")
    for proof in LineProof.objects.filter(mode=desk.mode, ended_at=None):
        if not proof.is_overdue(desk.clock()):
            continue
        order = made_earlier(desk, _token(proof))
        if order is not None:
            cancel(desk, order, by="executor", reason="the proof that it belongs to was broken off")
        _keep(desk, proof, Stage.END, False, f"begun at {proof.begun_at:%H:%M:%S} UTC, and never ended")
        _end(desk, proof, Verdict.BROKEN_OFF)


def newest(mode: str) -> LineProof | None:
    return LineProof.objects.filter(mode=mode).first()


def _begin(desk: Desk, asked: Asked) -> tuple[LineProof, bool]:
    """Write the proof down before anything else. Return it, and whether this call is the one that began it."""
    break_off_overdue(desk)
    with transaction.atomic(durable=True):
        TradingControl.objects.locked(desk.mode)
        if earlier := LineProof.objects.filter(token=asked.token).first():
            return earlier, False
        last = newest(desk.mode)
        if last is not None and last.ended_at is None:
            raise ProofRefused(f"{last.begun_by} is proving the line already, with {last.symbol}: wait for its end")
        if last is not None and last.pk != asked.shown:
            raise ProofRefused(f"{last.begun_by} proved the line since this was shown: {last}. Look at it first")
        return LineProof.objects.create(
            mode=desk.mode,
            token=asked.token,
            exchange=asked.exchange,
            symbol=asked.symbol,
            begun_at=desk.clock(),
            begun_by=asked.by,
        ), True


def _check_login(desk: Desk, proof: LineProof) -> None:
    if not desk.vault.is_valid(desk.clock()):
        raise _Failed(Stage.LOGIN, Verdict.LOGIN, "nobody is logged in to the broker")
    try:
        user_id = desk.gateway.user_id()
    except SessionRefused as refusal:
        raise _Failed(Stage.LOGIN, Verdict.LOGIN, "the broker refused the login", str(refusal)) from refusal
    except BrokerUnreachable as trouble:
        raise _Failed(Stage.LOGIN, Verdict.UNREACHABLE, "the account could not be read", str(trouble)) from trouble
    armed_for = TradingControl.objects.get(mode=desk.mode).armed_user_id
    if desk.is_live and user_id != armed_for:
        told = f"logged in as {user_id}, and live trading is armed for {armed_for or 'nobody'}"
        raise _Failed(Stage.LOGIN, Verdict.DENIED, told)
    _keep(desk, proof, Stage.LOGIN, True, f"logged in as {user_id}")


def _far_price(desk: Desk, proof: LineProof) -> Decimal:
    """Return a limit near the lower circuit limit, on tick, in INR."""
    instrument = Instrument.objects.named(proof.exchange, proof.symbol)
    if instrument is None or instrument.lot_size != 1:
        of_it = "is not in the broker's list of instruments" if instrument is None else "is not sold by single shares"
        raise _Failed(Stage.MARKET, Verdict.MARKET, f"{proof.exchange}:{proof.symbol} {of_it}")
    told = quote_and_band(desk, proof.exchange, proof.symbol)
    if told.quote is None or told.band is None:
        raise _Failed(Stage.MARKET, Verdict.MARKET, "the broker tells no price of it, or no circuit limits")
    tick, last, lower = instrument.tick_size, told.quote.price, told.band.lower
    price = (lower / tick).to_integral_value(ROUND_CEILING) * tick + tick
    measured = f"last price {rupees(last)}, lower circuit limit {rupees(lower)}"
    if price * 100 > last * (100 - FAR_PERCENT):
        why = f"{measured}: {rupees(price)} would not be {FAR_PERCENT} % below the market, and might fill"
        raise _Failed(Stage.MARKET, Verdict.MARKET, why)
    LineProof.objects.filter(pk=proof.pk).update(price=price)
    _keep(desk, proof, Stage.MARKET, True, f"{measured}: the limit is {rupees(price)}")
    return price


def _place(desk: Desk, proof: LineProof, price: Decimal) -> Order:
    """Decide and send the order. Raise `_Failed` unless the broker gave it an id."""
    try:
        order = decide_manual(desk, _wish(proof, price))
    except OrderDenied as denial:
        codes = _codes(denial.decision)
        verdict = next((_OF_A_DENIAL[code] for code in codes if code in _OF_A_DENIAL), Verdict.DENIED)
        raise _Failed(Stage.ORDER, verdict, f"denied by our risk desk: {denial}") from denial
    except (InvalidOrder, UnknownInstrument, ProofRefused) as refusal:
        raise _Failed(Stage.ORDER, Verdict.DENIED, str(refusal)) from refusal
    LineProof.objects.filter(pk=proof.pk).update(order=order)
    submit(desk, order)
    if order.status == OrderStatus.IN_DOUBT:
        cancel(desk, order, by=proof.begun_by, reason=WHY_CANCELLED)  # when it is known, it goes
        told = "sent, and no trustworthy answer: the broker's book must explain it"
        raise _Failed(Stage.ORDER, Verdict.DOUBT, told, order.status_reason)
    if order.status == OrderStatus.WITHDRAWN:
        raise _Failed(Stage.ORDER, Verdict.DENIED, f"withdrawn unsent: {order.status_reason}")
    if order.status == OrderStatus.REJECTED:
        raise _refused(Stage.ORDER, order)
    _keep(desk, proof, Stage.ORDER, True, f"{order} at {rupees(price)}: {order.status_reason}")
    return order


def _follow(desk: Desk, proof: LineProof, order: Order) -> Verdict:
    """See the order in the broker's book, cancel it whatever was seen, and see its end there."""
    trouble = _look_until(desk, order, lambda: order.broker_status in RESTS or not order.is_unfinished)
    if _has_fills(order):
        return _filled(desk, proof, Stage.BOOK, order)
    if _is(order, OrderStatus.REJECTED):
        raise _refused(Stage.BOOK, order)
    rests = order.broker_status in RESTS
    shown = order.broker_status or f"not shown within {LOOKS_MAX} looks"
    _keep(desk, proof, Stage.BOOK, rests, f"the broker's book has it as {shown}", trouble)
    if order.is_unfinished:
        cancel(desk, order, by=proof.begun_by, reason=WHY_CANCELLED)
        taken = order.cancel_answer == CANCEL_TAKEN
        words = "" if taken else order.cancel_answer
        _keep(desk, proof, Stage.CANCEL, taken, "the broker took it" if taken else "the broker did not take it", words)
    trouble = _look_until(desk, order, lambda: not order.is_unfinished)
    if _has_fills(order):
        return _filled(desk, proof, Stage.END, order)
    if _is(order, OrderStatus.REJECTED):
        raise _refused(Stage.END, order)
    if not _is(order, OrderStatus.CANCELLED):
        told = f"the broker's book has it as {order.broker_status or 'nothing yet'}"
        raise _Failed(Stage.END, Verdict.NOT_CANCELLED, told, trouble or order.cancel_answer)
    if not rests and order.cancel_answer != CANCEL_TAKEN:
        told = "it never rested, and its end was not our cancel"
        raise _Failed(Stage.END, Verdict.REFUSED, told, order.status_reason)
    _keep(desk, proof, Stage.END, True, "cancelled, and nothing was filled")
    return Verdict.PROVED


def _look_until(desk: Desk, order: Order, holds: Callable[[], bool]) -> str:
    """Read the broker's book until that holds, so many times at most. Return the broker's words of a failed look."""
    words = ""
    for look in range(LOOKS_MAX):
        if look:
            desk.pause(LOOK_SECONDS)
        try:
            reconcile(desk)
            words = ""
        except GatewayError as trouble:
            words = str(trouble)
        order.refresh_from_db()
        if holds():
            break
    return words


def _filled(desk: Desk, proof: LineProof, stage: Stage, order: Order) -> Verdict:
    """Say that against all odds it was filled; the incident that follows says how to get out."""
    told = f"{order.filled_quantity} filled at {rupees(order.average_price or Decimal(0))}"
    _keep(desk, proof, stage, False, told)
    return Verdict.FILLED


def _is(order: Order, status: OrderStatus) -> bool:
    return order.status == status


def _has_fills(order: Order) -> bool:
    return order.filled_quantity > 0


def _refused(stage: Stage, order: Order) -> _Failed:
    return _Failed(stage, refusal_is_about(order.status_reason), "the broker refused the order", order.status_reason)


def _keep(desk: Desk, proof: LineProof, stage: Stage, passed: bool, measured: str, words: str = "") -> None:
    proof.stages.create(stage=stage, at=desk.clock(), passed=passed, measured=measured, broker_words=words)


def _end(desk: Desk, proof: LineProof, verdict: Verdict) -> LineProof:
    now = desk.clock()
    LineProof.objects.filter(pk=proof.pk, ended_at=None).update(ended_at=now, verdict=verdict)
    proof.refresh_from_db()
    log.warning("line_proof.ended", mode=proof.mode, symbol=proof.symbol, verdict=verdict, by=proof.begun_by)
    if verdict in {Verdict.FILLED, Verdict.NOT_CANCELLED}:
        _tell(proof, now)
    return proof


def _tell(proof: LineProof, now: datetime) -> None:
    order = proof.order
    Incident.objects.open(
        Incident.Kind.LINE_PROOF,
        mode=proof.mode,
        subject=str(proof.pk),
        title=f"Proving the line with {proof.symbol}: {proof.get_verdict_display().lower()}",
        detail="\n".join(str(stage) for stage in proof.stages.all()),
        what_to_do=WHAT_TO_DO[Verdict(proof.verdict)],
        symbol=proof.symbol,
        client_order_id=(order.client_order_id or "") if order else "",
        now=now,
    )


def _wish(proof: LineProof, price: Decimal) -> ManualOrder:
    return ManualOrder(
        token=_token(proof),
        side=Side.BUY,
        exchange=proof.exchange,
        symbol=proof.symbol,
        quantity=1,
        order_type=OrderType.LIMIT,
        limit_price=price,
        by=proof.begun_by,
        why="to prove the line: placed to be cancelled",
        check=lambda control: _still_under_way(proof),
    )


def _still_under_way(proof: LineProof) -> None:
    """Raise `ProofRefused`, under the lock, when the proof was broken off meanwhile: another may have been begun."""
    if LineProof.objects.filter(pk=proof.pk, ended_at__isnull=False).exists():
        raise ProofRefused("it was broken off meanwhile: this process stood still for too long")


def _token(proof: LineProof) -> str:
    return f"line-proof:{proof.token}"


def _codes(decision: Decision) -> list[str]:
    return [verdict["control"] for verdict in decision.verdicts if not verdict["passed"]]
