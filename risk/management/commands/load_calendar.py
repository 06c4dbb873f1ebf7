from __future__ import annotations

import getpass
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from risk import calendar, calendar_approvals
from risk.calendar_file import CalendarFileError, DayRow, read_days
from risk.four_eyes import CONFIRMATION, House


class Command(BaseCommand):
    help = "Load the exchange's list of holidays and special sessions from a CSV file. Nothing of a bad file is kept."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the NSE's own download, or date,kind,open,close,name,source")
        parser.add_argument("--complete", action="store_true", help="the file has all holidays of its years")
        parser.add_argument("--source", default="", help="the circular; else the file's name")
        parser.add_argument("--confirm", default="", help=f"{CONFIRMATION}, where it opens what was closed")

    def handle(self, *args: Any, **options: Any) -> None:
        file: Path = options["file"]
        try:
            days = read_days(file.read_bytes())
            kept = self._take_over(days, options, source=options["source"] or file.name)
        except OSError as trouble:
            raise CommandError(f"{file} cannot be read: {trouble.strerror}") from None
        except CalendarFileError as trouble:
            raise CommandError("\n".join([f"{file} was not loaded:", *trouble.errors])) from None
        except calendar.OpensTheMarket as refusal:
            named = calendar.in_words(refusal.days)
            raise CommandError(f"nothing was loaded: it opens {named}. Add --confirm {CONFIRMATION}") from None
        if kept.changed:
            years = sorted({day.date.year for day in days})
            self.stdout.write(f"{calendar.counted(days)} of {', '.join(map(str, years))} loaded")
        if wish := kept.waiting:
            how = "waits for a second person" if wish.due_at is None else "takes effect a minute after it was asked"
            self.stdout.write(f"What opens the market {how}: {wish.opens}.")
            self.stdout.write(f"It is answered in the browser, on the page Calendar wishes, as asked by {wish.author}.")

    def _take_over(self, days: list[DayRow], options: dict[str, Any], *, source: str) -> calendar_approvals.Kept:
        edits, what = calendar.of_file(days, complete=options["complete"], source=source)
        return calendar_approvals.change(
            edits,
            what=what,
            author=calendar_approvals.Author.command_line(getpass.getuser()),
            reason=source,
            now=timezone.now(),
            house=House.of(needs=settings.LOOSENING_NEEDS, mode=settings.TRADING_MODE, ceilings={}),
            word=options["confirm"],
        )
