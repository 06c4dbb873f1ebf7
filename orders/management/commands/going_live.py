from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from orders.going_live import StepStands, steps


class Command(BaseCommand):
    help = "Say how the steps to live money stand. Ends with 1 while the present one is not green."

    def handle(self, *args: Any, **options: Any) -> None:
        found = steps(timezone.now())
        for number, each in enumerate(found, start=1):
            self.stdout.write(f"{number}. {each.title}: {_how_it_stands(each)}")
            if each.is_present:
                self._write_checks(each)
        present = next((each for each in found if each.is_present), None)
        if present is not None and not present.is_green:
            raise CommandError(f"{present.title} is not green: {len(present.lacking)} to do")

    def _write_checks(self, stands: StepStands) -> None:
        width = max(len(check.title) for check in stands.checks)
        for check in stands.checks:
            self.stdout.write(f"   {check.state.upper():8}{check.title:{width}}  {check.measured}")
            if check.what_to_do:
                self.stdout.write(f"   {'':8}{'':{width}}  → {check.what_to_do}")


def _how_it_stands(stands: StepStands) -> str:
    if stands.is_over and stands.said is not None:
        why = f": {stands.said.reason}" if stands.said.reason else ""
        return f"{stands.said.get_said_display().lower()} by {stands.said.by}, {stands.said.at:%d %b %Y}{why}"
    if not stands.is_present:
        return "not reached"
    return "the present step, green: a person passes it" if stands.is_green else "the present step"
