from __future__ import annotations

import json
import secrets
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from orders.by_hand import MarkRefused
from orders.demo import Demo, DemoRefused
from orders.desk import DeskNotWired
from orders.executor import OrderExecutor, RiskManagementError
from orders.receivers import REDIS_AWAY, connect


class Command(BaseCommand):
    help = "Walk through risk management, manual orders, automatic listening and status tracking, on paper."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            demo = Demo(OrderExecutor.from_settings(), self.stdout.write, _publish)
            demo.run()
        except (DemoRefused, DeskNotWired, RiskManagementError, MarkRefused, *REDIS_AWAY) as refusal:
            raise CommandError(str(refusal)) from refusal
        if demo.failures:
            raise CommandError(f"{demo.failures} things were not as they should be")
        self.stdout.write("everything is as it should be")


def _publish(signal_type: str, symbol: str, score: float) -> str:
    signal_id = f"demo-{secrets.token_hex(6)}"
    message = {
        "signal_type": signal_type,
        "symbol": symbol,
        "cms_score": score,
        "timestamp": timezone.now().isoformat(),
        "signal_id": signal_id,
    }
    connect(settings.REDIS_URL).publish(settings.SIGNAL_CHANNEL, json.dumps(message))
    return signal_id
