"""
What the house asks of whoever loosens something, and who may be the second person.

Limits and the calendar follow the same rules: a typed word, with a minute in live in which anybody may withdraw it, or
a second person who did not wish it, superuser or not, and whose account did not come from the author's hands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User

from risk.audit.handed_out import first_entry, handed_out_by, names_of, ways_to
from risk.models import Mode, Wish

CONFIRMATION = "LOOSEN"
LIVE_DELAY = timedelta(minutes=1)


class ChangeRefused(Exception):
    """It cannot be changed, or the change not be answered, like this; the text says why."""


@dataclass(frozen=True, kw_only=True)
class House:
    """What the deployment asks for: how a loosening is allowed, after which delay, and how far at most."""

    needs: Wish.Needs
    delay: timedelta
    ceilings: Mapping[str, Any]

    @classmethod
    def of(cls, *, needs: str, mode: str, ceilings: Mapping[str, Any]) -> House:
        """Return the house by its settings: LOOSENING_NEEDS, TRADING_MODE and LIMIT_CEILINGS."""
        # The limits are of all modes: who goes over to shadow for a moment loosens what live will trade by.
        delay = timedelta(0) if mode == Mode.PAPER else LIVE_DELAY
        return cls(needs=Wish.Needs[needs.upper()], delay=delay, ceilings=ceilings)

    @property
    def loosens_at_once(self) -> bool:
        return self.needs == Wish.Needs.CONFIRMATION and not self.delay

    def due_at(self, asked_at: datetime) -> datetime | None:
        """Return when a wish takes effect by itself; None where a second person must answer."""
        return asked_at + self.delay if self.needs == Wish.Needs.CONFIRMATION else None


def check_waits(wish: Wish | None, *, needs: Wish.Needs | None = Wish.Needs.SECOND_PERSON) -> None:
    """Raise `ChangeRefused` unless the wish waits, and for a second person where `needs` says so."""
    if wish is None:
        raise ChangeRefused("there is no such change")
    if wish.status != Wish.Status.PENDING:
        by = f" by {wish.decided_by}" if wish.decided_by else ""
        why = f": {wish.note}" if wish.note else ""
        raise ChangeRefused(f"it is {wish.status.lower()} already{by}{why}")
    if needs is not None and wish.needs != needs:
        raise ChangeRefused("it was confirmed by its author and takes effect by itself; it can be withdrawn until then")


def second_person(wish: Wish, by: User, permission: str, *, to_do: str) -> User:
    """
    Return the person as the accounts have them now: a page may have been opened before a right was taken.

    Raise `ChangeRefused` for who has no permission, and for the author.
    """
    person = User.objects.filter(pk=by.pk, is_active=True).first()
    if person is None or not person.has_perm(permission):
        raise ChangeRefused(f"you have no permission to {to_do}")
    if person.pk == wish.author_account or person.get_username() == wish.author:
        raise ChangeRefused("you asked for it yourself: a second person must answer, superuser or not")
    return person


def check_apart(wish: Wish, second: User, permission: str) -> None:
    """
    Raise unless the second person is another than the author as far as the trail of the accounts tells.

    Whoever can set passwords can be two persons. So neither account may have come from the other's hands, and the right
    to approve must have been there before the wish, from somebody else. Of two accounts that a third handed out nothing
    can be told: to keep people and limits apart is for the house.
    """
    author = wish.author_account
    names = names_of(author) | {wish.author}
    if names & names_of(second.pk):
        raise ChangeRefused(f"your account and that of {wish.author} had the same name: a third person must answer")
    if handed_out_by(second.pk) & {author, None} or handed_out_by(author) & {second.pk, None}:
        raise ChangeRefused(
            f"you and {wish.author} could be one person: the password of one account came from the other. A third "
            "person must answer, or set that password anew, as `manage.py changepassword` does"
        )
    asked = first_entry(wish)
    free = (all(gave.actor not in names and gave.pk < asked for gave in way) for way in ways_to(second, permission))
    if not any(free):
        raise ChangeRefused(
            f"you were given the right to approve by {wish.author}, or after it was asked: somebody else must answer, "
            "or give you the right, and it be asked anew; where there is nobody else, an account made by `manage.py "
            "createsuperuser` has it from nobody"
        )


def check_author_is_there(wish: Wish) -> None:
    """Raise unless whoever wished it could wish it now: a wish without a person has one pair of eyes behind it."""
    if why := wish.author_is_gone():
        raise ChangeRefused(f"{why}: ask for it anew")
