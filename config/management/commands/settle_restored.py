"""Make a database that was just restored current and safe, as `restore` does: for whoever restores otherwise."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from config.restore import settle


class Command(BaseCommand):
    help = "Halt trading in a database that was restored by other means than `restore`, and migrate and check it."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--taken-at", type=datetime.fromisoformat, required=True, help="2026-11-27T18:30:00+05:30")

    def handle(self, *args: Any, **options: Any) -> None:
        taken_at = options["taken_at"]
        if timezone.is_naive(taken_at):
            taken_at = timezone.make_aware(taken_at)
        self.stdout.write(json.dumps(settle(taken_at=taken_at, now=timezone.now())))
