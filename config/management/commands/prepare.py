"""Bring the database up to date and see to a first superuser; safe to repeat."""

from __future__ import annotations

import os
import time
from typing import Any

from django.core.management import BaseCommand, call_command
from django.db import OperationalError, connection

from config.first_admin import NAME, create_first_admin
from config.local_folder import LocalFolder

PAUSE_SECONDS = 0.5


class Command(BaseCommand):
    help = "Migrate the database, and create the superuser `admin` when there is none."

    def handle(self, *args: Any, **options: Any) -> None:
        self._wait_for_the_database()
        call_command("migrate", interactive=False, verbosity=options["verbosity"])
        folder = LocalFolder.named_by(os.environ)
        folder.create()
        if create_first_admin(folder.admin_password):
            self.stdout.write(f"Created the superuser {NAME}; the password is in {folder.admin_password}")

    def _wait_for_the_database(self) -> None:
        """Come up when the database does: after a power cut it may recover for minutes."""
        told = ""
        while True:
            try:
                connection.ensure_connection()
            except OperationalError as trouble:
                if told != str(trouble):
                    told = str(trouble)
                    self.stderr.write(f"Waiting for PostgreSQL, which does not let us in: {' '.join(told.split())}")
                time.sleep(PAUSE_SECONDS)
            else:
                return
