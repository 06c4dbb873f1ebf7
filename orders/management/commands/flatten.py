from __future__ import annotations

import getpass
import secrets
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from orders.broker.gateway import BrokerUnreachable, SessionRefused
from orders.desk import Desk, DeskNotWired
from orders.flattening import CONFIRMATION, FlattenRefused, carry_on, flatten
from orders.management.told import plain_reason, tell_what_remains
from orders.models import Flatten
from orders.reconciliation import carry_out_cancels, reconcile


class Command(BaseCommand):
    help = "Exit every open position: also while trading is halted, and without a running executor."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--reason", required=True, help="kept with the flatten and with its exits")
        parser.add_argument("--confirm", default="", help=f"type {CONFIRMATION}")
        parser.add_argument("--turns", type=int, default=10, help="how often to look, a second apart, before it ends")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["confirm"] != CONFIRMATION:
            raise CommandError(f"nothing was sent: add --confirm {CONFIRMATION}")
        by = f"command line ({getpass.getuser()})"
        try:
            desk = Desk.from_settings()
            wish = flatten(desk, token=secrets.token_hex(16), by=by, reason=plain_reason(options["reason"]))
        except (DeskNotWired, FlattenRefused) as trouble:
            raise CommandError(f"nothing was sent: {trouble}") from trouble
        self._follow(desk, wish, turns=options["turns"])
        self.stdout.write(f"{wish}. {wish.outcome}")
        for each in wish.positions.select_related("position"):
            self.stdout.write(f"  {each}: {each.said}")
        tell_what_remains(desk, self.stdout.write)

    def _follow(self, desk: Desk, wish: Flatten, *, turns: int) -> None:
        """Do for a while what a running executor would do, should there be none."""
        for _ in range(turns):
            if not wish.is_under_way:
                return
            desk.pause(1.0)
            try:
                carry_out_cancels(desk)
                reconcile(desk)
            except (BrokerUnreachable, SessionRefused) as trouble:
                self.stderr.write(f"the broker's book could not be read: {trouble}")
            carry_on(desk)
            wish.refresh_from_db()
