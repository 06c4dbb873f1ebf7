"""Forget a person's second factor from the command line: for the last one who could have done it in the admin."""

from __future__ import annotations

import getpass
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from orders import second_factor


class Command(BaseCommand):
    help = "Forget the authenticator and the recovery codes of a user who has lost both."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--reason", required=True, help="It is kept in the log.")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["username"]).first()
        if user is None:
            raise CommandError(f"there is no user {options['username']}")
        if not second_factor.reset(user, by=f"{getpass.getuser()} on the command line", reason=options["reason"]):
            raise CommandError(f"{user} has no second factor")
        self.stdout.write(f"The second factor of {user} is reset.")
