from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from orders.desk import Desk, DeskNotWired
from orders.start_of_day import checks, is_ready


class Command(BaseCommand):
    help = "Say whether the desk is ready to trade, and what to do when it is not. Ends with 1 when it is not."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = checks(Desk.from_settings(), timezone.now())
        except DeskNotWired as trouble:
            raise CommandError(str(trouble)) from trouble
        width = max(len(check.title) for check in found)
        for check in found:
            self.stdout.write(f"{check.state.upper():8}{check.title:{width}}  {check.measured}")
            if check.what_to_do:
                self.stdout.write(f"{'':8}{'':{width}}  → {check.what_to_do}")
        if not is_ready(found):
            raise CommandError("not ready to trade")
