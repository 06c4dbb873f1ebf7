"""
Write signals down, once each, before anything is done about them.

A batch is one transaction. The unique (mode, signal id) is what makes a signal one row, however often and by
whichever way it arrives; a stream entry is acknowledged only after this has committed. A message that trips over a
defect of ours is written down by itself, as failed, and takes no other with it.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from operator import attrgetter
from typing import NamedTuple

import structlog
from django.db import DataError, IntegrityError, transaction
from django.db.models import F, Max, Value
from django.db.models.functions import Concat

from orders.copying import copy_in
from orders.desk import Desk
from orders.messages import RAW_BYTES_KEPT, MalformedSignal, SignalMessage, malformed_digest, parse, readable_part
from orders.models import MissedExit, Signal
from risk.models import Incident, TradingControl
from risk.questions import Later, ask, together

log = structlog.get_logger(__name__)

# Scores are kept to so many places, cut and not rounded: what is written down is never stronger than what was sent.
_SCORE_GRID = Decimal("1e-12")
GAPS_CHARACTERS_MAX = 4000  # of further gaps on one incident; its count goes on
# What code and columns raise over one message; an outage raises other things, and is the same for all messages.
_DEFECTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    DataError,
    IntegrityError,
)


@dataclass(frozen=True, kw_only=True)
class Received:
    """One message as it came off the wire."""

    raw: bytes
    source: Signal.Source
    stream_entry_id: str = ""
    replay_of: int | None = None  # the primary key of the signal that a person has repeated
    sent_by: str = ""  # by the JSON API: the user and the name of the token


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """How a batch was written down."""

    new: int
    malformed: int
    duplicates: int
    failed: int = 0


@dataclass(slots=True)
class _Row:
    """A row of signals before it is written: a tenth of what an instance of the model costs. Its fields are columns."""

    mode: str
    source: str
    stream_entry_id: str
    raw: bytes
    received_at: datetime
    replay_of_id: int | None
    sent_by: str = ""
    signal_id: str = ""
    digest: str = ""
    signal_type: str = ""
    exchange: str = ""
    symbol: str = ""
    cms_score: Decimal | None = None
    signal_at: datetime | None = None
    price: Decimal | None = None
    quantity: int | None = None
    order_type: str = ""
    strategy: str = ""
    seq: int | None = None
    status: str = Signal.Status.RECEIVED.value
    reason: str = ""
    decided_at: datetime | None = None
    duplicates: int = 0

    @property
    def is_malformed(self) -> bool:
        return self.status == Signal.Status.MALFORMED

    def refuse(self, reason: str, now: datetime) -> None:
        self.status, self.reason, self.decided_at = Signal.Status.MALFORMED.value, reason, now


_COLUMNS = tuple(field.name for field in fields(_Row))
_values = attrgetter(*_COLUMNS)


class _Known(NamedTuple):
    """What a signal that was written down before is known by."""

    pk: int
    signal_id: str
    digest: str
    stream_entry_id: str


def record(desk: Desk, messages: Sequence[Received]) -> Recorded:
    """Write a batch down in one transaction: a row for each new signal or malformed message, a count for the rest."""
    try:
        return _record(desk, messages)
    except _DEFECTS:
        log.critical("signals.batch_failed", messages=len(messages), exc_info=True)
    each = [_record_alone(desk, message) for message in messages]
    return Recorded(
        new=sum(one.new for one in each),
        malformed=sum(one.malformed for one in each),
        duplicates=sum(one.duplicates for one in each),
        failed=sum(one.failed for one in each),
    )


def _record_alone(desk: Desk, message: Received) -> Recorded:
    try:
        return _record(desk, [message])
    except _DEFECTS as defect:
        log.critical("signal.not_recorded", raw=message.raw[:RAW_BYTES_KEPT], exc_info=True)
        _keep_as_failed(desk, message, f"{type(defect).__name__}: {defect}".replace("\x00", "␀"))
    return Recorded(new=0, malformed=0, duplicates=0, failed=1)


def _keep_as_failed(desk: Desk, message: Received, reason: str) -> None:
    """Keep the bytes of a message that could not be taken in, and tell of it; one to close waits for a person."""
    now = desk.clock()
    digest = malformed_digest(message.raw)
    about = _what_it_is_about(desk, message)
    with transaction.atomic():
        if about:
            TradingControl.objects.locked(desk.mode)
        row, created = Signal.objects.get_or_create(
            mode=desk.mode,
            signal_id=f"failed:{digest[:32]}",
            defaults={
                "digest": digest,
                "source": message.source,
                "stream_entry_id": message.stream_entry_id,
                "raw": message.raw[:RAW_BYTES_KEPT],
                "sent_by": message.sent_by,
                "received_at": now,
                "status": Signal.Status.FAILED,
                "reason": f"a defect of ours: {reason}",
                "decided_at": now,
                **about,
            },
        )
        with contextlib.suppress(*_DEFECTS), transaction.atomic():  # it may have been this that it tripped over
            MissedExit.objects.open(row, why=row.reason, at=now)
        if not created:
            Signal.objects.filter(mode=desk.mode, signal_id=f"failed:{digest[:32]}").update(
                duplicates=F("duplicates") + 1
            )
        Incident.objects.open(
            Incident.Kind.SIGNAL_FAILED,
            mode=desk.mode,
            subject=f"failed:{digest[:32]}",
            title="A message could not be taken in as a signal",
            detail=reason,
            what_to_do="Its bytes are kept and it was not acted on. The executor's log has the traceback.",
            now=now,
        )


def _what_it_is_about(desk: Desk, message: Received) -> dict[str, str]:
    """Return what can be read of a message in spite of the defect; nothing where that trips over it, too."""
    try:
        subject = readable_part(message.raw, default_exchange=desk.rules.default_exchange)
    except _DEFECTS:
        return {}
    if subject is None:
        return {}
    return {"signal_type": subject.signal_type.value, "exchange": subject.exchange, "symbol": subject.symbol}


def _record(desk: Desk, messages: Sequence[Received]) -> Recorded:
    now = desk.clock()
    rows = [_row(desk, message, now) for message in messages]
    with transaction.atomic():
        if any(row.is_malformed and row.signal_type for row in rows):
            TradingControl.objects.locked(desk.mode)  # before any other: whether something is open shall stay true
        with together():
            _one_at_a_time(desk.mode)
            asked = _ask_known(desk.mode, {row.signal_id for row in rows})
        known = asked()
        fresh: dict[str, _Row] = {}
        again: Counter[int] = Counter()
        duplicates = 0
        for row in rows:
            twin = known.get(row.signal_id) or fresh.get(row.signal_id)
            if twin is not None and twin.digest != row.digest:
                row = _conflict(row, now)
                twin = _ask_known(desk.mode, {row.signal_id})().get(row.signal_id) or fresh.get(row.signal_id)
            if twin is None:
                fresh[row.signal_id] = row
            elif not (row.stream_entry_id and row.stream_entry_id == twin.stream_entry_id):
                duplicates += 1
                if isinstance(twin, _Row):
                    twin.duplicates += 1  # of the same batch: it is written with its count
                else:
                    again[twin.pk] += 1
        Signal.objects.count_again(again)
        _tell_gaps(desk, fresh.values(), now)
        copy_in(Signal, _COLUMNS, map(_values, fresh.values()))
        # Of these so much could be read that it is known what they would have done.
        _keep_missed_exits(desk.mode, [row for row in fresh.values() if row.is_malformed and row.signal_type], now)
    malformed = sum(row.is_malformed for row in fresh.values())
    recorded = Recorded(new=len(fresh) - malformed, malformed=malformed, duplicates=duplicates)
    log.info("signals.recorded", new=recorded.new, malformed=malformed, duplicates=duplicates)
    return recorded


def _keep_missed_exits(mode: str, rows: Sequence[_Row], now: datetime) -> None:
    if not rows:
        return
    written = Signal.objects.filter(mode=mode, signal_id__in=[row.signal_id for row in rows]).order_by("id")
    for signal in written.defer("raw"):
        MissedExit.objects.open(signal, why=signal.reason, at=now)


def _one_at_a_time(mode: str) -> None:
    """Wait for whoever else is recording: of two signals with one id, the second must see the first."""
    ask("SELECT pg_advisory_xact_lock(hashtext('orders.inbox'), hashtext(%s))", [mode])


def _row(desk: Desk, message: Received, now: datetime) -> _Row:
    row = _Row(
        mode=desk.mode,
        source=message.source.value,
        stream_entry_id=message.stream_entry_id,
        raw=message.raw[:RAW_BYTES_KEPT],
        received_at=now,
        replay_of_id=message.replay_of,
        sent_by=message.sent_by,
    )
    rules = desk.rules
    try:
        parsed = parse(message.raw, now=now, time_zone=rules.signal_time_zone, default_exchange=rules.default_exchange)
    except MalformedSignal as trouble:
        row.refuse(str(trouble), now)
        row.digest = malformed_digest(message.raw)
        row.signal_id = f"malformed:{row.digest[:32]}"
        for name, value in _what_it_is_about(desk, message).items():
            setattr(row, name, value)
        return row
    return _filled(row, parsed)


def _filled(row: _Row, parsed: SignalMessage) -> _Row:
    row.signal_id, row.digest = parsed.identity, parsed.digest()
    row.signal_type, row.exchange, row.symbol = parsed.signal_type.value, parsed.exchange, parsed.symbol
    row.cms_score = parsed.cms_score.quantize(_SCORE_GRID, rounding=ROUND_DOWN)
    row.signal_at, row.strategy, row.seq = parsed.timestamp, parsed.strategy, parsed.seq
    row.price, row.quantity = parsed.price, parsed.quantity
    row.order_type = parsed.order_type.value if parsed.order_type else ""
    return row


# Each id is looked up by the unique index, also while the planner thinks the table as small as it was an hour ago: of a
# list of ids it would then read every signal there is.
_WRITTEN_BEFORE = """
SELECT signal.* FROM unnest(%s::text[]) AS asked(signal_id) CROSS JOIN LATERAL (
    SELECT id, signal_id, digest, stream_entry_id FROM orders_signal
    WHERE mode = %s AND signal_id = asked.signal_id LIMIT 1
) AS signal
"""


def _ask_known(mode: str, signal_ids: set[str]) -> Later[dict[str, _Known]]:
    asked = ask(_WRITTEN_BEFORE, [list(signal_ids), mode])
    return lambda: {row[1]: _Known(*row) for row in asked()}


def _conflict(row: _Row, now: datetime) -> _Row:
    """Keep a signal whose id stands for another one already: a row of its own, not acted on, and an incident."""
    taken = row.signal_id
    row.signal_id = f"{taken[:60]}#conflict:{row.digest[:24]}"
    row.refuse(f"the id {taken} was used before for a different signal: which one is meant?", now)
    Incident.objects.open(
        Incident.Kind.SIGNAL_CONFLICT,
        mode=row.mode,
        subject=taken[:60],
        title=f"Two different signals carry the id {taken[:60]}",
        what_to_do="The second one was kept and not acted on. Ask its publisher which one is meant.",
        now=now,
    )
    return row


def _tell_gaps(desk: Desk, rows: Iterable[_Row], now: datetime) -> None:
    """Open an incident where a publisher's sequence numbers skip some: signals that we never received."""
    numbered: dict[str, set[int]] = {}
    for row in rows:
        if row.seq is not None:
            numbered.setdefault(row.strategy, set()).add(row.seq)
    for strategy, numbers in numbered.items():
        earlier = Signal.objects.filter(mode=desk.mode, strategy=strategy, seq__isnull=False)
        last = earlier.aggregate(last=Max("seq"))["last"]
        for number in sorted(numbers):
            if last is not None and number > last + 1:
                _open_gap(desk.mode, strategy, first=last + 1, last=number - 1, now=now)
            last = number if last is None else max(last, number)


def _open_gap(mode: str, strategy: str, *, first: int, last: int, now: datetime) -> None:
    """Tell of the gap, on the incident of an earlier one while that is open: who skips numbers does so all day."""
    told = f"Signals {first} to {last} of {strategy or 'the publisher'} never arrived"
    incident = Incident.objects.open(
        Incident.Kind.SIGNAL_GAP,
        mode=mode,
        subject=f"seq:{strategy}",
        title=told,
        what_to_do="Ask the publisher to send them again through the stream, which keeps what nobody heard. Are its "
        "numbers counted for each strategy?",
        now=now,
    )
    if incident.title != told and len(incident.detail) < GAPS_CHARACTERS_MAX:
        Incident.objects.filter(pk=incident.pk).update(detail=Concat("detail", Value(f"{told}\n")))
