"""Kill the executor a thousand times and prove that no order was lost and none sent twice; needs a checkout."""

from __future__ import annotations

from argparse import ArgumentParser
from importlib import import_module
from typing import Any

from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    help = "Soak the executor in kills and faults, on servers of its own, and compare what four witnesses say."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--kills", type=int, default=1000, help="how many (default: %(default)s)")
        parser.add_argument("--seed", type=int, default=1, help="draws the plan (default: %(default)s)")
        parser.add_argument("--keep", action="store_true", help="keep the evidence of a run that passed, too")

        parser.add_argument("--break", dest="broken", default="", help="break the executor so: then it must not pass")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            soak = import_module("tests.soak.run").soak  # not a plain import: the tests are no part of what is shipped
        except ImportError as missing:
            raise CommandError(
                f"the soak needs a checkout of the project with what its tests need: run `make soak` there ({missing})"
            ) from missing
        report = soak(
            options["kills"], options["seed"], self.stderr.write, keep=options["keep"], broken=options["broken"]
        )
        self.stdout.write(report.text())
        if not report.passed():
            raise SystemExit(1)
