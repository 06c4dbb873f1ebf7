"""
What happened, read from the rows that others have committed: never inside of their transactions, and with no lock.

Ids are given in the order of inserting and seen in the order of committing, so that a lower one may come later. Every
row above a mark is looked at again and again; the mark follows the newest row only when it is a minute old and every
transaction that ran then has ended. What was told before is known by its source, which is unique.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import F, Q, QuerySet

from orders.alerting import wording
from orders.alerting.news import News
from orders.desk import Desk
from orders.lifecycle import OrderStatus
from orders.models import Alert, AlertSender, Order, OrderEvent
from risk import limit_versions
from risk.engine.facts import Origin, TradingState
from risk.models import Incident, TradingControlEvent

EXECUTOR = "executor"
SAME_MOMENT = timedelta(seconds=1)  # of a stop and its incident: they are one commit
AGAIN_FOR = timedelta(seconds=60)
STOPS = (  # what the executor opens in the commit in which it stops something
    Incident.Kind.ORDER_IN_DOUBT,
    Incident.Kind.DAILY_LOSS,
    Incident.Kind.EXPOSURE_PASSED,
    Incident.Kind.BROKER_UNREACHABLE,
    Incident.Kind.REJECT_STREAK,
    Incident.Kind.RATE_REFUSED,
)
WARN_AT_PERCENT = (50, 80, 100)


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table that is watched: its rows of a mode that may be news, and what is told of some of them."""

    name: str
    everything: Callable[[], QuerySet[Any]]
    of_mode: Callable[[str], QuerySet[Any]]
    source: str  # how the source of a row of it begins: its primary key follows
    news: Callable[[Any], News | None]


def _order_events(mode: str) -> QuerySet[OrderEvent]:
    ends = Q(after__in=[OrderStatus.FILLED, OrderStatus.REJECTED]) | Q(before=OrderStatus.IN_DOUBT)
    ours = OrderEvent.objects.filter(ends, order__mode=mode).exclude(order__origin=Origin.EXTERNAL.value)
    return ours.exclude(before=F("after")).select_related("order")


def _of_switch(change: TradingControlEvent) -> News | None:
    earlier = TradingControlEvent.objects.filter(mode=change.mode, version__lt=change.version).order_by("-version")
    before = earlier.first()
    told = wording.of_switch(change, before.state if before else TradingState.ACTIVE.value)
    if told is None and change.actor == EXECUTOR and before is not None and not _has_an_incident_of_its_own(change):
        return wording.of_a_stop_once_more(change, before)
    return told


def _has_an_incident_of_its_own(change: TradingControlEvent) -> bool:
    """Return whether what stopped trading is new: an incident that is open already only counts once more."""
    moment = (change.at - SAME_MOMENT, change.at + SAME_MOMENT)
    return Incident.objects.filter(mode=change.mode, kind__in=STOPS, first_at__range=moment).exists()


TABLES = (
    Table(
        name="order events",
        everything=OrderEvent.objects.all,
        of_mode=_order_events,
        source="order event",
        news=wording.of_order_event,
    ),
    Table(
        name="incidents",
        everything=Incident.objects.all,
        of_mode=lambda mode: Incident.objects.filter(mode=mode),
        source="incident",
        news=wording.of_incident,
    ),
    Table(
        name="switch",
        everything=TradingControlEvent.objects.all,
        of_mode=lambda mode: TradingControlEvent.objects.filter(mode=mode),
        source="switch row",
        news=_of_switch,
    ),
)


def begin(row: AlertSender, now: datetime) -> None:
    """Mark everything there is as looked at: nobody is told of what was before."""
    row.watched = {table.name: _mark(_newest(table), now, _transactions()[1]) for table in TABLES}
    row.save(update_fields=["watched"])


def look(table: Table, row: AlertSender, now: datetime) -> list[Any]:
    """Return the rows of a table that nobody was told of, and move its mark, in `row.watched`, as far as is safe."""
    if table.name not in row.watched:
        row.watched[table.name] = _mark(_newest(table), now, _transactions()[1])
    mark = row.watched[table.name]
    moved = _moved(mark, table, now)  # before the rows are read: who ends in between is seen, and not passed by
    rows = table.of_mode(row.mode)
    candidates = rows.filter(pk__gt=mark["low"]).order_by().values_list("pk", flat=True)
    sources = {f"{table.source} {pk}": pk for pk in candidates}
    told = Alert.objects.filter(mode=row.mode, source__in=list(sources)).values_list("source", flat=True)
    untold = set(sources.values()) - {sources[source] for source in told}
    row.watched[table.name] = moved
    return list(rows.filter(pk__in=untold).order_by("pk")) if untold else []


def _moved(mark: dict[str, Any], table: Table, now: datetime) -> dict[str, Any]:
    """Return the mark as it is after this look: at the newest row of a minute ago, if nobody of then still writes."""
    since = datetime.fromisoformat(mark["at"])
    if since <= now < since + AGAIN_FOR:
        return mark
    newest = _newest(table)  # before the transactions: whoever has a lower id is among them
    oldest_running, next_one = _transactions()
    if mark["transaction"] <= next_one and oldest_running < mark["transaction"]:
        return mark  # a mark above every transaction was made on another server
    return {**_mark(newest, now, next_one), "low": mark["high"]}


def _mark(newest: int, now: datetime, transaction: int) -> dict[str, Any]:
    return {"low": newest, "high": newest, "at": now.isoformat(), "transaction": transaction}


def _newest(table: Table) -> int:
    newest: int | None = table.everything().order_by("-pk").values_list("pk", flat=True).first()
    return newest or 0


def _transactions() -> tuple[int, int]:
    """Return the oldest transaction that may still commit, and the one that comes next."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_snapshot_xmin(now)::text::bigint, pg_snapshot_xmax(now)::text::bigint"
            " FROM pg_current_snapshot() AS now"
        )
        oldest, next_one = cursor.fetchone()
    return int(oldest), int(next_one)


def trades(desk: Desk, now: datetime) -> list[News]:
    """Return the highest level of the day's trades that is reached: no incident tells of those."""
    limit = limit_versions.in_force(now=now).daily_trades_max
    if not limit:
        return []
    used = Order.objects.trades_of(desk.mode, desk.today()).count()
    level = max((each for each in WARN_AT_PERCENT if used * 100 >= limit * each), default=None)
    if level is None:
        return []
    return [wording.of_trades(day=str(desk.today()), used=used, limit=limit, level=level, at=now)]
