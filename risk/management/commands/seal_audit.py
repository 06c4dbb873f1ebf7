from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from risk.audit.sealing import seal


class Command(BaseCommand):
    help = "Seal the audit trail up to now, as the executor does every minute, and print its head."

    def handle(self, *args: Any, **options: Any) -> None:
        seals = seal(now=timezone.now())
        for each in seals:
            self.stdout.write(f"seal {each.pk}: {each.count} entries up to {each.last_entry}, head {each.digest}")
        if not seals:
            self.stdout.write("nothing to seal")
