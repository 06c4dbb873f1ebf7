from __future__ import annotations

import getpass
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from risk import calendar
from risk.calendar_file import CalendarFileError, read_days


class Command(BaseCommand):
    help = "Load the exchange's list of holidays and special sessions from a CSV file. Nothing of a bad file is kept."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the NSE's own download, or date,kind,open,close,name,source")
        parser.add_argument("--complete", action="store_true", help="the file has all holidays of its years")
        parser.add_argument("--source", default="", help="the circular; else the file's name")
        parser.add_argument("--confirm", default="", help=f"{calendar.CONFIRMATION}, where it opens what was closed")

    def handle(self, *args: Any, **options: Any) -> None:
        file: Path = options["file"]
        try:
            days = read_days(file.read_bytes())
            years = calendar.take_over(
                days,
                complete=options["complete"],
                source=options["source"] or file.name,
                by=getpass.getuser(),
                now=timezone.now(),
                word=options["confirm"],
            )
        except OSError as trouble:
            raise CommandError(f"{file} cannot be read: {trouble.strerror}") from None
        except CalendarFileError as trouble:
            raise CommandError("\n".join([f"{file} was not loaded:", *trouble.errors])) from None
        except calendar.OpensTheMarket as refusal:
            named = calendar.in_words(refusal.days)
            raise CommandError(f"nothing was loaded: it opens {named}. Add --confirm {calendar.CONFIRMATION}") from None
        self.stdout.write(f"{calendar.counted(days)} of {', '.join(map(str, years))} loaded")
