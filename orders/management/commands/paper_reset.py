from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

import requests
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from orders.start import forget_paper_book
from risk.models import Mode


class Command(BaseCommand):
    help = (
        "Start the paper books afresh: ours, and the paper Kite server's where one runs. Live rows are never touched."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.TRADING_MODE == Mode.SHADOW:
            raise CommandError("the book of SHADOW is kept: what it would have brought is what it is for")
        if not options["yes"] and input("Forget every paper order, fill and signal? Type yes: ") != "yes":
            raise CommandError("nothing was changed")
        if settings.PAPER_KITE_URL:
            try:
                requests.post(f"{settings.PAPER_KITE_URL}/paper/reset", timeout=10).raise_for_status()
            except requests.RequestException as trouble:
                raise CommandError(f"the paper Kite server did not reset, nothing was changed: {trouble}") from trouble
        self.stdout.write(f"{forget_paper_book()} paper rows forgotten")
