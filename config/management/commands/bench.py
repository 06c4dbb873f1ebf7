"""Measure how fast the executor is, beside the same done by hand; needs a checkout."""

from __future__ import annotations

from argparse import ArgumentParser
from importlib import import_module
from typing import Any

from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    help = "Measure the executor beside a floor made by hand, on durable servers of the run's own; prints a table."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--rounds", type=int, default=5, help="in turns with the floor (default: %(default)s)")
        parser.add_argument("--messages", type=int, default=1000, help="of each round (default: %(default)s)")
        parser.add_argument("--only", default="", help="these parts, with commas between (default: all)")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            # Not plain imports: the tests are no part of what is shipped.
            run, report = import_module("tests.bench.run"), import_module("tests.bench.report")
        except ImportError as missing:
            raise CommandError(
                f"the bench needs a checkout with what its tests need: run `make bench` there ({missing})"
            ) from missing
        parts = [part for part in options["only"].split(",") if part] or list(run.PARTS)
        if unknown := [part for part in parts if part not in run.PARTS]:
            raise CommandError(f"there is no part {', '.join(unknown)}: give some of {', '.join(run.PARTS)}")
        if options["rounds"] < 1 or options["messages"] < 1:
            raise CommandError("give one round and one message at least")
        figures = run.bench(parts, rounds=options["rounds"], messages=options["messages"], say=self.stderr.write)
        self.stdout.write(report.machine())
        self.stdout.write(report.as_table(figures))
        self.stdout.write(report.as_json(figures))
