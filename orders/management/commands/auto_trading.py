from __future__ import annotations

import getpass
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from risk import control
from risk.models import TradingControl


class Command(BaseCommand):
    help = "Turn auto-trading on or off."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("switch", choices=["on", "off"])
        parser.add_argument("--reason", required=True, help="kept with the change")

    def handle(self, *args: Any, **options: Any) -> None:
        mode, now = settings.TRADING_MODE, timezone.now()
        by = f"command line ({getpass.getuser()})"
        reason = options["reason"].encode(errors="replace").decode()  # a terminal may send what is no UTF-8
        if options["switch"] == "off":
            changed = control.auto_trading_off(mode, by=by, reason=reason, now=now)
        else:
            shown = TradingControl.objects.get(mode=mode).version
            try:
                changed = control.auto_trading_on(mode, by=by, reason=reason, now=now, version_shown=shown)
            except (control.ControlChanged, control.LooseningRefused) as refusal:
                raise CommandError(str(refusal)) from refusal
        self.stdout.write(str(changed))
