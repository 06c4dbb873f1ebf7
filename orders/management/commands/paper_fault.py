"""Ask a running paper Kite server to fail, and what its faults have struck."""

from __future__ import annotations

import json

from django.core.management.base import BaseCommand, CommandError, CommandParser

from orders.management.paper_control import DEFAULT_URL, call
from orders.paper.faults.specification import FaultUnreadable, read_fault


class Command(BaseCommand):
    help = (
        "Ask a running paper Kite server to fail, such as place:drop_after:skip=2; without one, list what waits. "
        "That is the third place: the third request of the route since the fault was asked for, whatever the ones "
        "before it were answered, and also when another fault struck them. A request without a session or above the "
        "rate limit does not get to the route and is not counted. Of several faults that wait for the same request "
        "the oldest strikes it, and the others the next one that they may. A restart of the server forgets them."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("fault", nargs="*", metavar="SPEC", help="route:what:name=value,… in the order given")
        parser.add_argument("--url", default=DEFAULT_URL, help="of the server (default: %(default)s)")
        parser.add_argument("--clear", action="store_true", help="first forget the faults that wait")
        parser.add_argument(
            "--struck",
            action="store_true",
            help="list what was struck instead: route, tag, and order ids that followed",
        )

    def handle(self, *args: object, fault: list[str], url: str, clear: bool, struck: bool, **options: object) -> None:
        try:
            wanted = [read_fault(text).model_dump(mode="json") for text in fault]
        except FaultUnreadable as reason:
            raise CommandError(str(reason)) from reason
        if clear:
            call(url, "DELETE", "faults")
        if wanted:
            call(url, "POST", "faults", wanted)
        for row in call(url, "GET", "faults/struck" if struck else "faults"):
            self.stdout.write(json.dumps(row))
