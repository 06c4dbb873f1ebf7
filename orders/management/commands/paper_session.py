"""End the sessions of a running paper Kite server in mid-day, as a master logout does, or restore the standing one."""

from __future__ import annotations

import requests
from django.core.management.base import BaseCommand, CommandError, CommandParser

METHODS = {None: "GET", "end": "DELETE", "restore": "POST"}
SECONDS = 5


class Command(BaseCommand):
    help = (
        "End all sessions of a running paper Kite server: from then on it answers 403 and its sockets close, until "
        "a new login, or until the pair that it was started with is restored. Without either, say how it stands."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("what", nargs="?", choices=("end", "restore"))
        parser.add_argument("--url", default="http://127.0.0.1:8800", help="of the server (default: %(default)s)")

    def handle(self, *args: object, what: str | None, url: str, **options: object) -> None:
        with requests.Session() as session:
            session.trust_env = False  # a proxy meant for the internet would not find a server on this machine
            try:
                answer = session.request(METHODS[what], f"{url.rstrip('/')}/paper/sessions", timeout=SECONDS)
                answer.raise_for_status()
                told = answer.json()["data"]
                pair = "is accepted" if told["standing"] else "has ended"
                self.stdout.write(f"the standing pair {pair}, {told['logged_in']} logged in")
            except (requests.RequestException, KeyError, TypeError) as error:
                raise CommandError(
                    f"No paper Kite server answers at {url} ({error}): start it, or give --url."
                ) from error
