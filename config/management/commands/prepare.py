"""Bring the database up to date and see to a first superuser; safe to repeat."""

from __future__ import annotations

import os
from typing import Any

from django.core.management import BaseCommand, call_command

from config.first_admin import NAME, create_first_admin
from config.local_folder import LocalFolder


class Command(BaseCommand):
    help = "Migrate the database, and create the superuser `admin` when there is none."

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", interactive=False, verbosity=options["verbosity"])
        folder = LocalFolder.named_by(os.environ)
        folder.create()
        if create_first_admin(folder.admin_password):
            self.stdout.write(f"Created the superuser {NAME}; the password is in {folder.admin_password}")
