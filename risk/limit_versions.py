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

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import structlog
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from risk.audit.who import explained
from risk.due_changes import as_held, due_steps, overtaken
from risk.engine.limits import InstrumentLimits, Limits
from risk.engine.loosening import above_ceilings, instrument_limit_loosens, loosens, within_ceilings
from risk.first_limits import DERIVED, first_values
from risk.models import (
    HeldLimits,
    Incident,
    InstrumentLimit,
    LimitChange,
    RiskSettings,
    RiskSettingsVersion,
    TradingControl,
)
from risk.questions import Later, Question

log = structlog.get_logger(__name__)


def install(environment: Mapping[str, Any], *, now: datetime) -> None:
    """Create the one row of limits where it is missing, as version 1."""
    if RiskSettings.objects.exists():
        return
    first = RiskSettings(changed_by="installation", changed_at=now, **first_values(environment))
    with transaction.atomic():
        first.save(force_insert=True)
        _keep_version(first, changed={}, reason="first start: from the environment")


def see_to_the_version(*, now: datetime) -> None:
    """
    Keep the limits in force as a version where the newest one lacks some: those that an upgrade brought.

    A decision names its version, and every limit it was held against must be found there.
    """
    with transaction.atomic():
        current = RiskSettings.objects.select_for_update().get(pk=1)
        kept = RiskSettingsVersion.objects.filter(version=current.version).values_list("limits", flat=True).first()
        lacking = [name for name in RiskSettings.LIMIT_FIELDS if name not in (kept or {})]
        if not lacking:
            return
        current.version += 1
        current.changed_by, current.changed_at = "upgrade", now
        current.save(update_fields=["version", "changed_by", "changed_at"])
        first = {name: ["", current.as_text(getattr(current, name))] for name in lacking}
        _keep_version(current, changed=first, reason=f"upgrade: first values of {labels(lacking)}")
    log.warning("limits.completed", version=current.version, limits=lacking)


def keep_within(ceilings: Mapping[str, Any], *, mode: str, now: datetime) -> None:
    """
    Put limits in force that do not pass the ceilings of the settings, and open an incident that names each of them.

    That is tightening, so it needs nobody. A wish that waits for more than is allowed now is stale.
    """
    carry_out(now=now)
    with transaction.atomic():
        current = locked(now=now)
        lowered = within_ceilings(current.numbers(), ceilings)
        steps = "; ".join(f"{RiskSettings.label(n)} {getattr(current, n)} → {lowered[n]}" for n in lowered)
        put_in_force(current, lowered, by="installation", reason=f"limits in line with the settings: {steps}", now=now)
        for change in LimitChange.objects.pending():
            if change.limit in ceilings and above_ceilings({change.limit: change.value_after}, ceilings):
                note = f"the settings of this installation allow {ceilings[change.limit]} now"
                change.advance(LimitChange.Status.STALE, at=now, note=note)
        if lowered:
            Incident.objects.open(
                Incident.Kind.LIMITS_LOWERED,
                mode=mode,
                subject=f"version {current.version}",
                title=f"{len(lowered)} limits were lowered to the ceilings of the settings",
                detail=f"Version {current.version}: {steps}.",
                what_to_do=(
                    "A CEILING_… of the settings is below the limit that was in force: the ceiling is the limit since. "
                    "If that is not meant, raise the ceiling, and then the limit on the Risk settings page."
                ),
                now=now,
            )


def labels(names: Iterable[str]) -> str:
    return ", ".join(RiskSettings.label(name) for name in names)


def in_force(*, now: datetime) -> RiskSettings:
    """
    Return the limits that hold at `now`, for a page or a hint: what is due is applied, and nothing is written.

    Its version is the last one written. What decides or sends an order takes the limits from `settle`.
    """
    current, is_due = _stored(now)
    if is_due:
        as_held(current, now)
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
        for held in (current, *_of_instruments_as_stored(now).filter(is_due=True)):
            for step in due_steps(held, now):
                for change in step.changes:
                    change.advance(step.status or change.status_in_force, at=now, note=step.note)
                put_in_force(current, step.values, held=held, by=step.by, reason=step.reason, now=now)
        return current


def ask_settled(*, now: datetime) -> Later[RiskSettings]:
    """Ask for the limits in force `together` with other things; what is due is written first, as by `settle`."""
    asked = _GENERAL.ask(now=now)

    def told() -> RiskSettings:
        (current,) = asked()
        return settle(now=now) if current.is_due else current

    return told


def _stored(now: datetime) -> tuple[RiskSettings, bool]:
    """Return the row of the limits, and whether anything is due: one query, as every decision asks it."""
    (current,) = _GENERAL.rows(now=now)
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
    return _with_its_own(in_force(now=now), exchange, symbol, now)


def settle_for_instrument(exchange: str, symbol: str, *, now: datetime) -> Limits:
    """Return one symbol's limits for what decides its order, as `settle`, whose transaction and locks it needs."""
    return _with_its_own(settle(now=now), exchange, symbol, now)


def ask_for_instrument(exchange: str, symbol: str, *, now: datetime) -> Later[Limits | None]:
    """
    Ask for one symbol's limits `together` with what else a decision needs.

    None is told when anything is due: then `settle_for_instrument` writes it down first.
    """
    general, own = _GENERAL.ask(now=now), _OF_ONE.ask(exchange=exchange, symbol=symbol, now=now)

    def told() -> Limits | None:
        (current,), of_it = general(), own()
        if current.is_due or any(each.is_due for each in of_it):
            return None
        return _tightest(current, of_it[0] if of_it else None)

    return told


def _with_its_own(general: RiskSettings, exchange: str, symbol: str, now: datetime) -> Limits:
    return _tightest(general, own_of_instrument(exchange, symbol, now=now))


def _tightest(general: RiskSettings, own: InstrumentLimit | None) -> Limits:
    return general.limits().within(own.limits()) if own else general.limits()


def own_of_instrument(exchange: str, symbol: str, *, now: datetime) -> InstrumentLimit | None:
    """Return the symbol's own limits as they hold at `now`, and write nothing; None when it has none."""
    own = next(iter(_OF_ONE.rows(exchange=exchange, symbol=symbol, now=now)), None)
    if own is not None and own.is_due:
        as_held(own, now)
    return own


def blocked_by(exchange: str, symbol: str) -> RiskSettingsVersion | None:
    """Return the version of the limits that blocked the symbol last: its author, reason and moment."""
    changed = f"{exchange}:{symbol} blocked"
    return RiskSettingsVersion.objects.filter(changed__has_key=changed).order_by("-version").first()


def of_instruments(*, now: datetime) -> dict[tuple[str, str], InstrumentLimits]:
    """Return the limits of every symbol that has its own, as they hold at `now`, by exchange and symbol."""
    every = _OF_EACH.rows(now=now)
    for own in every:
        if own.is_due:
            as_held(own, now)
    return {(own.exchange, own.symbol): own.limits() for own in every}


def _of_instruments_as_stored(now: datetime) -> QuerySet[Any]:
    """Return the symbols' own limits, each with whether anything of it is due."""
    of_it = LimitChange.objects.due(now).filter(exchange=OuterRef("exchange"), symbol=OuterRef("symbol"))
    return InstrumentLimit.objects.annotate(is_due=Exists(of_it))


_GENERAL = Question[Any](
    lambda now: RiskSettings.objects.annotate(is_due=Exists(LimitChange.objects.due(now))).filter(pk=1), now=datetime
)
_OF_EACH = Question[Any](lambda now: _of_instruments_as_stored(now), now=datetime)
_OF_ONE = Question[Any](
    lambda exchange, symbol, now: _of_instruments_as_stored(now).filter(exchange=exchange, symbol=symbol),
    exchange=str,
    symbol=str,
    now=datetime,
)


def differences(
    environment: Mapping[str, Any], *, now: datetime, current: RiskSettings | None = None
) -> dict[str, tuple[str, str]]:
    """
    Return each limit that the environment names with another value than the one in force: (environment, row).

    Who has read those in force already hands them over as `current`.
    """
    current = current or in_force(now=now)
    return {
        name: (str(value), str(getattr(current, name)))
        for name, value in first_values(environment).items()
        if name not in DERIVED and getattr(current, name) != value
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


@explained
def put_in_force(
    current: RiskSettings,
    values: Mapping[str, Any],
    *,
    by: str,
    reason: str,
    now: datetime,
    held: HeldLimits | None = None,
    approved_by: str = "",
) -> RiskSettings:
    """
    Make these values the next version, and end the wishes that it overtakes. The caller holds the lock.

    With `held` they are a symbol's own; everything else stays as it is. It asks for nothing: what a person wants goes
    through `risk.approvals`.
    """
    held = held or current
    changed = [name for name, value in values.items() if getattr(held, name) != value]
    if not changed and held.pk is not None:
        return current
    of_it = "" if held is current else f"{held} "
    changes = {f"{of_it}{name}": [held.as_text(getattr(held, name)), held.as_text(values[name])] for name in changed}
    for name in changed:
        setattr(held, name, values[name])
    current.version += 1
    for each in {id(each): each for each in (held, current)}.values():
        each.changed_by, each.changed_at = by, now
    if held is not current:
        held.save()
    current.save(update_fields=[*(changed if held is current else ()), "version", "changed_by", "changed_at"])
    _keep_version(current, changed=changes, reason=reason, approved_by=approved_by)
    for step in overtaken(held, changed, by=by):
        for change in step.changes:
            change.advance(step.status or change.status_in_force, at=now, note=step.note)
    log.warning(
        "limits.changed", version=current.version, by=by, approved_by=approved_by, reason=reason, changes=changes
    )
    return current


@explained
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
        held = held_of_instrument(edited.exchange, edited.symbol)
        put_in_force(current, edited.numbers(), held=held, by=by, reason=reason, now=now)
    return held


def held_of_instrument(exchange: str, symbol: str) -> InstrumentLimit:
    """Return the symbol's own limits for what changes them under the lock; a new row when it has none."""
    kept = InstrumentLimit.objects.filter(exchange=exchange, symbol=symbol).first()
    return kept or InstrumentLimit(exchange=exchange, symbol=symbol)


def loosened_of_instrument(before: InstrumentLimit, after: InstrumentLimit) -> list[str]:
    """Return the names of the symbol's limits that allow more after than before."""
    return [
        name
        for name in InstrumentLimit.LIMIT_FIELDS
        if instrument_limit_loosens(name, getattr(before, name), getattr(after, name))
    ]


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
