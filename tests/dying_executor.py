"""An executor that kills itself, as `kill -9` would, or stands still, at a named point of a signal's path."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import django

Point = tuple[Callable[[Any, str], None], Any, str]


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


def stands_still_once() -> Callable[[], None]:
    """Return what stops this whole process the first time it is called, until somebody wakes it."""
    moments = iter([signal.SIGSTOP])

    def stand_still() -> None:
        for how in moments:
            # To this very thread, so that it stops right here; sent to the process it may run on for a moment.
            signal.pthread_kill(threading.get_ident(), how)

    return stand_still


def pauses_before(owner: Any, name: str, *, when: Callable[..., bool] = lambda *_: True) -> None:
    real, stand_still = getattr(owner, name), stands_still_once()

    def pause_first(*args: Any, **kwargs: Any) -> Any:
        if when(*args):
            stand_still()
        return real(*args, **kwargs)

    setattr(owner, name, pause_first)


def pauses_after(owner: Any, name: str, *, when: Callable[..., bool] = lambda *_: True) -> None:
    real, stand_still = getattr(owner, name), stands_still_once()

    def then_pause(*args: Any, **kwargs: Any) -> Any:
        answer = real(*args, **kwargs)
        if when(*args):
            stand_still()
        return answer

    setattr(owner, name, then_pause)


def pauses_in_connect() -> None:
    """Stand still between the connection that is made for sending an order and the look at the clock."""
    from orders.broker import deadline

    def sends_an_order(*_: Any) -> bool:
        call = deadline._current.get()
        return call is not None and call.send_by is not None

    real = deadline._LastLook.request

    def on_a_new_connection(self: Any, *args: Any, **kwargs: Any) -> None:
        if sends_an_order():
            self.close()
        real(self, *args, **kwargs)

    deadline._LastLook.request = on_a_new_connection
    pauses_after(deadline._Connection, "connect", when=sends_an_order)


def arm_pause(point: str) -> None:
    from orders import deciding, execution, reconciliation, worker
    from orders.broker.kite import KiteGateway

    points: dict[str, Callable[[], None]] = {
        "deciding, not committed": lambda: pauses_after(deciding, "write_order"),
        "decided, not sent": lambda: pauses_before(worker, "submit"),
        "claiming": lambda: pauses_before(execution, "_claim"),
        "claimed, not sent": lambda: pauses_before(KiteGateway, "place"),
        "in connect": pauses_in_connect,
        "sent, answer not written": lambda: pauses_after(KiteGateway, "place"),
        "book read, not compared": lambda: pauses_before(
            reconciliation, "compare", when=lambda _, book, *__: bool(book.orders)
        ),
    }
    points[point]()


def points() -> dict[str, Point]:
    """Return where it can be had to die: before or after a function, by its owner and name."""
    from orders import deciding, execution, receivers, reconciliation, worker
    from orders.broker.kite import KiteGateway

    return {
        "before it is recorded": (dies_before, receivers, "record"),
        "recorded, not acknowledged": (dies_after, receivers, "record"),
        "before it is decided": (dies_before, worker, "decide"),
        "deciding, not committed": (dies_after, deciding, "write_order"),
        "decided, not sent": (dies_before, worker, "submit"),
        "submitting, not sent": (dies_before, KiteGateway, "place"),
        "sent, answer not written": (dies_after, KiteGateway, "place"),
        "answer being written": (dies_before, execution, "_bind"),
        "answer written": (dies_after, execution, "_bind"),
        "fills being recorded": (dies_after, reconciliation, "_record_fills"),
        "fills settled, not committed": (dies_after, reconciliation, "settle"),
    }


def arm(point: str) -> None:
    dies, owner, name = points()[point]
    dies(owner, name)


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
    {"die": arm, "pause": arm_pause}[sys.argv[1]](sys.argv[2])
    from django.core.management import call_command

    call_command("listen_signals")
