from __future__ import annotations

import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from orders.desk import Desk, DeskNotWired
from orders.listener import ExecutorDied, Listener
from orders.start import StartRefused, prepare_when_possible


class Command(BaseCommand):
    help = "Run the executor: receive signals, decide them, send orders and follow them. A second one stands by."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._run(Desk.from_settings())
        except (DeskNotWired, StartRefused, ExecutorDied) as trouble:
            raise CommandError(str(trouble)) from trouble

    def _run(self, desk: Desk) -> None:
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
            listener.run()
