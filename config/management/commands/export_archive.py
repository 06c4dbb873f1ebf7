"""Archive a closed month of the ledger, or hold an archive against the ledger."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from config.archive import ArchiveRefused, Month, export, verify


class Command(BaseCommand):
    help = "Write a month of the ledger that is over as CSV files with digests. Nothing is deleted: it is a copy."

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("month", nargs="?", help="such as 2026-10")
        what.add_argument(
            "--verify", type=Path, metavar="DIR", help="check this archive, and compare it with the ledger"
        )
        parser.add_argument("--to", type=Path, help="the folder to make it in; default: archives, beside the backups")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["verify"] is not None:
                self._verify(options["verify"])
                return
            into = options["to"] or settings.BACKUP_DIR.with_name("archives")
            self.stdout.write(str(export(Month.named(options["month"]), into.absolute(), now=timezone.now())))
        except ArchiveRefused as refusal:
            raise CommandError(str(refusal)) from refusal

    def _verify(self, folder: Path) -> None:
        differences = verify(folder)
        for each in differences:
            self.stdout.write(f"  {each}")
        if differences:
            raise CommandError(f"{folder} is not what the ledger says")
        self.stdout.write(f"{folder}: every file is as it was written, and as the ledger is")
