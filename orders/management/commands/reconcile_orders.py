from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from orders.broker.gateway import BrokerUnreachable, SessionRefused
from orders.desk import Desk, DeskNotWired
from orders.reconciliation import carry_out_cancels, reconcile


class Command(BaseCommand):
    help = "Read the broker's book once and bring ours in line with it."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            desk = Desk.from_settings()
            found = reconcile(desk)
        except DeskNotWired as trouble:
            raise CommandError(str(trouble)) from trouble
        except (BrokerUnreachable, SessionRefused) as trouble:
            raise CommandError(f"the broker's book could not be read: {trouble}") from trouble
        cancels = carry_out_cancels(desk)
        self.stdout.write(
            f"{len(found.matches)} of our orders changed, {len(found.absent)} were never placed, "
            f"{len(found.external)} are from elsewhere, {len(found.unknown)} carry our mark and are unknown, "
            f"{cancels} cancels sent"
        )
