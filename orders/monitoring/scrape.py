"""
A scrape by Prometheus: whatever happens it is answered, in a bounded time, and the ledger is read once in some seconds.

One answer serves all who ask within those seconds. While PostgreSQL does not answer, `order_executor_up` is 0 and what
only it knows is left out: a figure of before would be taken for one of now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

import structlog
from django.core.exceptions import ObjectDoesNotExist
from django.db import Error, connection
from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from orders.desk import Desk, DeskNotWired
from orders.monitoring import figures
from orders.monitoring.bounded import Bounded, NoAnswer

log = structlog.get_logger(__name__)

WITHIN_SECONDS = 5.0
KEEP_SECONDS = 5.0
STATEMENT_MS_MAX = 3000


def _read() -> list[Metric]:
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"SET statement_timeout = {STATEMENT_MS_MAX}")  # of this thread's connection, which ends
        desk = Desk.from_settings()
        return list(figures.of_the_database(desk, desk.clock()))
    finally:
        connection.close()


class DeskCollector(Collector):
    """What a registry asks at each scrape."""

    def __init__(self, read: Callable[[], list[Metric]], clock: Callable[[], datetime]) -> None:
        self._read = read
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        found: list[Metric] = []
        up = 1
        try:
            found = self._read()
        except (NoAnswer, DeskNotWired, Error, ObjectDoesNotExist) as trouble:  # the last: migrated, and no first rows
            log.warning("metrics.without_database", reason=f"{type(trouble).__name__}: {trouble}"[:300])
            up = 0
        yield GaugeMetricFamily(f"{figures.PREFIX}_up", "Whether PostgreSQL answered this scrape: 1 or 0.", value=up)
        yield from figures.without_the_database(self._clock())
        yield from found

    def describe(self) -> Iterable[Metric]:
        """Nothing is asked when it is registered."""
        return ()


class Scrapes:
    """The answers to scrapes, in Prometheus's text format."""

    def __init__(
        self,
        read: Callable[[], list[Metric]] = _read,
        *,
        within_seconds: float = WITHIN_SECONDS,
        keep_seconds: float = KEEP_SECONDS,
        clock: Callable[[], datetime] = timezone.now,
    ) -> None:
        self._question = Bounded(read, within_seconds=within_seconds, keep_seconds=keep_seconds)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(DeskCollector(self._question.answer, clock))

    def text(self) -> bytes:
        return generate_latest(self._registry)
