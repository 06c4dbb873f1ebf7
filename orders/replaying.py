"""
Replay: a signal that was not acted on, wished once more by a person, as a signal of its own.

It has a new id and the time of now, says which one it repeats, and is decided by the executor like any other.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

import structlog
from django.db import transaction
from django.db.models import Q

from orders.desk import Desk
from orders.inbox import Received, record
from orders.lifecycle import UNFINISHED
from orders.models import Order, Signal
from risk.audit.who import explained
from risk.engine.facts import TradingSignalType
from risk.models import TradingControl

log = structlog.get_logger(__name__)


class ReplayRefused(Exception):
    """The signal cannot be replayed now; the text says why."""


@dataclass(frozen=True)
class Replayed:
    """The new signal, and whether this call made it: the same form sent again finds what it made before."""

    signal: Signal
    is_new: bool


def cannot_be_replayed(signal: Signal, mode: str, today: date) -> str:
    """Return why repeating the signal makes no sense; empty when it may be tried."""
    if signal.mode != mode:
        return f"it belongs to {signal.mode}, and this is {mode}"
    if signal.status == Signal.Status.RECEIVED:
        return "it still waits to be decided"
    if not signal.signal_type or signal.cms_score is None:
        return "it could not be read, so there is nothing to repeat"
    if signal.signal_type == TradingSignalType.HOLD:
        return "a HOLD asks for nothing"
    if _acted_on([signal.pk]):
        return "it was acted on: its order works, or something of it is filled"
    if Order.objects.to_be_tried_again(mode, today).filter(signal=signal).exists():
        return "its order was turned away, and is tried again by itself"
    return _what_became_of_the_same(signal)


def _what_became_of_the_same(signal: Signal) -> str:
    """Return why not, for what else says the same: what it repeats, and every replay of either."""
    others = _of_the_same_wish(signal) - {signal.pk}
    if Signal.objects.filter(pk__in=others, status=Signal.Status.RECEIVED).exists():
        return "a replay of it still waits to be decided"
    if _acted_on(others):
        return "what it repeats or a replay of it was acted on: its order works, or something of it is filled"
    return ""


def _of_the_same_wish(signal: Signal) -> set[int]:
    """Return the first of the signals that say the same, and all its replays, and theirs."""
    first = signal.pk
    before = signal.replay_of_id
    while before is not None:  # one replays only what was there before it: no ring can be
        first, before = before, Signal.objects.values_list("replay_of_id", flat=True).get(pk=before)
    found, newest = {first}, {first}
    while newest:
        newest = set(Signal.objects.filter(replay_of__in=newest).values_list("pk", flat=True))
        found |= newest
    return found


def _acted_on(signals: Collection[int]) -> bool:
    acted_on = Q(status__in=sorted(UNFINISHED)) | Q(filled_quantity__gt=0)
    return Order.objects.filter(acted_on, signal__in=signals).exists()


@explained
def replay(desk: Desk, signal: Signal, *, token: str, by: str, reason: str, shown: int) -> Replayed:
    """
    Record the signal anew, once for each form. `shown` is how many replays of it the person saw.

    Raise `ReplayRefused`, also when somebody else replayed it since then.
    """
    signal_id = f"replay-{token}"
    if not reason.strip():
        raise ReplayRefused("say why: the reason is kept")
    with transaction.atomic(durable=True):
        TradingControl.objects.locked(desk.mode)  # two people who replay it at once stand in line
        if earlier := Signal.objects.filter(mode=desk.mode, signal_id=signal_id).first():
            return Replayed(earlier, is_new=False)
        signal.refresh_from_db()
        if signal.replays.count() != shown:
            raise ReplayRefused("somebody replayed it since this page was opened: look at what became of that first")
        if refusal := cannot_be_replayed(signal, desk.mode, desk.today()):
            raise ReplayRefused(refusal)
        raw = _message(desk, signal, signal_id=signal_id, by=by, reason=reason)
        record(desk, [Received(raw=raw, source=Signal.Source.STAFF, replay_of=signal.pk)])
        made = signal.replays.latest("id")
    log.warning("signal.replayed", signal=made.signal_id, replay_of=signal.signal_id, by=by, reason=reason)
    return Replayed(made, is_new=True)


def _message(desk: Desk, signal: Signal, *, signal_id: str, by: str, reason: str) -> bytes:
    """Return the wire form of the signal as of now, without its number in the publisher's sequence."""
    said = {
        "signal_id": signal_id,
        "signal_type": signal.signal_type,
        "symbol": f"{signal.exchange}:{signal.symbol}",
        "cms_score": str(signal.cms_score),
        "timestamp": desk.clock().isoformat(),
        "price": None if signal.price is None else str(signal.price),
        "quantity": signal.quantity,
        "order_type": signal.order_type or None,
        "strategy": signal.strategy,
        "replay": {"of": signal.signal_id, "by": by, "reason": reason},
    }
    return json.dumps({name: value for name, value in said.items() if value is not None}).encode()
