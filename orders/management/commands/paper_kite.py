"""The paper Kite server as a management command."""

from __future__ import annotations

from argparse import Namespace

from django.core.management.base import BaseCommand, CommandError, CommandParser

from orders.paper.options import Options, add_arguments
from orders.paper.program import CannotStart, run


class Command(BaseCommand):
    help = "Run the paper Kite server: a stand-in for Zerodha's API, for trading without money."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        add_arguments(parser)

    def handle(self, *args: object, **options: object) -> None:
        try:
            run(Options.from_namespace(Namespace(**options)), self.announce)
        except CannotStart as reason:
            raise CommandError(str(reason)) from reason

    def announce(self, line: str) -> None:
        """Tell whoever started this process, at once, even through a pipe."""
        self.stdout.write(line)
        self.stdout.flush()
