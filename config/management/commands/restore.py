"""Restore a backup into an empty database; it comes up halted."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config.backup import BackupFailed
from config.postgres_tools import ToolsFailed
from config.restore import RestoreRefused, Target, make_usable, restore, target_of
from orders.backup_files import backup_of


class Command(BaseCommand):
    help = "Restore a backup into an EMPTY database, hold it against what was dumped, and leave it halted."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the .dump; its .json and .sha256 lie beside it")
        parser.add_argument("--into", default="", help="the database's address, without password; else DATABASE_URL")
        parser.add_argument("--confirm", default="", metavar="NAME", help="the database's name, instead of typing it")

    def handle(self, *args: Any, **options: Any) -> None:
        backup = backup_of(options["file"].absolute())
        if backup is None:
            raise CommandError(f"{options['file']} has not the name of a backup: order-executor-…Z.dump")
        try:
            target = target_of(options["into"])
            self._confirm(target, options["confirm"])
            rows = restore(backup, target)
            self.stdout.write(f"{sum(rows.values())} rows in {len(rows)} tables, each as many as were dumped")
            found = make_usable(backup, target)
        except (BackupFailed, RestoreRefused, ToolsFailed) as refusal:
            raise CommandError(str(refusal)) from refusal
        self.stdout.write(f"{found['migrations']} migrations were due and are made")
        self.stdout.write(f"{found['entries']} audit entries in {found['seals']} seals checked\nhead {found['head']}")
        self.stdout.write("Trading is HALTED and auto-trading off: the incident of the restore says what to do.")
        if found["findings"]:
            raise CommandError("the audit trail is NOT as it was written: " + "; ".join(found["findings"]))

    def _confirm(self, target: Target, given: str) -> None:
        if not given and sys.stdin.isatty():
            given = input(f"Type the name of the database to restore into ({target.name}): ").strip()
        if given != target.name:
            raise CommandError(f"nothing was done: confirm with --confirm {target.name}, the database's name")
