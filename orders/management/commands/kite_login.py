from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from orders import daily_login
from orders.daily_login import LoginNotKept
from orders.desk import Desk


class Command(BaseCommand):
    help = "Log in to Kite for the day: without an argument say where, with the request token from there do it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--request-token", help="what Kite put into the address it sent you back to")

    def handle(self, *args: Any, **options: Any) -> None:
        desk = Desk.from_settings() if settings.KITE_API_KEY else None
        if desk is None:
            raise CommandError("this is PAPER, which needs no login: set KITE_API_KEY and KITE_API_SECRET to go live")
        if not options["request_token"]:
            self.stdout.write(f"1. Log in at {daily_login.kite(desk).login_url()}")
            self.stdout.write("2. Kite sends you back to an address with request_token=… in it. Within five minutes:")
            self.stdout.write("   manage.py kite_login --request-token …")
            return
        try:
            session = daily_login.log_in(desk, options["request_token"], secret=settings.KITE_API_SECRET)
        except LoginNotKept as refusal:
            raise CommandError(str(refusal)) from None
        self.stdout.write(f"logged in as {session.user_id} until {session.valid_until:%d %b %H:%M} UTC")
