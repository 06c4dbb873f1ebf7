"""Print the catalogue of controls as the table that stands in the README."""

from __future__ import annotations

from typing import Any

from django.core.management import BaseCommand

from risk.engine.rules import as_table


class Command(BaseCommand):
    help = "Print the table of the risk desk's controls, in Markdown: what README.md should have."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(as_table())
