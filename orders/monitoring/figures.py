"""
The desk's figures, read from PostgreSQL when they are asked for: nothing is counted beside the ledger.

What begins anew at midnight in Mumbai is a gauge that ends in `_today`; only what never falls ends in `_total`. Money
is INR and a float, as all numbers of Prometheus are: it is to look at, and nothing is decided by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal

from django.conf import settings
from django.db import connection
from django.db.models import Count
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from orders.backup_files import newest
from orders.desk import Desk, start_of_day, trading_date
from orders.lifecycle import OrderStatus
from orders.models import BrokerSession, DayPoint, ExecutorHeartbeat, Order, Position, Signal
from orders.portfolio import open_book
from orders.today import orders_by_status
from orders.usage import Used, exposures, used_of_limits
from risk import limit_versions
from risk.engine import rates
from risk.engine.facts import TradingState
from risk.models import Incident, Mode, TradingControl

PREFIX = "order_executor"
TODAY = "Since midnight in Mumbai, when it begins anew."
DECISION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # seconds
SUBMIT_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # likewise


def without_the_database(now: datetime) -> Iterator[Metric]:
    """Yield what is known whether PostgreSQL answers or not."""
    info = InfoMetricFamily(PREFIX, "What runs here: which mode it trades in, and its version.")
    info.add_metric([], {"mode": settings.TRADING_MODE, "version": settings.VERSION})
    yield info
    last = newest(settings.BACKUP_DIR, now=now)
    if last is not None:
        yield _gauge("backup_age_seconds", "Since the newest whole backup was taken.", _age(last.taken_at, now))


def of_the_database(desk: Desk, now: datetime) -> Iterator[Metric]:
    """Yield what the ledger says of one mode at that moment."""
    for part in (_switch, _executor, _signals, _orders, _latencies, _incidents, _day, _limits):
        yield from part(desk, now)


def _switch(desk: Desk, now: datetime) -> Iterator[Metric]:
    control = TradingControl.objects.get(mode=desk.mode)
    states = {state.value: int(control.state == state) for state in TradingState}
    yield _by("trading_state", "The state of trading: 1 for the one that holds.", "state", states, desk)
    yield _gauge("auto_trading", "Whether signals are acted on: 1 or 0.", int(control.auto_trading), desk)


def _executor(desk: Desk, now: datetime) -> Iterator[Metric]:
    beat = ExecutorHeartbeat.objects.filter(mode=desk.mode).first()
    if beat is not None:
        yield _gauge(
            "heartbeat_age_seconds", "Since the leading executor was last alive.", _age(beat.beat_at, now), desk
        )
    session = BrokerSession.objects.filter(mode=desk.mode).first() or BrokerSession(mode=desk.mode)
    valid = int(desk.vault.is_valid(now, session) if session.pk else desk.mode == Mode.PAPER)
    yield _gauge(
        "broker_session_valid", "Whether there is a login at the broker that is valid now: 1 or 0.", valid, desk
    )
    connects = CounterMetricFamily(
        f"{PREFIX}_stream_connects",
        "Connections made to the broker's stream, ever: each after the first of a day is a reconnect.",
        labels=["mode"],
    )
    connects.add_metric([desk.mode], session.stream_connects)
    yield connects
    for name, at, what in (
        ("reconciled_age_seconds", session.reconciled_at, "Since the broker's book was last compared."),
        ("stream_heard_age_seconds", session.stream_heard_at, "Since the broker's stream was last heard."),
    ):
        if at is not None:
            yield _gauge(name, what, _age(at, now), desk)
    if session.funds is not None:
        yield _gauge("funds_inr", "What the broker lets be spent, as last read.", session.funds, desk)


def _signals(desk: Desk, now: datetime) -> Iterator[Metric]:
    received = Signal.objects.filter(mode=desk.mode, received_at__gte=start_of_day(now)).order_by()
    counts = dict.fromkeys(Signal.Status.values, 0)
    counts.update(received.values_list("status").annotate(count=Count("pk")))
    yield _by("signals_today", f"Signals received, by what became of them. {TODAY}", "status", counts, desk)


def _orders(desk: Desk, now: datetime) -> Iterator[Metric]:
    counts = {**dict.fromkeys(OrderStatus.values, 0), **orders_by_status(desk.mode, now)}
    yield _by("orders_today", f"Our own orders, by status. {TODAY}", "status", counts, desk)
    unfinished = dict(
        Order.objects.unfinished(desk.mode).order_by().values_list("status").annotate(count=Count("pk"))
    )  # of all days
    doubt = unfinished.get(OrderStatus.IN_DOUBT, 0)
    yield _gauge("orders_in_doubt", "Orders sent without a trustworthy answer, of whatever day.", doubt, desk)
    count = sum(unfinished.values())
    yield _gauge("orders_unfinished", "Orders that may still fill, of whatever day.", count, desk)


def _latencies(desk: Desk, now: datetime) -> Iterator[Metric]:
    yield _histogram(
        "decision_latency_seconds",
        f"From a signal's arrival to its decision. {TODAY}",
        DECISION_BUCKETS,
        "FROM orders_signal WHERE mode = %s AND received_at >= %s AND decided_at IS NOT NULL",
        "decided_at - received_at",
        [desk.mode, start_of_day(now)],
    )
    yield _histogram(
        "submit_latency_seconds",
        f"From the sending of an order to the broker's answer. {TODAY}",
        SUBMIT_BUCKETS,
        "FROM orders_order WHERE mode = %s AND trading_date = %s AND submitted_at IS NOT NULL"
        " AND answered_at IS NOT NULL",
        "answered_at - submitted_at",
        [desk.mode, trading_date(now)],
    )


def _histogram(
    name: str, what: str, buckets: tuple[float, ...], rows: str, took: str, values: list[str | date | datetime]
) -> HistogramMetricFamily:
    """Count the rows into cumulative buckets, in one statement. `took` is an interval of SQL; none is below zero."""
    # The clocks of two machines may be apart: nothing took less than no time.
    seconds = f"greatest(0, extract(epoch FROM {took}))"
    within = ", ".join(f"count(*) FILTER (WHERE {seconds} <= {bucket})" for bucket in buckets)
    with connection.cursor() as cursor:
        # Of constants alone: what is asked for goes beside it.
        cursor.execute(f"SELECT {within}, count(*), coalesce(sum({seconds}), 0) {rows}", values)
        *counts, total, in_all = cursor.fetchone()
    family = HistogramMetricFamily(f"{PREFIX}_{name}", what, labels=["mode"])
    told = [(str(bucket), count) for bucket, count in zip(buckets, counts, strict=True)]
    family.add_metric([str(values[0])], buckets=[*told, ("+Inf", total)], sum_value=float(in_all))
    return family


def _incidents(desk: Desk, now: datetime) -> Iterator[Metric]:
    counts = {"stops_opening": 0, "other": 0}
    stops = Incident.objects.unresolved().filter(mode=desk.mode).order_by().values_list("stops_opening")
    for stopping, count in stops.annotate(count=Count("pk")):
        counts["stops_opening" if stopping else "other"] = count
    what = "Incidents that nobody has resolved: those that stop new exposure, and the others."
    yield _by("incidents_open", what, "severity", counts, desk)


def _day(desk: Desk, now: datetime) -> Iterator[Metric]:
    held = Position.objects.filter(mode=desk.mode).exclude(quantity=0).count()
    yield _gauge("positions", "Symbols and products of which we hold shares, or are short.", held, desk)
    point = DayPoint.objects.of_day(desk.mode, start_of_day(now)).last()
    if point is None:
        return
    as_of = "As the executor last saw it, in INR. " + TODAY
    yield _gauge("realised_today_inr", f"Realised. {as_of}", point.realised, desk)
    yield _gauge("unrealised_today_inr", f"Unrealised. {as_of}", point.unrealised, desk)
    yield _gauge("charges_today_inr", f"Charges, estimated. {as_of}", point.charges, desk)
    yield _gauge("result_today_inr", f"The day's result, charges taken off. {as_of}", point.result, desk)
    yield _gauge("day_age_seconds", "Since the executor last saw the day's result.", _age(point.as_of, now), desk)
    if point.exposure is not None:
        what = "What all symbols may be worth at worst, in INR."
        yield _gauge("exposure_inr", what, point.exposure, desk)


def _limits(desk: Desk, now: datetime) -> Iterator[Metric]:
    limits = desk.tighten(limit_versions.in_force(now=now).limits())
    book, day = open_book(desk, limits, now), DayPoint.objects.of_day(desk.mode, start_of_day(now)).last()
    open_now = exposures(desk, limits, now=now, book=book)
    all_used = used_of_limits(desk, limits, day=day, now=now, book=book, open_now=open_now)
    used = [each for each in all_used if each.name]  # the others are the broker's own
    what = "of each limit that a day fills up, in the limit's own unit. Of a limit a symbol, of the fullest one."
    yield _of_each(used, "limit_used", f"How much is used {what}", lambda each: each.used, desk)
    yield _of_each(used, "limit", f"How much is allowed {what}", lambda each: each.limit, desk)
    quotas = {each.what or each.control.code: each.used or 0 for each in all_used if not each.name}
    counts = {"day": quotas["BROKER_DAY_EXCEEDED"], "minute": quotas["in a minute at the broker"]}
    allowed = {"day": rates.BROKER_DAY, "minute": rates.BROKER_MINUTE}
    yield _by("quota_used", "Order requests that the broker counts, others' too.", "window", counts, desk)
    yield _by("quota", "Order requests that the broker takes.", "window", allowed, desk)


def _of_each(
    used: list[Used], name: str, what: str, amount: Callable[[Used], Decimal | int | None], desk: Desk
) -> Metric:
    known = {each.name: value for each in used if (value := amount(each)) is not None}
    return _by(name, what, "limit", known, desk)


def _by(name: str, what: str, label: str, values: dict[str, int] | dict[str, Decimal | int], desk: Desk) -> Metric:
    family = GaugeMetricFamily(f"{PREFIX}_{name}", what, labels=[label, "mode"])
    for word, value in values.items():
        family.add_metric([str(word), desk.mode], float(value))
    return family


def _gauge(name: str, what: str, value: Decimal | float, desk: Desk | None = None) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"{PREFIX}_{name}", what, labels=["mode"] if desk else [])
    family.add_metric([desk.mode] if desk else [], float(value))
    return family


def _age(moment: datetime, now: datetime) -> float:
    return max(0.0, (now - moment).total_seconds())
