"""What the commands that stop trading have in common: the reason they are given, and what they tell at the end."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings

from orders.desk import Desk
from orders.remaining import as_text, remaining


def plain_reason(given: str) -> str:
    """Return the reason as the database takes it: a terminal may send what is no UTF-8."""
    return given.encode(errors="replace").decode()


def tell_what_remains(desk: Desk, write: Callable[[str], object]) -> None:
    for line in as_text(remaining(desk.mode, now=desk.clock()), desk.mode, settings.BROKER_CALL_AND_TRADE):
        write(line)
