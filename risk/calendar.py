"""
The loaded calendar, and the only doors that change it.

What closes takes effect at once. What lets something trade when it did not before needs the word that confirms it, and
more where the house asks for it (`risk.calendar_approvals`). Every change is kept with its author; a decision sees the
calendar before it or after it, never in between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime

import structlog
from django.db import transaction

from risk.audit.who import explained
from risk.calendar_edits import RowEdit
from risk.calendar_file import DayRow
from risk.engine.sessions import Calendar, InstrumentGroup, Phase
from risk.four_eyes import CONFIRMATION
from risk.models import CalendarChange, CalendarDay, CalendarWish, CalendarYear, Mode, SessionRule, TradingControl
from risk.questions import Question, together

log = structlog.get_logger(__name__)

DAYS_NAMED_MAX = 5


class OpensTheMarket(Exception):
    """The change lets something trade when it did not before, and nobody confirmed that. Nothing was changed."""

    def __init__(self, days: Sequence[date]) -> None:
        super().__init__(f"this opens {in_words(days)}: type {CONFIRMATION} to confirm it")
        self.days = list(days)


def load() -> Calendar:
    """Return the calendar as it is loaded now."""
    with together():
        complete, days, rules = _COMPLETE.ask(), _DAYS.ask(), _RULES.ask()
    return Calendar(
        complete_years=frozenset(year for (year,) in complete()),
        entries={day.date: day.entry() for day in days()},
        hours=tuple(rule.hours() for rule in rules()),
    )


_COMPLETE = Question[tuple[int]](lambda: CalendarYear.objects.filter(complete=True).order_by().values_list("year"))
_DAYS = Question[CalendarDay](lambda: CalendarDay.objects.all())
_RULES = Question[SessionRule](lambda: SessionRule.objects.all())


def years_lacking(today: date) -> list[int]:
    """Return which years should be complete by now and are not, without loading their days."""
    complete = CalendarYear.objects.filter(complete=True).values_list("year", flat=True)
    return Calendar(complete_years=frozenset(complete), entries={}, hours=()).years_lacking(today)


def phase(group: InstrumentGroup, at: datetime) -> Phase:
    """Return what the market does with an order of this group at that moment; CLOSED in a year that is not complete."""
    return load().phase(group, at)


def lock() -> None:
    """Hold off every decision, and every other change of the calendar, until the transaction ends."""
    for mode in sorted(Mode.values):
        TradingControl.objects.locked(mode)


def last_change() -> int:
    """Return the number of the calendar's last change: what stands on it is stale after the next one."""
    return CalendarChange.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


@explained
def change(
    edit: Callable[[], object],
    *,
    what: str,
    by: str,
    now: datetime,
    reason: str = "",
    word: str = "",
    approved_by: str = "",
) -> None:
    """
    Carry out an edit of the calendar's rows, keep who made it and what it opened, and end the wishes it overtakes.

    Raise `OpensTheMarket` where it opens something and `word` is not the one that confirms it: then nothing is changed.
    What a person wants goes through `risk.calendar_approvals`.
    """
    with transaction.atomic():
        lock()
        before = load()
        edit()
        opened = before.opened_by(load())
        if opened and word.strip() != CONFIRMATION:
            raise OpensTheMarket(opened)
        CalendarChange.objects.create(
            at=now,
            author=by,
            approved_by=approved_by,
            what=what,
            reason=reason,
            opened=in_words(opened) if opened else "",
        )
        for wish in CalendarWish.objects.pending():
            wish.advance(CalendarWish.Status.STALE, at=now, note=wish.stale_because(last_change()))
    log.warning("calendar.changed", what=what, by=by, approved_by=approved_by, reason=reason, opened=len(opened))


def confirm_hours(rule_id: int, *, by: str, reason: str, now: datetime) -> bool:
    """Say that more than one source has these hours, and return whether nobody had. It opens nothing."""
    with transaction.atomic():
        lock()
        rule = SessionRule.objects.not_confirmed().filter(pk=rule_id).first()
        if rule is None:
            return False
        rules = SessionRule.objects.filter(pk=rule.pk)
        change(lambda: rules.update(confirmed=True), what=f"{rule}: confirmed", by=by, now=now, reason=reason)
    return True


def opened_by(edit: Callable[[], object]) -> list[date]:
    """Return the days that the edit would open, without keeping it."""
    with transaction.atomic():
        before = load()
        edit()
        opened = before.opened_by(load())
        transaction.set_rollback(True)
    return opened


def opening(edits: Sequence[Callable[[], object]]) -> list[bool]:
    """Return of each edit whether it opens anything, done after those before it that open nothing; keep none."""
    found = []
    with transaction.atomic():
        before = load()
        for edit in edits:
            with transaction.atomic():
                edit()
                found.append(bool(before.opened_by(load())))
                transaction.set_rollback(found[-1])
        transaction.set_rollback(True)
    return found


def of_file(days: Sequence[DayRow], *, complete: bool, source: str) -> tuple[list[RowEdit], str]:
    """
    Return the edits that put the days of a file in the place of those of the same dates, and what they are in words.

    With `complete` the file is all there is to know of its years, which comes last: its days are in place by then.
    """
    years = sorted({day.date.year for day in days})
    names = ("date", "kind", "opens", "closes", "name", "note")
    edits = [
        RowEdit.put(CalendarDay(source=day.source or source, **{name: getattr(day, name) for name in names}))
        for day in days
    ]
    if complete:
        edits += [RowEdit.put(CalendarYear(year=year, complete=True, source=source)) for year in years]
    named = " and ".join(str(year) for year in years)
    return edits, f"{counted(days)} of {named} loaded{', which is complete' if complete else ''}"


def in_words(days: Sequence[date]) -> str:
    """Return the first few days by name, and how many there are more."""
    named = ", ".join(f"{day:%a %d %b %Y}" for day in days[:DAYS_NAMED_MAX])
    return f"{named} and {len(days) - DAYS_NAMED_MAX} more days" if len(days) > DAYS_NAMED_MAX else named


def counted(days: Sequence[object]) -> str:
    return "1 day" if len(days) == 1 else f"{len(days)} days"
