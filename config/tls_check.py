"""Warns of a desk that holds a real account, is reached by others, and sends its sessions in the clear."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core import checks

AT_HOME = {"127.0.0.1", "localhost", "[::1]"}


def sessions_are_private(**_: Any) -> list[checks.CheckMessage]:
    """Return the warning, where it is due."""
    reached = set(settings.ALLOWED_HOSTS) - AT_HOME
    if settings.TRADING_MODE == "PAPER" or settings.SECURE_COOKIES or not reached:
        return []
    return [
        checks.Warning(
            f"Whoever listens on the way to {', '.join(sorted(reached))} can take over a session, and trade.",
            hint="Put a proxy that speaks TLS before the web server, and set SECURE_COOKIES=true.",
            id="config.W001",
        )
    ]
