from __future__ import annotations

import getpass
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from orders.desk import Desk, DeskNotWired
from orders.management.told import plain_reason, tell_what_remains
from orders.stopping import reduce_only
from risk import control as switch


class Command(BaseCommand):
    help = "Let only closing orders go, and ask for the cancel of every unfinished order that would open something."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--reason", required=True, help="kept with the change, for whoever resumes")

    def handle(self, *args: Any, **options: Any) -> None:
        by, reason = f"command line ({getpass.getuser()})", plain_reason(options["reason"])
        try:
            desk = Desk.from_settings()
        except DeskNotWired as trouble:  # stopping works without a broker too
            switch.reduce_only(settings.TRADING_MODE, by=by, reason=reason, now=timezone.now())
            raise CommandError(f"only what closes may go; nothing could be cancelled: {trouble}") from trouble
        orders = reduce_only(desk, by=by, reason=reason)
        self.stdout.write(f"{desk.mode} trading: only what closes may go; cancels asked for: {len(orders)}")
        tell_what_remains(desk, self.stdout.write)
