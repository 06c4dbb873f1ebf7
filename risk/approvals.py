"""
Looser needs more: what a person wants of the limits, split into what tightens and what loosens.

What tightens is a version at once. What loosens waits for what the house asks for: a word that was typed, with a minute
in live in which anybody may withdraw it, or a second person. Whoever wished it never answers it, superuser or not, and
the database refuses that too. Nobody passes a ceiling of the settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction

from risk import limit_versions
from risk.engine.loosening import above_ceilings, contradictions, loosens
from risk.models import InstrumentLimit, LimitChange, Mode, RiskSettings

log = structlog.get_logger(__name__)

CONFIRMATION = "LOOSEN"
APPROVE = "risk.approve_limits"
LIVE_DELAY = timedelta(minutes=1)

Needs, Status = LimitChange.Needs, LimitChange.Status


class ChangeRefused(Exception):
    """The limits cannot be changed, or the change not be answered, like this; the text says why."""


@dataclass(frozen=True, kw_only=True)
class House:
    """What the deployment asks for: how a loosening is allowed, after which delay, and how far at most."""

    needs: LimitChange.Needs
    delay: timedelta
    ceilings: Mapping[str, Any]

    @classmethod
    def of(cls, *, needs: str, mode: str, ceilings: Mapping[str, Any]) -> House:
        """Return the house by its settings: LOOSENING_NEEDS, TRADING_MODE and LIMIT_CEILINGS."""
        delay = LIVE_DELAY if mode == Mode.LIVE else timedelta(0)
        return cls(needs=Needs[needs.upper()], delay=delay, ceilings=ceilings)

    @property
    def loosens_at_once(self) -> bool:
        return self.needs == Needs.CONFIRMATION and not self.delay


@dataclass(frozen=True, kw_only=True)
class Saved:
    """What became of a save: the limits in force after it, and the wishes that wait."""

    limits: RiskSettings
    waiting: list[LimitChange]


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
    limit_versions.carry_out(now=now)
    with transaction.atomic():
        current = limit_versions.locked(now=now)
        limit_versions.check_shown(current, version_shown)
        wished = {name: getattr(edited, name) for name in changed if getattr(edited, name) != getattr(current, name)}
        loosened = {name: value for name, value in wished.items() if loosens(name, getattr(current, name), value)}
        tightened = {name: value for name, value in wished.items() if name not in loosened}
        check_possible(current, wished, house.ceilings)
        if not house.loosens_at_once:
            check_possible(current, tightened, house.ceilings)
        if loosened and expires_at is not None and expires_at <= now + house.delay:
            raise ChangeRefused("it would be over before it takes effect: give a later moment")
        wishes = [
            _wish(current, name, value, author=author, reason=reason, now=now, house=house, expires_at=expires_at)
            for name, value in loosened.items()
        ]
        values = {**tightened, **(loosened if house.loosens_at_once else {})}
        limits = limit_versions.put_in_force(current, values, by=author.get_username(), reason=reason, now=now)
    return Saved(limits=limits, waiting=[wish for wish in wishes if wish.status == Status.PENDING])


def check_possible(current: RiskSettings, wished: Mapping[str, Any], ceilings: Mapping[str, Any]) -> None:
    """Raise `ChangeRefused` when what is wished passes a ceiling, cannot be such a limit, or contradicts the others."""
    for name in above_ceilings(wished, ceilings):
        raise ChangeRefused(
            f"{RiskSettings.label(name)} cannot be {wished[name]}: the settings of this installation allow "
            f"{ceilings[name]}, whoever approves"
        )
    for name, value in wished.items():
        try:
            RiskSettings.check_value(name, value)
        except ValidationError as error:
            raise ChangeRefused(f"{RiskSettings.label(name)}: {' '.join(error.messages)}") from error
    together = {**current.numbers(), **wished}
    for order in contradictions(together, about=wished):
        raise ChangeRefused(
            f"{RiskSettings.label(order.smaller)} {together[order.smaller]} and {RiskSettings.label(order.larger)} "
            f"{together[order.larger]} would contradict each other: {order.why}"
        )


def save_instrument(
    edited: InstrumentLimit, *, author: User, reason: str, now: datetime, house: House, version_shown: int | None
) -> InstrumentLimit:
    """
    Put one symbol's limits in force. A typed word, which the page asks for, is enough for what loosens them, at once.

    Where the house wants a second person they can only be tightened: a wish of one limit of one symbol is not built.
    Raise `LimitsChanged` when `version_shown` is no longer in force, `ChangeRefused` for what loosens there.
    """
    limit_versions.carry_out(now=now)
    with transaction.atomic():
        limit_versions.check_shown(limit_versions.locked(now=now), version_shown)
        loosened = limit_versions.loosened_of_instrument(limit_versions.kept_of_instrument(edited), edited)
        if loosened and house.needs == Needs.SECOND_PERSON:
            raise ChangeRefused(no_second_person_for(edited, loosened))
        return limit_versions.save_instrument(edited, by=author.get_username(), reason=reason, now=now)


def no_second_person_for(edited: InstrumentLimit, loosened: Iterable[str]) -> str:
    """Return why a symbol's limits cannot be loosened where a second person must agree."""
    names = ", ".join(InstrumentLimit.label(name) for name in loosened)
    return (
        f"this loosens {names} of {edited}, which needs a second person here, and nobody can be asked for one symbol's "
        "limits: they can only be tightened"
    )


def _wish(
    current: RiskSettings,
    name: str,
    value: Any,
    *,
    author: User,
    reason: str,
    now: datetime,
    house: House,
    expires_at: datetime | None,
) -> LimitChange:
    """Write the wish down; return the one that is there already when it is the same person's same wish."""
    change = LimitChange(
        limit=name,
        before=str(getattr(current, name)),
        after=str(value),
        based_on_version=current.version,
        author=author.get_username(),
        author_account=author.pk,
        reason=reason,
        created_at=now,
        needs=house.needs,
        due_at=now + house.delay if house.needs == Needs.CONFIRMATION else None,
        expires_at=expires_at,
    )
    if earlier := LimitChange.objects.unfinished().filter(limit=name).first():
        if earlier.is_the_same_wish_as(change):
            return earlier
        raise ChangeRefused(f"{earlier.label} has an unfinished change by {earlier.author} already, to {earlier.after}")
    if house.loosens_at_once:
        change.status, change.decided_at, change.note = change.status_in_force, now, "confirmed"
    change.save(force_insert=True)
    log.warning("limit_change.asked", limit=name, before=change.before, after=change.after, by=change.author)
    return change


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
        _check_author_is_there(change)
        if stale := change.stale_because(current):
            change.advance(Status.STALE, at=now, note=stale)
        else:
            value = {change.limit: change.value_after}
            check_possible(current, value, house.ceilings)
            name = second.get_username()
            change.advance(change.status_in_force, at=now, by=name, account=second.pk, note=reason)
            limit_versions.put_in_force(
                current, value, by=change.author, approved_by=name, reason=change.reason, now=now
            )
    if stale:
        raise ChangeRefused(stale)
    return change


def reject(change_id: int, *, by: User, reason: str, now: datetime) -> LimitChange:
    """Refuse a wish as the second person. Raise `ChangeRefused` when this person may not, or it waits no longer."""
    limit_versions.carry_out(now=now)
    with transaction.atomic():
        limit_versions.locked(now=now)
        change = _waiting(change_id)
        second = _second_person(change, by)
        change.advance(Status.REJECTED, at=now, by=second.get_username(), account=second.pk, note=reason)
    return change


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
    if change is None:
        raise ChangeRefused("there is no such change")
    if change.status != Status.PENDING:
        by = f" by {change.decided_by}" if change.decided_by else ""
        why = f": {change.note}" if change.note else ""
        raise ChangeRefused(f"it is {change.get_status_display().lower()} already{by}{why}")
    if needs is not None and change.needs != needs:
        raise ChangeRefused("it was confirmed by its author and takes effect by itself; it can be withdrawn until then")
    return change


def _second_person(change: LimitChange, by: User) -> User:
    """Return the person as the accounts have them now: a page may have been opened before a right was taken."""
    person = User.objects.filter(pk=by.pk, is_active=True).first()
    if person is None or not person.has_perm(APPROVE):
        raise ChangeRefused("you have no permission to approve limits")
    if person.pk == change.author_account or person.get_username() == change.author:
        raise ChangeRefused("you asked for it yourself: a second person must answer, superuser or not")
    return person


def _check_author_is_there(change: LimitChange) -> None:
    """Raise unless whoever wished it could still wish it: a wish without a person has one pair of eyes behind it."""
    if not User.objects.filter(pk=change.author_account, is_active=True).exists():
        raise ChangeRefused(f"the account of {change.author} is gone or inactive: ask for it anew")
