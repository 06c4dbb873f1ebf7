from __future__ import annotations

import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from orders.alerting.channels import BadAddress
from orders.alerting.news import CannotBeQuiet
from orders.alerting.sender import Sender, Setup
from orders.alerting.trial import try_each
from orders.desk import Desk, DeskNotWired


class Command(BaseCommand):
    help = (
        "Send alerts for as long as it runs. With --test send one message through every channel, and say who took it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--test", action="store_true", help="send a test message, and end")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            setup = Setup.from_settings()
            if options["test"]:
                self._test(setup)
            else:
                self._run(Sender(Desk.from_settings(), setup))
        except (BadAddress, CannotBeQuiet, DeskNotWired) as trouble:
            raise CommandError(str(trouble)) from trouble

    def _run(self, sender: Sender) -> None:
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        sender.run(stopping)

    def _test(self, setup: Setup) -> None:
        if not setup.channels:
            raise CommandError("ALERT_URLS is empty: there is no channel to test")
        results = try_each(setup, mode=settings.TRADING_MODE, by="command", now=timezone.now())
        for result in results:
            self.stdout.write(f"{'FAILED' if result.error else 'SENT':8}{result.label}  {result.error}".rstrip())
        if any(result.error for result in results):
            raise CommandError("not every channel took the test message")
