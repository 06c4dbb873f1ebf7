from __future__ import annotations

import gc
import signal
import sys
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from orders.desk import Desk, DeskNotWired
from orders.listener import ExecutorDied, Listener
from orders.loops import keep_lines
from orders.start import StartRefused, prepare_when_possible
from orders.sweeping import leave_it_to_quiet_moments

SWITCH_SECONDS = 0.0005


class Command(BaseCommand):
    help = "Run the executor: receive signals, decide them, send orders and follow them. A second one stands by."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._run(Desk.from_settings())
        except (DeskNotWired, StartRefused, ExecutorDied) as trouble:
            raise CommandError(str(trouble)) from trouble

    def _run(self, desk: Desk) -> None:
        keep_lines()
        stopping = threading.Event()
        listener = Listener(
            desk,
            redis_url=settings.REDIS_URL,
            channel=settings.SIGNAL_CHANNEL,
            stream=settings.SIGNAL_STREAM,
            group=settings.SIGNAL_GROUP,
        )

        def stop(*_: Any) -> None:
            stopping.set()
            listener.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        if prepare_when_possible(desk, stopping):
            _answer_sooner()
            listener.run()


def _answer_sooner() -> None:
    """
    Have a thread that something has come for wait less for the others of this process.

    One that computes is asked to make way ten times as often as by default. What is loaded by now stays to the end:
    the collector need not walk it again and again, which holds up every thread, and walks the rest in quiet moments.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    leave_it_to_quiet_moments()
    gc.collect()
    gc.freeze()
