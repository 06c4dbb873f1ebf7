"""Alive, ready, figures: what is told to whom, and with a server down or hanging."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from prometheus_client.parser import text_string_to_metric_families

from orders.broker.sessions import TokenVault
from orders.desk import Desk
from orders.models import BrokerSession, ExecutorHeartbeat
from orders.monitoring import readiness, scrape, views
from orders.monitoring.bounded import NoAnswer
from orders.monitoring.readiness import Part, Watch, of_the_database
from orders.monitoring.scrape import Scrapes
from orders.receivers import connect, ping
from risk.engine.sessions import MUMBAI
from risk.models import Mode
from tests.conftest import StillClock
from tests.faults.conftest import family, paused, without_postgres
from tests.servers import SERVERS

TOKEN = "a token of the suite"
SECONDS_MAX = 20.0  # of waiting, on a machine that is busy; what is bounded is bounded by far less


@pytest.fixture(autouse=True)
def fresh(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any, paper: Any) -> None:
    """Nothing kept of what another test asked, and a token."""
    caplog.set_level(logging.CRITICAL, logger="django.request")
    settings.METRICS_TOKEN, settings.BACKUP_DIR, settings.PAPER_KITE_URL = TOKEN, tmp_path, paper.root
    monkeypatch.setattr(readiness, "WITHIN_SECONDS", SECONDS_MAX)
    monkeypatch.setattr(scrape, "STATEMENT_MS_MAX", int(1000 * SECONDS_MAX))
    monkeypatch.setattr(views, "WATCH", Watch(within_seconds=SECONDS_MAX, keep_seconds=0))
    monkeypatch.setattr(views, "SCRAPES", Scrapes(within_seconds=SECONDS_MAX, keep_seconds=0))


@pytest.fixture
def client() -> Client:
    return Client(enforce_csrf_checks=True)


def bearing(token: str = TOKEN, scheme: str = "Bearer") -> dict[str, Any]:
    return {"headers": {"Authorization": f"{scheme} {token}"}}


def beat(mode: str, at: datetime) -> None:
    ExecutorHeartbeat.objects.create(mode=mode, host="h", pid=1, backend_pid=2, started_at=at, beat_at=at)


# --- Alive -----------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_alive_asks_nothing_and_says_nothing_else(client):
    with CaptureQueriesContext(connection) as captured:
        answer = client.get("/healthz")

    assert (answer.status_code, answer.content) == (200, b"ok\n")
    assert len(captured) == 0
    assert not answer.cookies
    assert Client().post("/healthz").status_code == 405


# --- Ready -----------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_ready_when_all_hold_and_the_reasons_are_for_who_has_the_token(client, clock):
    beat(Mode.PAPER, clock())

    plain, told = client.get("/readyz"), client.get("/readyz", **bearing())

    assert (plain.status_code, plain.json()) == (200, {"status": "ready"})
    assert told.json() == {
        "status": "ready",
        "parts": {
            "postgresql": {"ok": True, "why": "answers", "required": True},
            "redis": {"ok": True, "why": "answers", "required": True},
            "executor": {"ok": True, "why": told.json()["parts"]["executor"]["why"], "required": True},
            "broker_session": {"ok": True, "why": "the paper Kite needs none", "required": True},
        },
    }


def test_an_answer_that_is_kept_is_the_same_for_the_next_who_asks(client, monkeypatch):
    asked = []

    def ask() -> dict[str, Part]:
        asked.append(1)
        return {name: Part(ok=True, why="answers") for name in ("postgresql", "executor", "broker_session")}

    monkeypatch.setattr(views, "WATCH", Watch(ask, lambda: Part(ok=True, why="answers"), keep_seconds=SECONDS_MAX))

    answers = [client.get("/readyz", **bearing()) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200] * 3
    assert list(answers[0].json()["parts"]) == ["postgresql", "redis", "executor", "broker_session"]
    assert answers[0].json() == answers[2].json()
    assert asked == [1]


@pytest.mark.django_db(transaction=True)
def test_without_an_executor_it_is_not_ready(client):
    told = client.get("/readyz", **bearing())

    assert told.status_code == 503
    assert told.json()["parts"]["executor"] == {"ok": False, "why": "no executor was ever seen", "required": True}
    assert client.get("/readyz").json() == {"status": "not ready"}


@pytest.mark.django_db(transaction=True)
def test_without_redis_it_is_not_ready_and_says_so_without_its_password(client, clock, settings):
    beat(Mode.PAPER, clock())
    settings.REDIS_URL = "redis://default:a-long-password@127.0.0.1:1/0"

    told = client.get("/readyz", **bearing())

    assert told.status_code == 503
    assert not told.json()["parts"]["redis"]["ok"]
    assert "ConnectionError" in told.json()["parts"]["redis"]["why"]
    assert "a-long-password" not in told.content.decode()


@pytest.mark.django_db(transaction=True)
def test_without_postgresql_it_is_not_ready_and_alive_all_the_same(client):
    with without_postgres():
        told, alive, scraped = (
            client.get("/readyz", **bearing()),
            client.get("/healthz"),
            client.get("/metrics", **bearing()),
        )

    parts = told.json()["parts"]
    assert (told.status_code, alive.status_code, scraped.status_code) == (503, 200, 200)
    assert (parts["postgresql"]["ok"], parts["redis"]["ok"], parts["executor"]["ok"]) == (False, True, False)
    assert parts["executor"]["why"] == "not known without PostgreSQL"
    families = {each.name: each for each in text_string_to_metric_families(scraped.content.decode())}
    assert families["order_executor_up"].samples[0].value == 0
    assert set(families) == {"order_executor_up", "order_executor_info"}


@pytest.mark.django_db(transaction=True)
def test_servers_that_hang_are_told_of_in_time_and_answer_again_when_they_do(client, clock, monkeypatch):
    """They stand still, as on a machine that swaps: their sockets take what is sent and nobody reads it."""
    beat(Mode.PAPER, clock())
    watch = Watch(within_seconds=0.5, keep_seconds=0)
    scrapes = Scrapes(within_seconds=0.5, keep_seconds=0)
    monkeypatch.setattr(views, "WATCH", watch)
    monkeypatch.setattr(views, "SCRAPES", scrapes)
    connection.close()

    with paused(*family(SERVERS.postgres.process.pid), SERVERS.valkey.process.pid):
        began = time.monotonic()
        told, scraped = client.get("/readyz", **bearing()), client.get("/metrics", **bearing())
        took = time.monotonic() - began

    parts = told.json()["parts"]
    assert told.status_code == 503
    assert not parts["postgresql"]["ok"]
    assert not parts["redis"]["ok"]
    assert took < 10  # both servers at once, and the figures
    assert b"order_executor_up 0.0" in scraped.content
    for question in (watch._database, watch._redis):
        with contextlib.suppress(NoAnswer, OperationalError):
            question.begin()._thread.join(SECONDS_MAX)
    scrapes._question.begin()._thread.join(SECONDS_MAX)
    monkeypatch.setattr(views, "WATCH", Watch(within_seconds=SECONDS_MAX, keep_seconds=0))
    ExecutorHeartbeat.objects.update(beat_at=clock())
    assert client.get("/readyz").status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize(("seconds", "ok"), [(10, True), (10.001, False)])
def test_the_heartbeat_is_not_old(bare_desk, wired, seconds, ok):
    still = StillClock()
    beat(Mode.PAPER, still() - timedelta(seconds=seconds))

    assert of_the_database(wired(bare_desk, clock=still))["executor"].ok == ok


@pytest.mark.django_db
@pytest.mark.parametrize("mode", [Mode.PAPER, Mode.LIVE])
def test_the_heartbeat_of_another_mode_makes_no_shadow_ready(bare_desk, wired, mode):
    still = StillClock()
    beat(mode, still())

    part = of_the_database(wired(bare_desk, mode=Mode.SHADOW, clock=still))["executor"]

    assert (part.ok, part.why) == (False, "no executor was ever seen")


@pytest.fixture(params=[Mode.LIVE, Mode.SHADOW])
def real(bare_desk: Any, settings: Any, request: Any, db: None) -> Callable[[str], Any]:
    """
    A desk with a real login at a moment of Friday 27 November 2026 in Mumbai, not logged in: live, or in its shadow.

    It keeps the exchange's hours by what the settings say of its mode, though the paper market never closes.
    """
    settings.TRADING_MODE, settings.PAPER_MARKET_HOURS, settings.KITE_API_KEY = request.param, "always", "live-key"
    wired = Desk.from_settings()

    def at(text: str) -> Any:
        moment = datetime.fromisoformat(f"2026-11-27T{text}").replace(tzinfo=MUMBAI)
        vault = TokenVault(request.param, secret_key="a secret of the suite")
        vault.row()
        ExecutorHeartbeat.objects.all().delete()
        beat(request.param, moment)
        return replace(bare_desk, mode=request.param, vault=vault, clock=lambda: moment, rules=wired.rules)

    return at


def ready(parts: dict[str, Part]) -> bool:
    return readiness.Readiness(parts=parts).is_ready


@pytest.mark.parametrize(
    ("at", "counts"),
    [
        ("06:00", False),
        ("09:14:59", False),
        ("09:15", True),
        ("12:00", True),
        ("15:34:59", True),
        ("15:35", False),
        ("23:00", False),
    ],
)
def test_a_login_that_is_missing_counts_while_the_exchange_trades_and_wakes_nobody_at_night(real, at, counts):
    parts = of_the_database(real(at))

    assert (parts["broker_session"].ok, parts["broker_session"].required) == (False, counts)
    assert parts["broker_session"].why.startswith("no login")
    assert ready(parts) == (not counts)


def test_with_a_login_it_is_ready_in_session(real):
    desk = real("12:00")
    desk.vault.keep("token", user_id="AB1234", now=desk.clock())
    BrokerSession.objects.update(valid_until=desk.clock() + timedelta(hours=1))

    parts = of_the_database(desk)
    assert ready(parts)
    assert parts["broker_session"].why == "logged in"


def test_ping_raises_when_nobody_answers(settings):
    client = connect(settings.REDIS_URL)
    client.close()

    ping(settings.REDIS_URL)
    with pytest.raises(Exception, match="Connection refused"):
        ping("redis://127.0.0.1:1/0")


# --- Figures ---------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_figures_are_told_to_who_has_the_token_in_prometheuss_format(client):
    answer = client.get("/metrics", **bearing())

    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    names = {each.name for each in text_string_to_metric_families(answer.content.decode())}
    assert {"order_executor_up", "order_executor_trading_state"} <= names


@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearing("another"),
        bearing(TOKEN + "x"),
        bearing(TOKEN[:-1]),
        bearing(""),
        bearing("tökén"),
        bearing(scheme="Basic"),
        bearing(scheme="Token"),
    ],
    ids=["none", "another", "longer", "shorter", "empty", "not ascii", "basic", "token"],
)
def test_without_the_token_they_are_refused_and_nothing_is_asked(client, headers, monkeypatch):
    monkeypatch.setattr(views, "SCRAPES", None)

    answer = client.get("/metrics", **headers)

    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert answer.content == b"send METRICS_TOKEN as a bearer token\n"


@pytest.mark.parametrize("headers", [{}, bearing(""), bearing("None")])
def test_where_no_token_is_set_they_are_closed_to_all(client, settings, headers):
    settings.METRICS_TOKEN = ""

    answer = client.get("/metrics", **headers)

    assert (answer.status_code, answer.content) == (401, b"closed: METRICS_TOKEN is not set\n")


@pytest.mark.django_db(transaction=True)
def test_a_scrape_is_answered_from_the_one_before_for_some_seconds(client, monkeypatch):
    read = []
    monkeypatch.setattr(views, "SCRAPES", Scrapes(lambda: read.append(1) or [], within_seconds=20, keep_seconds=20))

    for _ in range(3):
        assert client.get("/metrics", **bearing()).status_code == 200

    assert len(read) == 1


def test_a_ledger_that_is_only_half_migrated_is_no_error_page(client, monkeypatch):
    def broken() -> Any:
        raise OperationalError("no such column")

    monkeypatch.setattr(views, "SCRAPES", Scrapes(broken))
    monkeypatch.setattr(views, "WATCH", Watch(broken, lambda: Part(ok=True, why="answers")))

    assert b"order_executor_up 0.0" in client.get("/metrics", **bearing()).content
    told = client.get("/readyz", **bearing())
    assert (told.status_code, told.json()["parts"]["postgresql"]["why"]) == (503, "OperationalError: no such column")


def test_behind_tls_they_are_not_sent_to_https_and_pages_are(client, settings):
    settings.SECURE_SSL_REDIRECT = True

    assert client.get("/healthz").status_code == 200
    assert client.get("/metrics", **bearing("another")).status_code == 401
    assert client.get("/admin/login/").status_code == 301
