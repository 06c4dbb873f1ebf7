"""Run everything on this machine: servers, executor and web."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from config.local_folder import LocalServersFailed
from config.supervisor import CannotRun, Supervisor

PORTS = range(1, 65_536)


class Command(BaseCommand):
    help = "Run the local servers, the executor, the web server and the alerts until Ctrl-C."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--port", default=os.environ.get("PORT") or "8000", help="of the web server; default: PORT, or 8000"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        port = options["port"]
        if not port.isdigit() or int(port) not in PORTS:
            raise CommandError(f"The port is {port!r}: give a number from 1 to 65535.")
        supervisor = Supervisor(int(port), os.environ, sys.stdout)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, supervisor.stop)
        try:
            supervisor.run()
        except (CannotRun, LocalServersFailed) as reason:
            raise CommandError(str(reason)) from reason
