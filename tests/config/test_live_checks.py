"""What is unsafe for live money is named, at its edge; on paper nothing is, and no command is kept from running."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
import redis
from django.conf import settings as django_settings
from django.core.checks import WARNING, run_checks
from django.db import OperationalError, connection

from config import live_servers
from config.live_checks import TAG, settings_are_safe
from config.live_servers import _UNSYNCHRONISED, is_loopback, servers_are_safe
from config.local_folder import LocalFolder
from config.tls_check import sessions_are_private
from orders import start_of_day
from orders.desk import Desk

KEY = "abcdefghijklmnopqrstuvwxyz-0123456789-ABCDEFGHIJKL"  # fifty


@pytest.fixture
def safe(settings, tmp_path: Path, monkeypatch):
    """A live desk of which nothing unsafe is known."""
    settings.TRADING_MODE = "LIVE"
    settings.BASE_DIR = tmp_path
    settings.LOCAL_DIR = tmp_path / "local"
    settings.LOCAL_DIR.mkdir()
    settings.BACKUP_DIR = tmp_path / "backups"
    settings.SECRET_KEY = KEY
    settings.REQUIRE_SECOND_FACTOR = settings.SECURE_COOKIES = True
    settings.TRUSTED_PROXIES = 1
    settings.ALLOWED_HOSTS = ["desk.example.com"]
    settings.ALERT_URLS = ["json://127.0.0.1:9/"]
    settings.STATIC_IP = "13.232.1.2"
    monkeypatch.setenv("ORDER_EXECUTOR_LOCAL", str(settings.LOCAL_DIR))
    monkeypatch.setenv("KITE_API_KEY", "k")
    monkeypatch.setenv("KITE_API_SECRET", "s")
    monkeypatch.setattr(live_servers, "clock_state", lambda: 0)
    return settings


def ids() -> list[str]:
    return [found.id for found in settings_are_safe()]


def test_nothing_is_said_of_a_desk_that_is_safe(safe):
    assert ids() == []


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("REQUIRE_SECOND_FACTOR", False, ["config.W003"]),
        ("SECRET_KEY", KEY[1:], ["config.W004"]),
        ("SECRET_KEY", "abcd" * 20, ["config.W004"]),
        ("SECRET_KEY", "abcde" * 10, []),
        ("ALLOWED_HOSTS", ["desk.example.com", "*"], ["config.W006"]),
        ("TRUSTED_PROXIES", 0, ["config.W007"]),
        ("TRUSTED_PROXIES", 2, []),
        ("ALERT_URLS", [], ["config.W008"]),
        ("STATIC_IP", "", ["config.W010"]),
        ("STATIC_IP", "10.0.0.7", ["config.W011"]),
        ("STATIC_IP", "desk.example.com", ["config.W011"]),
        ("STATIC_IP", "2401:4900::7", []),
    ],
)
def test_what_is_unsafe_is_named(safe, name, value, told):
    setattr(safe, name, value)

    assert ids() == told


def test_a_key_that_was_made_at_the_first_start_is_named(safe):
    (safe.LOCAL_DIR / "secret_key").write_text(f"{KEY}\n")
    assert ids() == ["config.W005"]

    (safe.LOCAL_DIR / "secret_key").write_text(f"{KEY}!\n")
    assert ids() == []


def test_local_servers_are_named_whether_they_are_used_by_default_or_by_address(safe, monkeypatch):
    monkeypatch.delenv("REDIS_URL")
    (found,) = settings_are_safe()
    assert (found.id, found.msg.endswith(": Valkey.")) == ("config.W002", True)

    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    assert ids() == []
    folder = LocalFolder(safe.LOCAL_DIR)
    folder.publish({"valkey": {"url": "redis://127.0.0.1:1/0", "problem": ""}})
    assert ids() == ["config.W002"]


@pytest.mark.parametrize(("place", "told"), [("local/backups", ["config.W009"]), ("local", ["config.W009"]), ("b", [])])
def test_a_backup_that_lies_beside_its_data_is_named(safe, tmp_path, place, told):
    safe.BACKUP_DIR = tmp_path / place

    assert ids() == told


@pytest.mark.parametrize(("mode", "told"), [(0o600, []), (0o640, []), (0o604, ["config.W012"])])
def test_an_environment_that_everybody_may_read_is_named(safe, tmp_path, mode, told):
    (tmp_path / ".env").write_text("SECRET_KEY=x\n")
    (tmp_path / ".env").chmod(mode)

    assert ids() == told


def test_on_paper_nothing_is_asked_for(safe, db):
    safe.TRADING_MODE = "PAPER"
    safe.REQUIRE_SECOND_FACTOR = False

    assert ids() == []
    assert servers_are_safe(databases=["default"]) == []


def test_a_shadow_desk_is_asked_for_as_much_as_a_live_one(safe, db):
    """It sends no orders, and holds the real account's secrets and session."""
    safe.TRADING_MODE = "SHADOW"
    safe.REQUIRE_SECOND_FACTOR, safe.SECURE_COOKIES = False, False

    assert ids() == ["config.W003"]
    assert "config.W020" in servers()
    assert [found.id for found in sessions_are_private()] == ["config.W001"]


def test_all_are_warnings_that_only_a_check_of_a_deployment_gives(safe, monkeypatch):
    safe.REQUIRE_SECOND_FACTOR, safe.ALLOWED_HOSTS, safe.STATIC_IP = False, ["*"], ""

    found = run_checks(tags=[TAG], include_deployment_checks=True)

    assert len(found) == 3
    assert {each.level for each in found} == {WARNING}
    assert run_checks(tags=[TAG]) == []


# --- The servers ------------------------------------------------------------------------------------------------------


def servers() -> list[str]:
    return [found.id for found in servers_are_safe(databases=["default"])]


def test_the_suite_s_own_servers_are_named_for_what_they_are(safe, db):
    """They are hasty, and their role is the superuser; Valkey writes into a file, and not at once."""
    assert servers() == ["config.W020", "config.W022"]


def test_they_are_not_asked_unless_that_is_wanted(safe):
    assert servers_are_safe(databases=None) == []


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((True, True, False, False, False, "desk"), []),
        ((False, True, False, False, False, "desk"), ["config.W020"]),
        ((True, False, False, False, False, "desk"), ["config.W021"]),
        ((True, True, True, True, True, "desk"), ["config.W022"]),
        ((True, True, False, True, True, "desk"), ["config.W023"]),
        ((True, True, False, False, True, "desk"), ["config.W027"]),
    ],
)
def test_each_weakness_of_postgres_is_named(safe, db, monkeypatch, answer, told):
    fields = ", ".join(f"'{each}'" if isinstance(each, str) else str(each).lower() for each in answer)
    monkeypatch.setattr(live_servers, "_ASKED", f"SELECT {fields}")

    assert servers() == told


def test_who_owns_the_trail_and_who_is_no_superuser_is_seen_in_postgres_itself(db):
    with psycopg.connect(**parameters()) as asked:
        mighty = asked.execute(live_servers._ASKED).fetchone()
        assert mighty[2:5] == (True, True, True)
        asked.execute("CREATE ROLE only_here NOSUPERUSER")
        asked.execute("SET LOCAL ROLE only_here")
        assert asked.execute(live_servers._ASKED).fetchone()[2:] == (False, False, False, "only_here")
        for table, privilege in (("risk_auditentry", "UPDATE"), ("risk_auditseal", "DELETE")):
            with asked.transaction(force_rollback=True):
                asked.execute("RESET ROLE")
                asked.execute(f"GRANT {privilege} ON {table} TO only_here")
                asked.execute("SET LOCAL ROLE only_here")
                assert asked.execute(live_servers._ASKED).fetchone()[2:] == (False, False, True, "only_here")
        asked.rollback()


def parameters() -> dict[str, object]:
    at = connection.get_connection_params()
    return {name: at[name] for name in ("host", "port", "user", "password", "dbname")}


def test_a_commit_that_does_not_wait_is_seen_in_postgres_itself(db):
    with psycopg.connect(**parameters()) as asked:
        asked.execute("SET synchronous_commit = off")
        assert asked.execute(live_servers._ASKED).fetchone()[1] is False
        asked.execute("SET synchronous_commit = on")
        assert asked.execute(live_servers._ASKED).fetchone()[1] is True


def test_a_database_that_is_away_is_told_of_elsewhere(safe, db, monkeypatch):
    def away(*_: object) -> None:
        raise OperationalError("away")

    with monkeypatch.context() as patched:
        patched.setattr(connection, "cursor", away)
        told = servers()

    assert told == []


def test_a_redis_that_forgets_is_named_and_one_that_is_away_is_not(safe, db):
    client = redis.Redis.from_url(django_settings.REDIS_URL)
    client.config_set("appendonly", "no")
    try:
        assert "config.W025" in servers()
    finally:
        client.config_set("appendonly", "yes")
        client.close()
    assert "config.W025" not in servers()
    safe.REDIS_URL = "redis://127.0.0.1:1/0"
    assert "config.W025" not in servers()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://192.0.2.1:6379/0", True),
        ("redis://:pw@192.0.2.1:6379/0", False),
        ("redis://127.0.0.1:6379/0", False),
        ("redis://localhost:6379/0", False),
    ],
)
def test_a_redis_that_others_reach_wants_a_password(safe, monkeypatch, url, told):
    monkeypatch.setattr(live_servers, "keeps_its_data", lambda _: None)
    safe.REDIS_URL = url

    assert ("config.W024" in [found.id for found in live_servers._redis()]) == told


@pytest.mark.parametrize(("state", "told"), [(0, []), (4, []), (_UNSYNCHRONISED, ["config.W026"]), (-1, [])])
def test_a_clock_that_nobody_sets_is_named_and_one_that_may_not_be_asked_is_not(safe, monkeypatch, state, told):
    monkeypatch.setattr(live_servers, "clock_state", lambda: state)

    assert [found.id for found in live_servers._clock()] == told


def test_the_kernel_is_asked_and_nothing_is_set(monkeypatch):
    monkeypatch.undo()

    assert live_servers.clock_state() in {-1, 0, 1, 2, 3, 4, _UNSYNCHRONISED}


@pytest.mark.parametrize(
    ("host", "here"),
    [("", True), ("localhost", True), ("127.9.9.9", True), ("::1", True), ("192.0.2.1", False), ("cache", False)],
)
def test_what_is_this_machine(host, here):
    assert is_loopback(host) == here


# --- The Start of day -------------------------------------------------------------------------------------------------


def set_up(desk: Desk) -> start_of_day.Check:
    (found,) = [each for each in start_of_day.checks(desk, desk.clock()) if each.title == "Set up for live money"]
    return found


@pytest.mark.parametrize("mode", ["LIVE", "SHADOW"])
def test_the_start_of_day_says_it_and_never_stands_in_the_way(desk, wired, safe, monkeypatch, mode):
    monkeypatch.setattr(live_servers, "_ASKED", "SELECT true, true, false, false, false, 'desk'")
    safe.TRADING_MODE = mode
    real = wired(desk, mode=mode)
    assert set_up(real).state == "good"

    safe.REQUIRE_SECOND_FACTOR, safe.STATIC_IP = False, ""

    found = set_up(real)
    assert (found.state, found.measured) == ("warning", "2 unsafe, such as: A password alone lets somebody trade.")
    assert "check --deploy --database default" in found.what_to_do


def test_on_paper_the_start_of_day_asks_for_no_more(desk):
    assert set_up(desk).state == "good"
