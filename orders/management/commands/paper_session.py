"""End the sessions of a running paper Kite server in mid-day, as a master logout does, or restore the standing one."""

from __future__ import annotations

from django.core.management.base import BaseCommand, CommandParser

from orders.management.paper_control import DEFAULT_URL, call

METHODS = {None: "GET", "end": "DELETE", "restore": "POST"}


class Command(BaseCommand):
    help = (
        "End all sessions of a running paper Kite server: from then on it answers 403 and its sockets close, until "
        "a new login, or until the pair that it was started with is restored. Without either, say how it stands."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("what", nargs="?", choices=("end", "restore"))
        parser.add_argument("--url", default=DEFAULT_URL, help="of the server (default: %(default)s)")

    def handle(self, *args: object, what: str | None, url: str, **options: object) -> None:
        told = call(url, METHODS[what], "sessions")
        pair = "is accepted" if told["standing"] else "has ended"
        self.stdout.write(f"the standing pair {pair}, {told['logged_in']} logged in")
