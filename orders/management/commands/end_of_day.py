from __future__ import annotations

from argparse import ArgumentParser
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from orders.broker.gateway import BrokerUnreachable, SessionRefused
from orders.desk import Desk, DeskNotWired, rupees
from orders.end_of_day import ReportRefused, take


class Command(BaseCommand):
    help = "Take the end of day report of today, once the day is over, or what is still known of a day before."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--date", type=date.fromisoformat, help="such as 2026-11-26; today in Mumbai without it")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            desk = Desk.from_settings()
            report = take(desk, options["date"] or desk.today(), by="command")
        except (DeskNotWired, ReportRefused) as refusal:
            raise CommandError(str(refusal)) from refusal
        except (BrokerUnreachable, SessionRefused) as trouble:
            raise CommandError(f"the broker's book could not be read, nothing was kept: {trouble}") from trouble
        result = "not known" if report.result is None else rupees(report.result)
        self.stdout.write(
            f"{report}: {report.orders} orders, {report.fills} fills, result {result}, {report.breaks} differences"
            f"{', taken late' if report.is_late else ''}"
        )
