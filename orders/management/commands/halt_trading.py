from __future__ import annotations

import getpass
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from orders.desk import Desk, DeskNotWired
from orders.execution import halt
from orders.management.told import plain_reason, tell_what_remains
from risk import control as switch


class Command(BaseCommand):
    help = "Halt trading at once, then ask for the cancel of every unfinished order, and list what still works."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--reason", required=True, help="kept with the halt, for whoever resumes")

    def handle(self, *args: Any, **options: Any) -> None:
        by = f"command line ({getpass.getuser()})"
        reason = plain_reason(options["reason"])
        try:
            desk = Desk.from_settings()
        except DeskNotWired as trouble:  # stopping works without a broker too
            switch.halt(settings.TRADING_MODE, by=by, reason=reason, now=timezone.now())
            raise CommandError(f"trading is HALTED; nothing could be cancelled: {trouble}") from trouble
        orders = halt(desk, by=by, reason=reason)
        self.stdout.write(f"{desk.mode} trading is HALTED")
        for order in orders:
            state = "withdrawn unsent" if not order.is_unfinished else "cancel asked for"
            self.stdout.write(f"  {order.client_order_id} {order}: {state}")
        tell_what_remains(desk, self.stdout.write)
