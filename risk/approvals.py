"""
Looser needs more: what a person wants of the limits, split into what tightens and what loosens.

What tightens is a version at once. What loosens waits for what the house asks for: a word that was typed, with a minute
in live in which anybody may withdraw it, or a second person. Whoever wished it never answers it, superuser or not, and
the database refuses that too. Nobody passes a ceiling of the settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction

from risk import four_eyes, limit_versions
from risk.audit.who import explained
from risk.engine.loosening import above_ceilings, contradictions
from risk.four_eyes import ChangeRefused, House
from risk.models import HeldLimits, InstrumentLimit, LimitChange, RiskSettings

log = structlog.get_logger(__name__)

APPROVE = "risk.approve_limits"

Needs, Status = LimitChange.Needs, LimitChange.Status


@dataclass(frozen=True, kw_only=True)
class Saved:
    """What became of a save: the limits in force after it, and the wishes that wait."""

    limits: RiskSettings
    held: HeldLimits
    waiting: list[LimitChange]


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """Who wants it, why, when, for how long, and what the house asks of them."""

    author: User
    reason: str
    now: datetime
    house: House
    expires_at: datetime | None


@explained
def save(
    edited: RiskSettings,
    changed: Iterable[str],
    *,
    author: User,
    reason: str,
    now: datetime,
    house: House,
    version_shown: int | None,
    expires_at: datetime | None = None,
) -> Saved:
    """
    Put in force what tightens among the limits named in `changed`, and let what loosens wait for what it needs.

    With `expires_at` what loosens holds until then, and the value before returns. Sent again, it changes nothing more.
    Raise `LimitsChanged` when `version_shown` is no longer in force, `ChangeRefused` when it cannot be saved at all.
    """
    asked = _Asked(author=author, reason=reason, now=now, house=house, expires_at=expires_at)
    limit_versions.carry_out(now=now)
    with transaction.atomic():
        current = limit_versions.locked(now=now)
        limit_versions.check_shown(current, version_shown)
        return _save(current, current, {name: getattr(edited, name) for name in changed}, asked)


@explained
def save_instrument(
    edited: InstrumentLimit,
    *,
    author: User,
    reason: str,
    now: datetime,
    house: House,
    version_shown: int | None,
    expires_at: datetime | None = None,
) -> Saved:
    """Do as `save` with one symbol's own limits: what loosens one of them waits for the same."""
    asked = _Asked(author=author, reason=reason, now=now, house=house, expires_at=expires_at)
    limit_versions.carry_out(now=now)
    with transaction.atomic():
        current = limit_versions.locked(now=now)
        limit_versions.check_shown(current, version_shown)
        held = limit_versions.held_of_instrument(edited.exchange, edited.symbol)
        return _save(current, held, edited.numbers(), asked)


@explained
def set_blocked(
    exchange: str,
    symbol: str,
    blocked: bool,
    *,
    author: User,
    reason: str,
    now: datetime,
    house: House,
    version_shown: int | None = None,
) -> Saved:
    """
    Block one symbol, which is at once, or wish it open again, which waits for what the house asks for.

    The symbol's other limits stay as they are, whoever changes them meanwhile: so that blocking needs no version shown.
    Raise `ChangeRefused` when it is so already, `LimitsChanged` as `save`.
    """
    asked = _Asked(author=author, reason=reason, now=now, house=house, expires_at=None)
    limit_versions.carry_out(now=now)
    with transaction.atomic():
        current = limit_versions.locked(now=now)
        held = limit_versions.held_of_instrument(exchange, symbol)
        if held.blocked == blocked:
            raise ChangeRefused(f"{held} is {'blocked already' if blocked else 'not blocked'}{_about_to_open(held)}")
        limit_versions.check_shown(current, version_shown)
        return _save(current, held, {"blocked": blocked}, asked)


def _about_to_open(held: InstrumentLimit) -> str:
    """Return in words what waits to unblock the symbol: blocked as it is, it would not stay so."""
    waiting = LimitChange.objects.pending().about(held).filter(limit="blocked").first() if held.blocked else None
    if waiting is None:
        return ""
    return f", and a wish of {waiting.author} to unblock it waits: withdraw that to keep it blocked"


def _save(current: RiskSettings, held: HeldLimits, values: Mapping[str, Any], asked: _Asked) -> Saved:
    now, house = asked.now, asked.house
    wished = {name: value for name, value in values.items() if value != getattr(held, name)}
    loosened = {name: value for name, value in wished.items() if held.loosens(name, getattr(held, name), value)}
    tightened = {name: value for name, value in wished.items() if name not in loosened}
    check_possible(held, wished, house.ceilings)
    if not house.loosens_at_once:
        check_possible(held, tightened, house.ceilings)
    if loosened and asked.expires_at is not None and asked.expires_at <= now + house.delay:
        raise ChangeRefused("it would be over before it takes effect: give a later moment")
    wishes = [_wish(current, held, name, value, asked) for name, value in loosened.items()]
    at_once = {**tightened, **(loosened if house.loosens_at_once else {})}
    author = asked.author.get_username()
    limits = limit_versions.put_in_force(current, at_once, held=held, by=author, reason=asked.reason, now=now)
    return Saved(limits=limits, held=held, waiting=[wish for wish in wishes if wish.status == Status.PENDING])


def check_possible(held: HeldLimits, wished: Mapping[str, Any], ceilings: Mapping[str, Any]) -> None:
    """Raise `ChangeRefused` when what is wished passes a ceiling, cannot be such a limit, or contradicts the others."""
    for name in above_ceilings(wished, ceilings):
        raise ChangeRefused(
            f"{held.label(name)} cannot be {wished[name]}: the settings of this installation allow "
            f"{ceilings[name]}, whoever approves"
        )
    for name, value in wished.items():
        try:
            held.check_value(name, value)
        except ValidationError as error:
            raise ChangeRefused(f"{held.label(name)}: {' '.join(error.messages)}") from error
    if not isinstance(held, RiskSettings):
        return  # the tighter of a symbol's own and the general ones holds: they cannot contradict each other
    together = {**held.numbers(), **wished}
    for order in contradictions(together, about=wished):
        raise ChangeRefused(
            f"{RiskSettings.label(order.smaller)} {together[order.smaller]} and {RiskSettings.label(order.larger)} "
            f"{together[order.larger]} would contradict each other: {order.why}"
        )


def _wish(current: RiskSettings, held: HeldLimits, name: str, value: Any, asked: _Asked) -> LimitChange:
    """Write the wish down; return the one that is there already when it is the same person's same wish."""
    exchange, symbol = (held.exchange, held.symbol) if isinstance(held, InstrumentLimit) else ("", "")
    change = LimitChange(
        exchange=exchange,
        symbol=symbol,
        limit=name,
        before=held.as_text(getattr(held, name)),
        after=held.as_text(value),
        based_on_version=current.version,
        author=asked.author.get_username(),
        author_account=asked.author.pk,
        reason=asked.reason,
        created_at=asked.now,
        needs=asked.house.needs,
        due_at=asked.house.due_at(asked.now),
        expires_at=asked.expires_at,
    )
    if earlier := LimitChange.objects.unfinished().about(held).filter(limit=name).first():
        if earlier.is_the_same_wish_as(change):
            return earlier
        raise ChangeRefused(
            f"{earlier.label} has an unfinished change by {earlier.author} already, to {earlier.after or 'none'}"
        )
    if asked.house.loosens_at_once:
        change.status, change.decided_at, change.note = change.status_in_force, asked.now, "confirmed"
    change.save(force_insert=True)
    log.warning("limit_change.asked", limit=change.key, before=change.before, after=change.after, by=change.author)
    return change


@explained
def approve(change_id: int, *, by: User, reason: str, now: datetime, house: House) -> LimitChange:
    """
    Put a wish in force as the second person. Raise `ChangeRefused` when this person may not, or it cannot be.

    One that is no longer based on what holds is marked STALE, and refused.
    """
    limit_versions.carry_out(now=now)
    with transaction.atomic():
        current = limit_versions.locked(now=now)
        change = _waiting(change_id)
        second = _second_person(change, by)
        four_eyes.check_author_is_there(change)
        four_eyes.check_apart(change, second, APPROVE)
        held = limit_versions.held_of_instrument(change.exchange, change.symbol) if change.symbol else current
        if stale := change.stale_because(held):
            change.advance(Status.STALE, at=now, note=stale)
        else:
            value = {change.limit: change.value_after}
            check_possible(held, value, house.ceilings)
            name = second.get_username()
            change.advance(change.status_in_force, at=now, by=name, account=second.pk, note=reason)
            limit_versions.put_in_force(
                current, value, held=held, by=change.author, approved_by=name, reason=change.reason, now=now
            )
    if stale:
        raise ChangeRefused(stale)
    return change


@explained
def reject(change_id: int, *, by: User, reason: str, now: datetime) -> LimitChange:
    """Refuse a wish as the second person. Raise `ChangeRefused` when this person may not, or it waits no longer."""
    limit_versions.carry_out(now=now)
    with transaction.atomic():
        limit_versions.locked(now=now)
        change = _waiting(change_id)
        second = _second_person(change, by)
        change.advance(Status.REJECTED, at=now, by=second.get_username(), account=second.pk, note=reason)
    return change


@explained
def withdraw(change_id: int, *, by: User, reason: str, now: datetime) -> LimitChange:
    """Take back a wish that waits, one's own or another's: staying tight needs nobody's leave."""
    limit_versions.carry_out(now=now)
    with transaction.atomic():
        limit_versions.locked(now=now)
        change = _waiting(change_id, needs=None)
        change.advance(Status.WITHDRAWN, at=now, by=by.get_username(), account=by.pk, note=reason)
    return change


def _waiting(change_id: int, *, needs: LimitChange.Needs | None = Needs.SECOND_PERSON) -> LimitChange:
    change = LimitChange.objects.filter(pk=change_id).first()
    four_eyes.check_waits(change, needs=needs)
    assert change is not None, "one that is not there does not wait"
    return change


def _second_person(change: LimitChange, by: User) -> User:
    return four_eyes.second_person(change, by, APPROVE, to_do="approve limits")
