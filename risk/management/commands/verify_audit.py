from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from risk.audit import triggers
from risk.audit.rows import verify_rows
from risk.audit.sealing import verify


def moment(text: str) -> datetime:
    """Return a date or a moment as it is said in Mumbai. Raise what argparse tells the user."""
    try:
        day = parse_date(text)
        said = datetime.combine(day, datetime.min.time()) if day else parse_datetime(text)
    except ValueError as trouble:
        raise ArgumentTypeError(str(trouble)) from trouble
    if said is None:
        raise ArgumentTypeError(f"{text!r} is no date: 2026-11-23, or 2026-11-23T09:15")
    return said if timezone.is_aware(said) else timezone.make_aware(said)


class Command(BaseCommand):
    help = "Check the audit trail against its seals from the beginning, and that its protections are in place."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--since", type=moment, help="only what was sealed since: a date or a moment in Mumbai")
        parser.add_argument("--rows", action="store_true", help="also hold every covered table against the trail")
        parser.add_argument("--head", default="", help="a head that you kept: it must be in the chain")

    def handle(self, *args: Any, **options: Any) -> None:
        audit = verify(since=options["since"], known_head=options["head"].strip().lower())
        findings = [
            *audit.findings,
            *(f"{each} is missing, or not as it must be" for each in triggers.missing()),
            *triggers.strange(),
            *(verify_rows() if options["rows"] else ()),
        ]
        for each in findings:
            self.stdout.write(f"  {each}")
        checked = f"{audit.entries} entries in {audit.seals} seals checked, {audit.unsealed} not sealed yet"
        if findings:
            raise CommandError(f"{checked}: the audit trail is NOT as it was written")
        self.stdout.write(f"{checked}: all as it was written\nhead {audit.head}")
