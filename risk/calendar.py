"""
The loaded calendar, and the only doors that change it.

What closes takes effect at once. What lets something trade when it did not before needs the word that confirms it.
Every change is kept with its author; a decision sees the calendar before it or after it, never in between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime

import structlog
from django.db import transaction

from risk.calendar_file import DayRow
from risk.engine.sessions import Calendar, InstrumentGroup, Phase
from risk.models import CalendarChange, CalendarDay, CalendarYear, Mode, SessionRule, TradingControl

log = structlog.get_logger(__name__)

CONFIRMATION = "LOOSEN"
DAYS_NAMED_MAX = 5


class OpensTheMarket(Exception):
    """The change lets something trade when it did not before, and nobody confirmed that. Nothing was changed."""

    def __init__(self, days: Sequence[date]) -> None:
        super().__init__(f"this opens {in_words(days)}: type {CONFIRMATION} to confirm it")
        self.days = list(days)


def load() -> Calendar:
    """Return the calendar as it is loaded now."""
    complete = CalendarYear.objects.filter(complete=True).values_list("year", flat=True)
    return Calendar(
        complete_years=frozenset(complete),
        entries={day.date: day.entry() for day in CalendarDay.objects.all()},
        hours=tuple(rule.hours() for rule in SessionRule.objects.all()),
    )


def phase(group: InstrumentGroup, at: datetime) -> Phase:
    """Return what the market does with an order of this group at that moment; CLOSED in a year that is not complete."""
    return load().phase(group, at)


def change(edit: Callable[[], object], *, what: str, by: str, now: datetime, reason: str = "", word: str = "") -> None:
    """
    Carry out an edit of the calendar's rows and keep who made it and what it opened.

    Raise `OpensTheMarket` where it opens something and `word` is not the one that confirms it: then nothing is changed.
    """
    with transaction.atomic():
        for mode in sorted(Mode.values):
            TradingControl.objects.locked(mode)
        before = load()
        edit()
        opened = before.opened_by(load())
        if opened and word.strip() != CONFIRMATION:
            raise OpensTheMarket(opened)
        CalendarChange.objects.create(
            at=now, author=by, what=what, reason=reason, opened=in_words(opened) if opened else ""
        )
    log.warning("calendar.changed", what=what, by=by, reason=reason, opened=len(opened))


def opened_by(edit: Callable[[], object]) -> list[date]:
    """Return the days that the edit would open, without keeping it."""
    with transaction.atomic():
        before = load()
        edit()
        opened = before.opened_by(load())
        transaction.set_rollback(True)
    return opened


def take_over(
    days: Sequence[DayRow], *, complete: bool, source: str, by: str, now: datetime, word: str = ""
) -> list[int]:
    """
    Put the days of a file in the place of those of the same dates, and return the years they belong to.

    With `complete` the file is all there is to know of its years. Raise `OpensTheMarket`.
    """
    years = sorted({day.date.year for day in days})

    def edit() -> None:
        for day in days:
            values = {name: getattr(day, name) for name in ("kind", "opens", "closes", "name", "note")}
            CalendarDay.objects.update_or_create(
                date=day.date,
                defaults={**values, "source": day.source or source, "entered_by": by, "entered_at": now},
            )
        for year in years if complete else []:
            CalendarYear.objects.update_or_create(
                year=year, defaults={"complete": True, "source": source, "entered_by": by, "entered_at": now}
            )

    named = " and ".join(str(year) for year in years)
    what = f"{counted(days)} of {named} loaded{', which is complete' if complete else ''}"
    change(edit, what=what, by=by, now=now, reason=source, word=word)
    return years


def in_words(days: Sequence[date]) -> str:
    """Return the first few days by name, and how many there are more."""
    named = ", ".join(f"{day:%a %d %b %Y}" for day in days[:DAYS_NAMED_MAX])
    return f"{named} and {len(days) - DAYS_NAMED_MAX} more days" if len(days) > DAYS_NAMED_MAX else named


def counted(days: Sequence[object]) -> str:
    return "1 day" if len(days) == 1 else f"{len(days)} days"
