"""
Looser needs more, for the calendar: what opens something waits for the same as a limit that is loosened.

What closes is done at once. The rest waits, as the edit itself, for its author's minute in live or for a second
person, and is carried out under the same locks as every change of the calendar. While it waits the market stays
closed, so nothing relies on it being carried out in time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.contrib.auth.models import User
from django.db import transaction

from risk import calendar, four_eyes
from risk.calendar_edits import RowEdit, as_one, from_json
from risk.four_eyes import CONFIRMATION, ChangeRefused, House
from risk.models import CalendarWish
from risk.models.calendar_wish import COMMAND_LINE, NO_ACCOUNT

log = structlog.get_logger(__name__)

APPROVE = "risk.approve_calendar"
SPLIT_ROWS_MAX = 100  # a year has some twenty; each row is looked at under the lock

Needs, Status = CalendarWish.Needs, CalendarWish.Status


@dataclass(frozen=True, kw_only=True)
class Author:
    """Who wishes it: a person of the accounts, or the system's user at the command line, who has none."""

    name: str
    account: int

    @classmethod
    def person(cls, user: User) -> Author:
        return cls(name=user.get_username(), account=user.pk)

    @classmethod
    def command_line(cls, system_user: str) -> Author:
        return cls(name=f"{COMMAND_LINE}{system_user}", account=NO_ACCOUNT)


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What became of an edit: how many of its rows were changed at once, and the wish for those that wait."""

    changed: int
    waiting: CalendarWish | None


def change(
    edits: Sequence[RowEdit], *, what: str, author: Author, reason: str, now: datetime, house: House, word: str = ""
) -> Kept:
    """
    Carry out the rows that open nothing, and let the others wait for what the house asks for.

    Sent again while it waits, it waits once. Raise `OpensTheMarket` where the house asks for the word and it is not
    there: then nothing was changed.
    """
    carry_out(now=now)
    with transaction.atomic():
        calendar.lock()
        whole = as_one(edits, by=author.name, now=now)
        opened = calendar.opened_by(whole)
        if house.loosens_at_once or not opened:
            calendar.change(whole, what=what, by=author.name, now=now, reason=reason, word=word)
            return Kept(changed=len(edits), waiting=None)
        if house.needs == Needs.CONFIRMATION and word.strip() != CONFIRMATION:
            raise calendar.OpensTheMarket(opened)
        if earlier := _same_wish(edits, author):
            return Kept(changed=0, waiting=earlier)
        at_once, opening = _split(edits, author, now)
        if at_once:
            done = as_one(at_once, by=author.name, now=now)
            calendar.change(done, what=f"{what}: what opens nothing of it", by=author.name, now=now, reason=reason)
        return Kept(changed=len(at_once), waiting=_wish(opening, what, author, reason, now, house))


def approve(wish_id: int, *, by: User, reason: str, now: datetime) -> CalendarWish:
    """
    Carry a wish out as the second person. Raise `ChangeRefused` when this person may not, or it cannot be.

    One that the calendar has changed under is marked STALE, and refused.
    """
    carry_out(now=now)
    with transaction.atomic():
        calendar.lock()
        wish = _waiting(wish_id)
        second = _second_person(wish, by)
        four_eyes.check_author_is_there(wish)
        if not wish.is_of_the_command_line:
            four_eyes.check_apart(wish, second, APPROVE)
        if stale := wish.stale_because(calendar.last_change()):
            wish.advance(Status.STALE, at=now, note=stale)
        else:
            name = second.get_username()
            wish.advance(Status.APPLIED, at=now, by=name, account=second.pk, note=reason)
            _carry_out(wish, now, approved_by=name)
    if stale:
        raise ChangeRefused(stale)
    return wish


def reject(wish_id: int, *, by: User, reason: str, now: datetime) -> CalendarWish:
    """Refuse a wish as the second person. Raise `ChangeRefused` when this person may not, or it waits no longer."""
    carry_out(now=now)
    with transaction.atomic():
        calendar.lock()
        wish = _waiting(wish_id)
        second = _second_person(wish, by)
        wish.advance(Status.REJECTED, at=now, by=second.get_username(), account=second.pk, note=reason)
    return wish


def withdraw(wish_id: int, *, by: User, reason: str, now: datetime) -> CalendarWish:
    """Take back a wish that waits, one's own or another's: staying closed needs nobody's leave."""
    carry_out(now=now)
    with transaction.atomic():
        calendar.lock()
        wish = _waiting(wish_id, needs=None)
        wish.advance(Status.WITHDRAWN, at=now, by=by.get_username(), account=by.pk, note=reason)
    return wish


def carry_out(*, now: datetime) -> None:
    """
    Carry out what was confirmed and whose minute is over, unless the calendar changed under it.

    The executor does it whenever it is idle, and every change and answer before anything else.
    """
    due = CalendarWish.objects.pending().filter(due_at__lte=now).order_by("created_at", "pk")
    if not due.exists():
        return
    with transaction.atomic():
        calendar.lock()
        for wish in list(due):
            wish.refresh_from_db()  # the one before it may have made it stale
            if wish.status != Status.PENDING:
                continue
            if stale := wish.author_is_gone() or wish.stale_because(calendar.last_change()):
                wish.advance(Status.STALE, at=now, note=stale)
            else:
                wish.advance(Status.APPLIED, at=now, note="confirmed")
                _carry_out(wish, now)


def _carry_out(wish: CalendarWish, now: datetime, *, approved_by: str = "") -> None:
    calendar.change(
        as_one(from_json(wish.edits), by=wish.author, now=now),
        what=wish.what,
        by=wish.author,
        approved_by=approved_by,
        now=now,
        reason=wish.reason,
        word=CONFIRMATION,  # the wish was confirmed, or approved
    )


def _split(edits: Sequence[RowEdit], author: Author, now: datetime) -> tuple[list[RowEdit], list[RowEdit]]:
    """
    Return the rows that open nothing and those that do, each looked at beside the former ones.

    A row that closes one day and opens another, as a holiday that is moved, waits as a whole; so does a long file.
    """
    if len(edits) > SPLIT_ROWS_MAX:
        return [], list(edits)
    opens = calendar.opening([as_one([each], by=author.name, now=now) for each in edits])
    at_once = [each for each, opening in zip(edits, opens, strict=True) if not opening]
    return at_once, [each for each, opening in zip(edits, opens, strict=True) if opening]


def _same_wish(edits: Sequence[RowEdit], author: Author) -> CalendarWish | None:
    """Return the wish that the same person's same edit left: what it did at once is done, and what opens waits."""
    asked = [each.as_json() for each in edits]
    for wish in CalendarWish.objects.pending().filter(author_account=author.account, author=author.name):
        if all(each in asked for each in wish.edits) and not wish.stale_because(calendar.last_change()):
            rest = [each for each in edits if each.as_json() not in wish.edits]
            if not any(each.steps() for each in rest):
                return wish
    return None


def _wish(
    edits: Sequence[RowEdit], what: str, author: Author, reason: str, now: datetime, house: House
) -> CalendarWish:
    opened = calendar.opened_by(as_one(edits, by=author.name, now=now))
    wish = CalendarWish.objects.create(
        what=what,
        edits=[each.as_json() for each in edits],
        steps=[step for each in edits for step in each.steps()],
        opens=calendar.in_words(opened),
        based_on_change=calendar.last_change(),
        author=author.name,
        author_account=author.account,
        reason=reason,
        created_at=now,
        needs=house.needs,
        due_at=house.due_at(now),
    )
    log.warning("calendar_wish.asked", what=what, opens=wish.opens, by=author.name)
    return wish


def _waiting(wish_id: int, *, needs: CalendarWish.Needs | None = Needs.SECOND_PERSON) -> CalendarWish:
    wish = CalendarWish.objects.filter(pk=wish_id).first()
    four_eyes.check_waits(wish, needs=needs)
    assert wish is not None, "one that is not there does not wait"
    return wish


def _second_person(wish: CalendarWish, by: User) -> User:
    """Return the person who answers. The system's user of the same name is taken for the same person."""
    second = four_eyes.second_person(wish, by, APPROVE, to_do="approve what opens the market")
    if wish.author == f"{COMMAND_LINE}{second.get_username()}":
        raise ChangeRefused("you asked for it yourself, at the command line: a second person must answer")
    return second
