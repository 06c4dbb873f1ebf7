"""API tokens from the command line: for a machine without a browser, and for the first one."""

from __future__ import annotations

import getpass
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from orders import api_tokens
from orders.api_tokens import DAYS_MAX, SCOPES, TokenRefused, Wish
from orders.management.told import plain_reason
from orders.models import ApiToken


class Command(BaseCommand):
    help = "Make, list or revoke the tokens of the JSON API. A new one is printed once, alone, on standard output."

    def add_arguments(self, parser: ArgumentParser) -> None:
        wishes = parser.add_subparsers(dest="wish", required=True)
        make = wishes.add_parser("make", help="make one, and print it")
        make.add_argument("name", help="what uses it: it stands in the trail")
        make.add_argument("--owner", required=True, help="in whose name all is done, and with whose permissions")
        make.add_argument("--scope", action="append", required=True, choices=list(SCOPES), help="again for another")
        make.add_argument("--days", type=int, help="how long it is good (default: until it is revoked)")
        make.add_argument("--per-minute", type=int, default=60, help="requests (default: %(default)s)")
        make.add_argument("--tradingview", action="store_true", help="it is sent in the text of TradingView's alerts")
        wishes.add_parser("list", help="list them all")
        revoke = wishes.add_parser("revoke", help="let one open nothing any more")
        revoke.add_argument("name")
        revoke.add_argument("--reason", required=True, help="kept with it")

    def handle(self, *args: Any, **options: Any) -> None:
        {"make": self._make, "list": self._list, "revoke": self._revoke}[options["wish"]](options)

    def _make(self, options: dict[str, Any]) -> None:
        owner = User.objects.filter(username=options["owner"]).first()
        if owner is None:
            raise CommandError(f"there is no user {options['owner']}")
        now, days = timezone.now(), options["days"]
        if days is not None and not 1 <= days <= DAYS_MAX:
            raise CommandError(f"a token is good for 1 to {DAYS_MAX} days, or without --days until it is revoked")
        wish = Wish(
            name=options["name"],
            owner=owner,
            scopes=options["scope"],
            per_minute=options["per_minute"],
            expires_at=None if days is None else now + timedelta(days=days),
            in_body=options["tradingview"],
        )
        try:
            _, secret = api_tokens.make(wish, by=_by(), now=now)
        except TokenRefused as refusal:
            raise CommandError(str(refusal)) from refusal
        self.stdout.write(secret)

    def _list(self, options: dict[str, Any]) -> None:
        now = timezone.now()
        for token in ApiToken.objects.select_related("owner").order_by("name"):
            state = token.dead_because(now) or "good"
            self.stdout.write(f"{token.name}: {token.owner}, {', '.join(token.scopes)}; {state}")

    def _revoke(self, options: dict[str, Any]) -> None:
        token = ApiToken.objects.filter(name=options["name"], revoked_at=None).first()
        if token is None:
            raise CommandError(f"there is no token named {options['name']} that is not revoked")
        api_tokens.revoke(token, by=_by(), reason=plain_reason(options["reason"]), now=timezone.now())
        self.stdout.write(f"{token.name} opens nothing any more.")


def _by() -> str:
    return f"command line ({getpass.getuser()})"
