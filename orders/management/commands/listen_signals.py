from __future__ import annotations

import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from orders.desk import Desk, DeskNotWired
from orders.listener import ExecutorDied, Listener
from orders.start import StartRefused, prepare_start


class Command(BaseCommand):
    help = "Run the executor: receive signals, decide them, send orders and follow them. A second one stands by."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            desk = Desk.from_settings()
            prepare_start(desk)
        except (DeskNotWired, StartRefused) as trouble:
            raise CommandError(str(trouble)) from trouble
        listener = Listener(
            desk,
            redis_url=settings.REDIS_URL,
            channel=settings.SIGNAL_CHANNEL,
            stream=settings.SIGNAL_STREAM,
            group=settings.SIGNAL_GROUP,
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: listener.stop())
        try:
            listener.run()
        except ExecutorDied as end:
            raise CommandError(str(end)) from end
