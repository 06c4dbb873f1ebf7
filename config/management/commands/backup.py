"""Take a backup of the database, unless the exchange trades."""

from __future__ import annotations

import contextlib
from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import Error
from django.utils import timezone

from config.backup import BackupFailed, take
from orders.backup_files import Rotation, newest
from orders.backup_watch import DAY, tell_of_failure, there_is_one
from risk import calendar
from risk.engine.sessions import InstrumentGroup, Phase
from risk.models import Mode

AT_WORK = {Phase.PRE_OPEN, Phase.CONTINUOUS, Phase.AUCTION}


class Command(BaseCommand):
    help = "Dump the database into BACKUP_DIR, prove that the dump can be read, and remove what the rotation lets go."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--if-due", action="store_true", help="do nothing where one is younger than a day")
        parser.add_argument("--now", action="store_true", help="even while the exchange trades")

    def handle(self, *args: Any, **options: Any) -> None:
        now, folder = timezone.now(), settings.BACKUP_DIR
        last = newest(folder, now=now)
        if options["if_due"] and last is not None and now - last.taken_at < DAY:
            return
        if not options["now"] and _in_session(now):
            raise CommandError("the exchange trades: a backup waits for the close. --now takes one all the same.")
        rotation = Rotation(settings.BACKUP_DAILY, settings.BACKUP_WEEKLY, settings.BACKUP_MONTHLY)
        try:
            taken = take(folder, rotation, now=now)
        except BackupFailed as failure:
            with contextlib.suppress(Error):  # a database that is away is told of elsewhere
                tell_of_failure(str(failure), now=now)
            raise CommandError(f"no backup was taken: {failure}") from failure
        there_is_one(taken.backup, now=now)
        self.stdout.write(
            f"{taken.backup.dump}: {taken.rows} rows, {taken.size} bytes, read back; {len(taken.removed)} older removed"
        )


def _in_session(now: datetime) -> bool:
    if settings.TRADING_MODE == Mode.PAPER and settings.PAPER_MARKET_HOURS != "nse":
        return False
    try:
        known = calendar.load()
    except Error as trouble:
        raise CommandError(f"no backup was taken: {' '.join(str(trouble).split())}") from trouble
    return any(known.session(group, now).phase in AT_WORK for group in InstrumentGroup)
