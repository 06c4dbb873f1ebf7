from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from orders.messages import MalformedSignal, parse
from orders.receivers import REDIS_AWAY, connect


class Command(BaseCommand):
    help = "Publish a signal on the Redis channel, or with --stream on the stream, which keeps what nobody heard."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("signal_type", choices=["BUY", "SELL", "HOLD"], type=str.upper)
        parser.add_argument("symbol", help="RELIANCE, or NSE:RELIANCE")
        parser.add_argument("--cms", required=True, help="the score, -100 to 100 (write --cms=-75 for a negative one)")
        parser.add_argument("--stream", action="store_true", help="send it through the stream")
        parser.add_argument("--at", help="the signal's time, ISO 8601; now if not given")
        parser.add_argument("--id", help="the publisher's own id; the same id is one signal")

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        fields = {
            "signal_type": options["signal_type"],
            "symbol": options["symbol"],
            "cms_score": options["cms"],
            "timestamp": options["at"] or now.isoformat(),
        }
        if options["id"]:
            fields["signal_id"] = options["id"]
        message = json.dumps(fields)
        try:
            parse(
                message.encode(),
                now=now,
                time_zone=settings.SIGNAL_TIME_ZONE,
                default_exchange=settings.DEFAULT_EXCHANGE,
            )
        except MalformedSignal as trouble:
            raise CommandError(f"not sent: {trouble}") from trouble
        self._send(message, through_stream=options["stream"])

    def _send(self, message: str, *, through_stream: bool) -> None:
        client = connect(settings.REDIS_URL)
        try:
            if through_stream:
                entry_id: Any = client.xadd(settings.SIGNAL_STREAM, {"signal": message})
                self.stdout.write(f"sent through {settings.SIGNAL_STREAM} as {entry_id.decode()}: {message}")
                return
            listeners = client.publish(settings.SIGNAL_CHANNEL, message)
        except REDIS_AWAY as trouble:
            raise CommandError(f"Redis does not answer: {trouble}. Is REDIS_URL right?") from trouble
        self.stdout.write(f"published on {settings.SIGNAL_CHANNEL}, heard by {listeners}: {message}")
        if not listeners:
            self.stderr.write("nobody listened, so it is lost: start listen_signals, or use --stream")
