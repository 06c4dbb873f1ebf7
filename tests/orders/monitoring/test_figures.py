"""What Prometheus reads: names as they are promised, and values as the ledger has them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from orders.backup_files import named
from orders.broker.kite_rows import IST
from orders.broker.sessions import TokenVault
from orders.desk import Desk, start_of_day
from orders.models import BrokerSession, DayPoint, ExecutorHeartbeat, Order, Signal
from orders.monitoring import figures
from orders.monitoring.scrape import DeskCollector
from orders.observations import keep_day_point
from risk.models import Incident, RiskSettings, TradingControl
from tests.conftest import StillClock
from tests.orders.admin import full_book, full_walk
from tests.orders.together import direct_connection

pytestmark = pytest.mark.django_db

QUERIES_MAX = 22
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def clock() -> StillClock:
    """Noon of this date in Mumbai, whenever the test runs: midnight is a matter of its own test."""
    clock = StillClock()
    clock.moment = clock.moment.astimezone(IST).replace(hour=12, minute=0, second=0, microsecond=0)
    return clock


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.BACKUP_DIR = tmp_path
    return tmp_path


def text(desk: Desk) -> str:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(DeskCollector(lambda: list(figures.of_the_database(desk, desk.clock())), desk.clock))
    return generate_latest(registry).decode()


def samples(desk: Desk) -> Samples:
    """Return what the parser of Prometheus's own client reads: by name and labels, the mode left out."""
    found: Samples = {}
    for family in text_string_to_metric_families(text(desk)):
        for each in family.samples:
            labels = tuple(sorted((name, value) for name, value in each.labels.items() if name != "mode"))
            assert (each.name, labels) not in found
            found[each.name, labels] = each.value
    return found


def value(desk: Desk, name: str, **labels: str) -> float:
    return samples(desk)[f"order_executor_{name}", tuple(sorted(labels.items()))]


def signal(signal_id: str, at: datetime, took: float | None = None, **changes: Any) -> Signal:
    decided_at = None if took is None else at + timedelta(seconds=took)
    fields = {"mode": "PAPER", "digest": "d", "source": "STREAM", "raw": b"", "status": "IGNORED", **changes}
    return Signal.objects.create(signal_id=signal_id, received_at=at, decided_at=decided_at, **fields)


def order(our_id: str, desk: Desk, **changes: Any) -> Order:
    same = {"mode": "PAPER", "origin": "MANUAL", "exchange": "NSE", "symbol": "INFY", "side": "BUY", "quantity": 1}
    terms = {"product": "CNC", "order_type": "MARKET", "trading_date": desk.today(), "created_at": desk.clock()}
    return Order.objects.create(client_order_id=our_id, **{**same, **terms, **changes})


def beat_and_backup(now: datetime, folder: Path) -> None:
    """Let the executor be last alive seven seconds ago, and a backup be five hours old."""
    beat_at = now - timedelta(seconds=7)
    ExecutorHeartbeat.objects.create(mode="PAPER", host="h", pid=1, backend_pid=2, started_at=now, beat_at=beat_at)
    for file in named(folder, now - timedelta(hours=5)).files:
        file.write_text("x")


def test_every_line_has_help_a_type_and_the_mode(desk):
    families = list(text_string_to_metric_families(text(desk)))

    assert len(families) > 15
    for family in families:
        assert family.documentation.endswith((".", "1 or 0."))
        assert family.name.startswith("order_executor_")
        for each in family.samples:
            assert each.name == "order_executor_up" or each.labels["mode"] == "PAPER"


def test_what_begins_anew_at_midnight_is_no_counter_and_what_never_falls_is_one(desk):
    for family in text_string_to_metric_families(text(desk)):
        names = {each.name for each in family.samples}
        if "Since midnight" in family.documentation and family.type != "histogram":
            assert all("_today" in name for name in names), names
            assert family.type == "gauge"
        assert (family.type == "counter") == all(name.endswith("_total") for name in names), names


def test_signals_and_orders_are_counted_by_what_became_of_them(desk, received, follow, wish):
    follow(received())
    follow(received(signal_type="HOLD"))
    follow(received(cms_score=10))
    received()

    found = samples(desk)

    def of(name: str) -> dict[str, float]:
        return {dict(labels)["status"]: count for (each, labels), count in found.items() if each == name and count}

    assert of("order_executor_signals_today") == {"APPROVED": 1, "IGNORED": 2, "RECEIVED": 1}
    assert of("order_executor_orders_today") == {"FILLED": 1}
    assert sum(1 for name, _ in found if name == "order_executor_orders_today") == 10  # also those that have none
    assert value(desk, "positions") == 1


def test_orders_in_doubt_and_unfinished_are_of_whatever_day(desk):
    long_ago = {"trading_date": desk.today() - timedelta(days=40)}
    order("A", desk, status="IN_DOUBT", **long_ago)
    order("B", desk, status="OPEN", broker_order_id="SIM1", **long_ago)
    order("C", desk, status="IN_DOUBT")

    assert value(desk, "orders_in_doubt") == 2
    assert value(desk, "orders_unfinished") == 3
    assert value(desk, "orders_today", status="IN_DOUBT") == 1


def test_the_day_begins_at_midnight_in_mumbai(desk, clock):
    midnight = start_of_day(clock())
    signal("before", midnight - timedelta(microseconds=1), took=1)
    signal("first", midnight, took=1)

    assert value(desk, "signals_today", status="IGNORED") == 1
    assert value(desk, "decision_latency_seconds_count") == 1


def test_a_latency_falls_into_each_bucket_from_its_own_on(desk, clock):
    at = clock() - timedelta(hours=1)
    for name, took in {"edge": 0.005, "past": 0.006, "slow": 40.0, "backwards": -3.0}.items():
        signal(name, at, took=took)
    signal("waits", at)

    assert value(desk, "decision_latency_seconds_bucket", le="0.005") == 2  # the one that took less than no time, too
    assert value(desk, "decision_latency_seconds_bucket", le="0.01") == 3
    assert value(desk, "decision_latency_seconds_bucket", le="30.0") == 3
    assert value(desk, "decision_latency_seconds_bucket", le="+Inf") == 4
    assert value(desk, "decision_latency_seconds_count") == 4
    assert value(desk, "decision_latency_seconds_sum") == pytest.approx(40.011)


def test_the_time_an_order_takes_is_from_its_sending_to_the_answer(desk, clock):
    at = clock() - timedelta(hours=1)
    order("A", desk, submitted_at=at, answered_at=at + timedelta(seconds=0.25))
    order("B", desk, submitted_at=at, answered_at=at + timedelta(seconds=0.2500001 * 4))
    order("C", desk, submitted_at=at)  # on its way
    order("D", desk, answered_at=at)  # withdrawn unsent

    assert value(desk, "submit_latency_seconds_bucket", le="0.25") == 1
    assert value(desk, "submit_latency_seconds_bucket", le="1.0") == 2
    assert value(desk, "submit_latency_seconds_count") == 2


def test_limits_and_quotas_are_those_of_the_risk_desk(desk, held):
    held(2)
    RiskSettings.objects.filter(pk=1).update(daily_trades_max=7, position_value_max=Decimal(12_000))

    assert value(desk, "limit", limit="daily_trades_max") == 7
    assert value(desk, "limit_used", limit="daily_trades_max") == 1
    assert value(desk, "limit", limit="position_value_max") == 12_000
    assert value(desk, "limit_used", limit="position_value_max") == pytest.approx(2800)
    assert value(desk, "quota_used", window="day") == 1
    assert value(desk, "quota", window="day") == 5000


def test_what_is_not_known_is_left_out_and_not_zero(desk):
    """Before the executor has seen the day, nobody knows what it brought."""
    found = samples(desk)

    names = {name for name, _ in found}

    assert "order_executor_result_today_inr" not in names
    assert "order_executor_backup_age_seconds" not in names
    assert "order_executor_heartbeat_age_seconds" not in names
    assert ("order_executor_limit", (("limit", "daily_loss_max"),)) in found
    assert ("order_executor_limit_used", (("limit", "daily_loss_max"),)) not in found


def test_the_day_in_rupees_is_the_newest_that_the_executor_saw(desk, held, clock):
    held(2)
    keep_day_point(desk)
    point = DayPoint.objects.get()
    clock.advance(seconds=30)

    assert value(desk, "realised_today_inr") == float(point.realised)
    assert value(desk, "charges_today_inr") == float(point.charges) > 0
    assert value(desk, "result_today_inr") == float(point.result)
    assert value(desk, "exposure_inr") == 2800
    assert value(desk, "day_age_seconds") == 30


def test_the_switch_is_one_of_three_states(desk):
    TradingControl.objects.filter(mode="PAPER").update(state="REDUCE_ONLY", auto_trading=False)

    states = {state: value(desk, "trading_state", state=state) for state in ("ACTIVE", "REDUCE_ONLY", "HALTED")}

    assert states == {"ACTIVE": 0, "REDUCE_ONLY": 1, "HALTED": 0}
    assert value(desk, "auto_trading") == 0


def test_incidents_that_stop_are_counted_apart_until_they_are_resolved(desk, clock):
    for subject, stops in (("a", True), ("b", False), ("c", False), ("d", True)):
        Incident.objects.open("OVERFILL", mode="PAPER", subject=subject, title="x", stops_opening=stops, now=clock())
    Incident.objects.get(fingerprint="PAPER:OVERFILL:d").resolve(by="rita", note="", now=clock())
    Incident.objects.get(fingerprint="PAPER:OVERFILL:b").acknowledge(by="rita", note="")

    assert value(desk, "incidents_open", severity="stops_opening") == 1
    assert value(desk, "incidents_open", severity="other") == 2


@pytest.mark.parametrize(("mode", "valid"), [("PAPER", 1), ("SHADOW", 0), ("LIVE", 0)])
def test_before_the_first_login_only_paper_has_a_session(desk, settings, mode, valid):
    """Nobody has opened a page of this mode yet, so that it has no row."""
    BrokerSession.objects.all().delete()
    settings.TRADING_MODE = mode
    told = replace(desk, mode=mode, vault=TokenVault(mode, secret_key="a secret of the suite"))

    assert value(told, "broker_session_valid") == valid
    (info,) = [each for each in figures.without_the_database(told.clock()) if each.name == "order_executor"]
    assert info.samples[0].labels["mode"] == mode


def test_a_shadow_s_login_is_told_while_it_is_valid_and_is_no_other_mode_s(desk):
    shadow, live = (
        replace(desk, mode=mode, vault=TokenVault(mode, secret_key="a secret of the suite"))
        for mode in ("SHADOW", "LIVE")
    )
    shadow.vault.keep("token", user_id="AB1234", now=desk.clock())

    assert (value(shadow, "broker_session_valid"), value(live, "broker_session_valid")) == (1, 0)
    shadow.vault.refuse("logged in elsewhere", asked_at=desk.clock(), now=desk.clock())
    assert value(shadow, "broker_session_valid") == 0
    modes = {
        each.labels["mode"]
        for family in figures.of_the_database(shadow, shadow.clock())
        for each in family.samples
        if "mode" in each.labels
    }
    assert modes == {"SHADOW"}


def test_ages_count_from_the_rows_own_times(desk, clock, folder):
    now = clock()
    beat_and_backup(now, folder)
    BrokerSession.objects.filter(mode="PAPER").update(
        reconciled_at=now - timedelta(seconds=61), stream_heard_at=now - timedelta(seconds=2), stream_connects=5
    )

    assert value(desk, "heartbeat_age_seconds") == 7
    assert value(desk, "reconciled_age_seconds") == 61
    assert value(desk, "stream_heard_age_seconds") == 2
    assert value(desk, "stream_connects_total") == 5
    assert "order_executor_backup_age_seconds 18000.0" in text(desk)


def test_the_other_modes_rows_are_not_ours(desk, clock):
    signal("live", clock(), took=1, mode="LIVE")
    order("A", desk, mode="LIVE", status="IN_DOUBT")

    assert value(desk, "signals_today", status="IGNORED") == 0
    assert value(desk, "orders_in_doubt") == 0


# --- What it costs ---------------------------------------------------------------------------------------------------


@pytest.fixture
def swept(django_db_setup: None) -> Iterator[None]:
    """Give back the room of the rows that were rolled back: the tests after this one are about small tables."""
    yield
    with direct_connection() as database:
        database.execute("vacuum analyze")


def test_a_full_book_costs_few_statements_and_none_reads_it_from_end_to_end(swept, desk, follow, received, monkeypatch):
    follow(received())
    tables = ("orders.Signal", "orders.Decision", "orders.Order", "orders.Fill")
    monkeypatch.setattr(full_book, "THE_BOOK", tuple(each for each in full_book.THE_BOOK if each.model in tables))
    full_book.fill(20_000, each_at_most=1)
    big = full_book.big_tables()

    with CaptureQueriesContext(connection) as captured:
        list(figures.of_the_database(desk, desk.clock()))

    queries = captured.captured_queries
    measured = full_walk.Measured(address="metrics", status=200, seconds=0, cpu_seconds=0, queries=queries)
    assert len(queries) <= QUERIES_MAX
    assert full_walk.scanned(measured, big) == []
    assert {"orders_order", "orders_signal"} <= big
