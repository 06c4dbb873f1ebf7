"""An executor that kills itself, as `kill -9` would, at a named point of a signal's path."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import django


def die(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dies_before(owner: Any, name: str) -> None:
    setattr(owner, name, die)


def dies_after(owner: Any, name: str) -> None:
    real: Callable[..., Any] = getattr(owner, name)

    def then_die(*args: Any, **kwargs: Any) -> None:
        real(*args, **kwargs)
        die()

    setattr(owner, name, then_die)


def arm(point: str) -> None:
    from orders import deciding, execution, loops, receivers, reconciliation
    from orders.broker.kite import KiteGateway

    points: dict[str, Callable[[], None]] = {
        "before it is recorded": lambda: dies_before(receivers, "record"),
        "recorded, not acknowledged": lambda: dies_after(receivers, "record"),
        "before it is decided": lambda: dies_before(loops, "decide"),
        "deciding, not committed": lambda: dies_after(deciding, "_write"),
        "decided, not sent": lambda: dies_before(loops, "submit"),
        "submitting, not sent": lambda: dies_before(KiteGateway, "place"),
        "sent, answer not written": lambda: dies_after(KiteGateway, "place"),
        "answer being written": lambda: dies_before(execution, "_bind"),
        "answer written": lambda: dies_after(execution, "_bind"),
        "fills being recorded": lambda: dies_after(reconciliation, "_record_fills"),
        "fills settled, not committed": lambda: dies_after(reconciliation, "settle"),
    }
    points[point]()


POINTS_SENT_ONCE = [
    "before it is recorded",
    "recorded, not acknowledged",
    "before it is decided",
    "deciding, not committed",
    "decided, not sent",
    "sent, answer not written",
    "answer being written",
    "answer written",
    "fills being recorded",
    "fills settled, not committed",
]

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    arm(sys.argv[1])
    from django.core.management import call_command

    call_command("listen_signals")
