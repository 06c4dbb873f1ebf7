"""
What the leading executor sees, kept for pages: they show the day, and never ask the broker inside a request.

The executor alone hears the prices of the stream, so its figures are the youngest there are; each says as of when.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import F

from orders.day import day_of_account
from orders.desk import Desk, start_of_day
from orders.models import BrokerSession, DayPoint
from orders.quotes import available_funds
from orders.usage import exposures
from risk import limit_versions

LOOK_SECONDS = 5.0
FUNDS_SECONDS = 60.0
POINT_SECONDS = timedelta(seconds=60)
PAISA = Decimal("0.01")


class Observations:
    """Keeps what is seen, not oftener than anybody looks. One thread calls it."""

    def __init__(self, desk: Desk, *, stopwatch: Callable[[], float] = time.monotonic) -> None:
        self._desk = desk
        self._stopwatch = stopwatch
        self._looked_at = self._funds_read_at = -math.inf
        self._connects_kept = 0

    def keep(self, *, with_funds: bool = False) -> None:
        """Keep the day's figures and when the stream was heard; with `with_funds` once a minute what may be spent."""
        now = self._stopwatch()
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            keep_day_point(self._desk)
            self._keep_stream()
        if with_funds and now - self._funds_read_at >= FUNDS_SECONDS:
            self._funds_read_at = now
            _keep_funds(self._desk)

    def _keep_stream(self) -> None:
        prices = self._desk.streamed_prices
        heard_at = prices.heard_at() if prices else None
        if prices is None or heard_at is None:
            return
        connects = prices.connects()
        more = F("stream_connects") + connects - self._connects_kept
        BrokerSession.objects.filter(mode=self._desk.mode).update(stream_heard_at=heard_at, stream_connects=more)
        self._connects_kept = connects


def keep_day_point(desk: Desk) -> DayPoint | None:
    """Write down what the day has brought by now; None, and no row, while a price that it needs is not known."""
    now = desk.clock()
    limits = limit_versions.in_force(now=now).limits()
    day = day_of_account(desk, charges_percent=limits.charges_percent, now=now)
    if day.result is None:
        return None
    worths = [each.worth for each in exposures(desk, limits, now=now)]
    known = [worth for worth in worths if worth is not None]
    figures = {
        "realised": day.realised.quantize(PAISA),
        "unrealised": day.unrealised.quantize(PAISA),
        "charges": day.charges.quantize(PAISA),
        "exposure": sum(known, Decimal(0)).quantize(PAISA) if len(known) == len(worths) else None,
    }
    return _extend_or_add(desk.mode, figures, now)


def _extend_or_add(mode: str, figures: dict[str, Decimal | None], now: datetime) -> DayPoint:
    last = DayPoint.objects.of_day(mode, start_of_day(now)).last()
    # A row from the future was dated by a clock that was set back since: it is left alone, and begun anew beside.
    if last is not None and last.since <= now:
        same = all(getattr(last, name) == value for name, value in figures.items())
        if same or now - last.since < POINT_SECONDS:
            for name, value in figures.items():
                setattr(last, name, value)
            last.as_of = now
            last.save(update_fields=[*figures, "as_of"])
            return last
    point, _ = DayPoint.objects.update_or_create(mode=mode, since=now, defaults={**figures, "as_of": now})
    return point


def _keep_funds(desk: Desk) -> None:
    funds = available_funds(desk)
    if funds is not None:
        BrokerSession.objects.filter(mode=desk.mode).update(funds=funds.available.quantize(PAISA), funds_at=funds.as_of)
