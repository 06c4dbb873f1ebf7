"""
The limits in force: how the first set comes about, and how a change becomes a version.

The first values come from the environment; after that the database rules, and a difference is shown, never applied.

A change may take effect later, or hold only for a time. Both are carried out at reading, by the moment that the reader
passes in, and never by a loop alone: a loop that is dead or slow would let a looser value hold past its time, and the
web process and scripts decide orders beside it. Whoever decides or sends an order calls `settle`, which writes what is
due as a version first, so that each decision names the limits it used. Pages and hints read `in_force`, which shows the
same limits and writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from typing import Any

import structlog
from django.db import transaction
from django.db.models import Exists

from risk.engine.limits import InstrumentLimits, Limits
from risk.engine.loosening import contradictions, instrument_limit_loosens, loosens, taken_back
from risk.models import InstrumentLimit, LimitChange, RiskSettings, RiskSettingsVersion, TradingControl

log = structlog.get_logger(__name__)

OPEN_ORDERS_LEAST = 5
# The environment has no name for these.
_DERIVED = frozenset({"order_value_max", "gross_exposure_max", "open_orders_max"})


def first_values(environment: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return a consistent first set of limits from the environment's names.

    `environment` holds POSITION_SIZE, MAX_POSITION_SIZE, MAX_DAILY_TRADES, CMS_BUY_THRESHOLD and CMS_SELL_THRESHOLD.
    The others have no name there. The order value limit is half a position, and never less than one entry; all
    symbols together may be worth five positions. An entry is open until the broker's book shows its fill, so as many
    may be open as may be made in a day: signals that come at once are not refused for coming at once.
    """
    position_size = Decimal(environment["POSITION_SIZE"])
    position_value_max = Decimal(environment["MAX_POSITION_SIZE"])
    return {
        "position_size": position_size,
        "position_value_max": position_value_max,
        "order_value_max": min(max(position_size, position_value_max / 2), position_value_max),
        "gross_exposure_max": 5 * position_value_max,
        "daily_trades_max": environment["MAX_DAILY_TRADES"],
        "open_orders_max": max(OPEN_ORDERS_LEAST, environment["MAX_DAILY_TRADES"]),
        "cms_buy_threshold": Decimal(environment["CMS_BUY_THRESHOLD"]),
        "cms_sell_threshold": Decimal(environment["CMS_SELL_THRESHOLD"]),
    }


def install(environment: Mapping[str, Any], *, now: datetime) -> None:
    """Create the one row of limits where it is missing, as version 1."""
    if RiskSettings.objects.exists():
        return
    first = RiskSettings(changed_by="installation", changed_at=now, **first_values(environment))
    with transaction.atomic():
        first.save(force_insert=True)
        _keep_version(first, changed={}, reason="first start: from the environment")


def in_force(*, now: datetime) -> RiskSettings:
    """
    Return the limits that hold at `now`, for a page or a hint: what is due is applied, and nothing is written.

    Its version is the last one written. What decides or sends an order takes the limits from `settle`.
    """
    current, is_due = _stored(now)
    for step in _due_steps(current, now) if is_due else ():
        for name, value in step.values.items():
            setattr(current, name, value)
    return current


def settle(*, now: datetime) -> RiskSettings:
    """
    Write as versions what is due at `now`, and return the limits in force.

    The caller is in a transaction. It may hold a mode's lock: the row of the limits is always locked after those.
    """
    current, is_due = _stored(now)
    if not is_due:
        return current
    with transaction.atomic():
        current = RiskSettings.objects.select_for_update().get(pk=1)
        for step in _due_steps(current, now):
            for change in step.changes:
                change.advance(step.status or change.status_in_force, at=now, note=step.note)
            put_in_force(current, step.values, by=step.by, reason=step.reason, now=now)
        return current


def _stored(now: datetime) -> tuple[RiskSettings, bool]:
    """Return the row of the limits, and whether anything is due: one query, as every decision asks it."""
    current = RiskSettings.objects.annotate(is_due=Exists(LimitChange.objects.due(now))).get(pk=1)
    return current, current.is_due


def carry_out(*, now: datetime) -> None:
    """
    Write what is due in a transaction of its own, which no refusal of what the caller wants next takes back.

    The executor does it whenever it is idle, so that the history is prompt; nothing relies on that.
    """
    with transaction.atomic():
        settle(now=now)


def for_instrument(exchange: str, symbol: str, *, now: datetime) -> Limits:
    """Return one symbol's limits for a page or a hint, as `in_force`: of the general ones and its own the tighter."""
    return _with_its_own(in_force(now=now), exchange, symbol)


def settle_for_instrument(exchange: str, symbol: str, *, now: datetime) -> Limits:
    """Return one symbol's limits for what decides its order, as `settle`, whose transaction and locks it needs."""
    return _with_its_own(settle(now=now), exchange, symbol)


def _with_its_own(general: RiskSettings, exchange: str, symbol: str) -> Limits:
    own = InstrumentLimit.objects.filter(exchange=exchange, symbol=symbol).first()
    return general.limits().within(own.limits()) if own else general.limits()


def of_instruments() -> dict[tuple[str, str], InstrumentLimits]:
    """Return the limits of every symbol that has its own, by exchange and symbol."""
    return {(each.exchange, each.symbol): each.limits() for each in InstrumentLimit.objects.all()}


def differences(environment: Mapping[str, Any], *, now: datetime) -> dict[str, tuple[str, str]]:
    """Return each limit that the environment names with another value than the one in force: (environment, row)."""
    current = in_force(now=now)
    return {
        name: (str(value), str(getattr(current, name)))
        for name, value in first_values(environment).items()
        if name not in _DERIVED and getattr(current, name) != value
    }


def loosened(before: RiskSettings, after: RiskSettings) -> list[str]:
    """Return the names of the limits that allow more after than before."""
    return [
        name
        for name in RiskSettings.LIMIT_FIELDS
        if loosens(name, before=getattr(before, name), after=getattr(after, name))
    ]


class LimitsChanged(Exception):
    """The limits were changed since the page that saves was shown. Look at them again, then decide."""


def save(
    edited: RiskSettings, changed: list[str], *, by: str, reason: str, now: datetime, version_shown: int | None = None
) -> RiskSettings:
    """
    Put the edited limits named in `changed` in force as the next version; the others keep what they are now.

    Raise `LimitsChanged` when `version_shown` is given and no longer the one in force: what tightens one version may
    loosen the next. Holds the lock of every mode, so that a decision sees the limits before or after, never in between.
    """
    with transaction.atomic():
        current = locked(now=now)
        check_shown(current, version_shown)
        return put_in_force(current, {name: getattr(edited, name) for name in changed}, by=by, reason=reason, now=now)


def locked(*, now: datetime) -> RiskSettings:
    """Return the limits in force, every decision held off until the transaction ends."""
    list(TradingControl.objects.select_for_update().order_by("mode"))
    settle(now=now)
    return RiskSettings.objects.select_for_update().get(pk=1)


def check_shown(current: RiskSettings, version_shown: int | None) -> None:
    """Raise `LimitsChanged` when a version is named and is no longer the one in force."""
    if version_shown is not None and current.version != version_shown:
        raise LimitsChanged(f"{current.changed_by} changed the limits meanwhile: open the page again, then decide")


def put_in_force(
    current: RiskSettings, values: Mapping[str, Any], *, by: str, reason: str, now: datetime, approved_by: str = ""
) -> RiskSettings:
    """
    Make these values the next version, and end the wishes that it overtakes. The caller holds the lock.

    It asks for nothing: what a person wants goes through `risk.approvals`.
    """
    changes = {
        name: [str(getattr(current, name)), str(value)]
        for name, value in values.items()
        if getattr(current, name) != value
    }
    if not changes:
        return current
    for name in changes:
        setattr(current, name, values[name])
    current.version += 1
    current.changed_by, current.changed_at = by, now
    current.save(update_fields=[*changes, "version", "changed_by", "changed_at"])
    _keep_version(current, changed=changes, reason=reason, approved_by=approved_by)
    _end_what_is_overtaken(current, changes, by=by, now=now)
    log.warning(
        "limits.changed", version=current.version, by=by, approved_by=approved_by, reason=reason, changes=changes
    )
    return current


def save_instrument(
    edited: InstrumentLimit, *, by: str, reason: str, now: datetime, version_shown: int | None = None
) -> InstrumentLimit:
    """
    Put one symbol's limits in force, as a version of the limits in which everything else stays as it is.

    One number so names all that was in force, and an order that was decided before is not sent. Raise `LimitsChanged`
    as `save`. Holds the lock of every mode. It asks for nothing: what a person wants goes through `risk.approvals`.
    """
    with transaction.atomic():
        current = locked(now=now)
        check_shown(current, version_shown)
        kept = kept_of_instrument(edited)
        before, after = kept.values() if kept else {}, edited.values()
        changes = {
            f"{edited} {name}": [before.get(name, ""), after.get(name, "")]
            for name in InstrumentLimit.LIMIT_FIELDS
            if before.get(name, "") != after.get(name, "")
        }
        if kept and not changes:
            return kept
        edited.pk = kept.pk if kept else None
        edited.changed_by, edited.changed_at = by, now
        edited.save()
        current.version += 1
        current.changed_by, current.changed_at = by, now
        current.save(update_fields=["version", "changed_by", "changed_at"])
        _keep_version(current, changed=changes, reason=reason)
    log.warning("instrument_limit.changed", instrument=str(edited), by=by, reason=reason, changes=changes)
    return edited


def kept_of_instrument(edited: InstrumentLimit) -> InstrumentLimit | None:
    """Return the limits that the same symbol has in force; None when it has none of its own."""
    return InstrumentLimit.objects.filter(exchange=edited.exchange, symbol=edited.symbol).first()


def loosened_of_instrument(before: InstrumentLimit | None, after: InstrumentLimit) -> list[str]:
    """Return the names of the symbol's limits that allow more after than before; a new row allows nothing more."""
    return [
        name
        for name in InstrumentLimit.LIMIT_FIELDS
        if before is not None and instrument_limit_loosens(name, getattr(before, name), getattr(after, name))
    ]


def _end_what_is_overtaken(current: RiskSettings, changed: Mapping[str, Any], *, by: str, now: datetime) -> None:
    for change in LimitChange.objects.unfinished().filter(limit__in=changed):
        waits = change.status == LimitChange.Status.PENDING
        if waits and (reason := change.stale_because(current)):
            change.advance(LimitChange.Status.STALE, at=now, note=reason)
        elif not waits and not loosens(change.limit, change.value_before, getattr(current, change.limit)):
            change.advance(LimitChange.Status.ENDED, at=now, note=f"tightened back by {by}")


@dataclass(frozen=True, kw_only=True)
class _Step:
    """One thing that is due: what becomes of some changes (None: each is in force), and the values that follow."""

    changes: list[LimitChange]
    status: LimitChange.Status | None
    note: str
    values: Mapping[str, Any]
    by: str = "expiry"
    reason: str = ""


def _due_steps(current: RiskSettings, now: datetime) -> Iterator[_Step]:
    """Yield what is due, each step from the limits as the caller left them after the one before."""
    due = list(LimitChange.objects.due(now))
    for change in due:
        if change.is_over(now):
            yield _ending(change, current)
    takes_effect = [change for change in due if not change.is_over(now)]
    for _, asked_together in groupby(takes_effect, key=lambda change: (change.created_at, change.author_account)):
        yield from _taking_effect(list(asked_together), current)


def _ending(change: LimitChange, current: RiskSettings) -> _Step:
    """The time of a change is over: what is still looser than before goes back, what was tightened further stays."""
    held = change.status == LimitChange.Status.TEMPORARY
    now_in_force = getattr(current, change.limit)
    returns = held and loosens(change.limit, change.value_before, now_in_force)
    return _Step(
        changes=[change],
        status=LimitChange.Status.ENDED,
        note="its time is over" if held else "its time was over before it took effect",
        values={change.limit: taken_back(change.limit, change.value_before, now_in_force)} if returns else {},
        reason=f"{change} held for a time, which is over ({change.author}: {change.reason})",
    )


def _taking_effect(changes: list[LimitChange], current: RiskSettings) -> Iterator[_Step]:
    """What one person confirmed at one time takes effect at one time, but for what is no longer based on what holds."""
    stale = LimitChange.Status.STALE
    for change in changes:
        if reason := change.stale_because(current):
            yield _Step(changes=[change], status=stale, note=reason, values={})
    valid = [change for change in changes if not change.stale_because(current)]
    values = {change.limit: change.value_after for change in valid}
    if against := contradictions({**current.numbers(), **values}, about=values):
        yield _Step(changes=valid, status=stale, note=f"the limits would contradict: {against[0].why}", values={})
    elif valid:
        first = valid[0]
        yield _Step(changes=valid, status=None, note="confirmed", values=values, by=first.author, reason=first.reason)


def _keep_version(limits: RiskSettings, *, changed: dict[str, list[str]], reason: str, approved_by: str = "") -> None:
    RiskSettingsVersion.objects.create(
        version=limits.version,
        limits=limits.values() | _of_instruments(),
        changed=changed,
        author=limits.changed_by,
        approved_by=approved_by,
        reason=reason,
        at=limits.changed_at,
    )


def _of_instruments() -> dict[str, str]:
    """Return every limit of every symbol that has its own, as text."""
    return {f"{each} {name}": value for each in InstrumentLimit.objects.all() for name, value in each.values().items()}
