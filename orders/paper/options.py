"""The options of the server, for the management command and for `python -m orders.paper` alike."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from urllib.parse import urlsplit

from orders.paper.clock import EARLIEST, LATEST
from orders.paper.faults.faults import Fault
from orders.paper.faults.specification import FaultUnreadable, read_fault
from orders.paper.indian_time import IST
from orders.paper.profile import PROFILES, STRICT

CASH = Decimal(1_000_000)  # INR
CASH_MAX = Decimal(10**12)


@dataclass(frozen=True, kw_only=True)
class Options:
    host: str
    port: int
    state_dir: Path
    seed: int
    profile: str
    market_hours: str
    rate_limits: bool
    clock: datetime | None
    cash: Decimal  # INR
    api_key: str | None
    access_token: str | None
    api_secret: str
    redirect_url: str | None
    postback_url: str | None
    replay: Path | None
    fault: list[Fault]

    @classmethod
    def from_namespace(cls, chosen: argparse.Namespace) -> Options:
        return cls(**{field.name: getattr(chosen, field.name) for field in fields(cls)})

    @property
    def pair(self) -> tuple[str, str] | None:
        """Return the one pair of API key and access token that is accepted, when it was given."""
        if self.api_key and self.access_token:
            return self.api_key, self.access_token
        return None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=port_number, default=8800, help="0 picks a free one (default: %(default)s)")
    add("--state-dir", type=Path, required=True, help="where the journal of the book is kept")
    add("--seed", type=int, default=1, help="another seed moves prices along another path")
    add(
        "--profile",
        choices=sorted(PROFILES),
        default=STRICT.name,
        help="strict has today's rules; relaxed those that older clients were written for (default: %(default)s)",
    )
    add(
        "--market-hours",
        choices=("always", "nse"),
        default="always",
        help="open round the clock, or as the exchange's calendar says (default: %(default)s)",
    )
    add("--no-rate-limits", dest="rate_limits", action="store_false", help="answer however often a client asks")
    add("--clock", type=moment, help="begin at this moment (ISO 8601) instead of now; Mumbai time without an offset")
    add("--cash", type=rupees, default=CASH, help="INR in a new account (default: %(default)s)")
    add("--api-key", help="accept this key only, together with --access-token")
    add("--access-token", help="the token that is accepted from the start, with a few rows in every list")
    add("--api-secret", default="paper", help="signs logins and postbacks (default: %(default)s)")
    add("--redirect-url", type=web_address, help="where the login page sends a user to; shown on the page without")
    add("--postback-url", type=web_address, help="where order updates are posted to")
    add("--replay", type=Path, help="CSV of prices by time: at,exchange,tradingsymbol,price")
    add(
        "--fault",
        type=fault,
        action="append",
        default=[],
        metavar="SPEC",
        help="a fault to begin with, such as place:drop_after:skip=2; may be given several times",
    )


def check_pair(api_key: str | None, access_token: str | None) -> str | None:
    """Return what is wrong with the two options together, or None."""
    if bool(api_key) != bool(access_token):
        return "--api-key and --access-token go together: give both or neither."
    return None


def port_number(text: str) -> int:
    """Return the TCP port that the text names; 0 stands for any free one."""
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port between 0 and 65535")
    return int(text)


def moment(text: str) -> datetime:
    """Return the moment; without an offset it is Mumbai's."""
    try:
        named = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a moment such as 2026-11-23T09:15:00") from error
    named = named if named.tzinfo else named.replace(tzinfo=IST)
    if not EARLIEST <= named <= LATEST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a moment from {EARLIEST.year} to {LATEST.year}")
    return named


def rupees(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not an amount") from error
    if not amount.is_finite() or not 0 <= amount <= CASH_MAX or amount != round(amount, 2):
        raise argparse.ArgumentTypeError(f"{text!r} is not an amount between 0 and {CASH_MAX} INR")
    return amount


def web_address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise argparse.ArgumentTypeError(f"{text!r} is not an http:// or https:// address")
    return text


def fault(text: str) -> Fault:
    try:
        return read_fault(text)
    except FaultUnreadable as error:
        raise argparse.ArgumentTypeError(str(error)) from error
