"""Who may ask, and until when."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from orders.paper.errors import KiteRefusal
from orders.paper.indian_time import IST
from orders.paper.server.logins import Logins, LoginsDamaged

MORNING = datetime(2026, 11, 23, 9, 0, tzinfo=IST)
SECRET = "secret"
MOMENT = timedelta(microseconds=1)


@pytest.fixture
def logins(tmp_path: Path) -> Logins:
    return started(tmp_path)


def started(state_dir: Path, pair: tuple[str, str] | None = None) -> Logins:
    return Logins(state_dir, api_secret=SECRET, pair=pair)


def signed(api_key: str, request_token: str, *, api_secret: str = SECRET) -> dict:
    checksum = hashlib.sha256(f"{api_key}{request_token}{api_secret}".encode()).hexdigest()
    return {"api_key": api_key, "request_token": request_token, "checksum": checksum}


def log_in(logins: Logins, now: datetime, api_key: str = "app") -> str:
    return logins.open(**signed(api_key, logins.request_token(api_key, now)), now=now).access_token


def accepts(logins: Logins, api_key: str, access_token: str, now: datetime) -> bool:
    try:
        logins.check(api_key, access_token, now)
    except KiteRefusal:
        return False
    return True


def test_a_login_opens_a_session(logins):
    token = log_in(logins, MORNING)

    assert accepts(logins, "app", token, MORNING)
    assert not accepts(logins, "other", token, MORNING)
    assert not accepts(logins, "app", token + "0", MORNING)


def test_the_refusal_is_what_the_sdk_calls_a_token_exception(logins):
    with pytest.raises(KiteRefusal) as refusal:
        logins.check("app", "token", MORNING)

    assert (refusal.value.http_status, refusal.value.error_type) == (403, "TokenException")


@pytest.mark.parametrize(
    ("opened", "dies"),
    [
        ("2026-11-23T05:59:59", "2026-11-23T06:00:00"),
        ("2026-11-23T06:00:00", "2026-11-24T06:00:00"),
        ("2026-11-23T23:59:59", "2026-11-24T06:00:00"),
        ("2026-12-31T09:00:00", "2027-01-01T06:00:00"),
    ],
)
def test_a_session_dies_at_the_next_six_in_the_morning(logins, opened, dies):
    end = datetime.fromisoformat(dies).replace(tzinfo=IST)

    token = log_in(logins, datetime.fromisoformat(opened).replace(tzinfo=IST))

    assert accepts(logins, "app", token, end - MOMENT)
    assert not accepts(logins, "app", token, end)


def test_a_request_token_works_once(logins):
    request = signed("app", logins.request_token("app", MORNING))
    logins.open(**request, now=MORNING)

    with pytest.raises(KiteRefusal, match="Token is invalid or has expired"):
        logins.open(**request, now=MORNING)


def test_a_request_token_works_until_five_minutes_are_over(logins):
    first, second = (signed("app", logins.request_token("app", MORNING)) for _ in range(2))

    assert logins.open(**first, now=MORNING + timedelta(minutes=5) - MOMENT)
    with pytest.raises(KiteRefusal, match="Token is invalid or has expired"):
        logins.open(**second, now=MORNING + timedelta(minutes=5))


def test_a_request_token_is_for_the_key_that_asked(logins):
    token = logins.request_token("app", MORNING)

    with pytest.raises(KiteRefusal, match="Token is invalid"):
        logins.open(**signed("other", token), now=MORNING)


def test_a_checksum_of_another_secret_opens_nothing_and_spends_nothing(logins):
    token = logins.request_token("app", MORNING)

    with pytest.raises(KiteRefusal, match="Invalid `checksum`"):
        logins.open(**signed("app", token, api_secret="guessed"), now=MORNING)

    assert logins.open(**signed("app", token), now=MORNING)


def test_a_logout_ends_the_session_and_no_other(logins):
    first, second = log_in(logins, MORNING), log_in(logins, MORNING)

    logins.close("app", first)

    assert not accepts(logins, "app", first, MORNING)
    assert accepts(logins, "app", second, MORNING)


def test_without_a_pair_paper_paper_is_accepted_for_ever_and_any_key_may_log_in(logins):
    assert accepts(logins, "paper", "paper", MORNING)
    assert accepts(logins, "paper", "paper", MORNING + timedelta(days=1000))
    assert not accepts(logins, "paper", "other", MORNING)
    assert log_in(logins, MORNING, "whatever")


def test_with_a_pair_exactly_that_pair_is_accepted_from_the_start(tmp_path):
    logins = started(tmp_path, ("app", "token"))

    assert accepts(logins, "app", "token", MORNING + timedelta(days=1000))
    assert not accepts(logins, "paper", "paper", MORNING)
    assert not accepts(logins, "app", "paper", MORNING)
    with pytest.raises(KiteRefusal, match="api_key"):
        logins.request_token("paper", MORNING)
    assert accepts(logins, "app", log_in(logins, MORNING), MORNING)


def test_sessions_of_another_key_do_not_outlive_the_choice_of_one(tmp_path):
    token = log_in(started(tmp_path), MORNING, "stranger")

    logins = started(tmp_path, ("app", "token"))

    assert not accepts(logins, "stranger", token, MORNING)


@pytest.mark.parametrize(("api_key", "good"), [("a" * 64, True), ("a" * 65, False), ("", False), ("a\nb", False)])
def test_an_api_key_is_of_reasonable_length_and_printable(logins, api_key, good):
    if good:
        assert logins.request_token(api_key, MORNING)
    else:
        with pytest.raises(KiteRefusal, match="api_key"):
            logins.request_token(api_key, MORNING)


def test_a_restart_logs_nobody_out_and_the_disk_has_no_token(tmp_path):
    token = log_in(started(tmp_path), MORNING)

    kept = tmp_path / "sessions.json"

    assert accepts(started(tmp_path), "app", token, MORNING)
    assert token not in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600


def test_a_logout_is_remembered_over_a_restart(tmp_path):
    logins = started(tmp_path)
    token = log_in(logins, MORNING)

    logins.close("app", token)

    assert not accepts(started(tmp_path), "app", token, MORNING)


def spoil(state_dir: Path) -> Path:
    """Let nothing be saved until what this returns is removed: a folder is in the place of the draft."""
    obstacle = state_dir / "sessions.new"
    obstacle.mkdir()
    return obstacle


def test_a_logout_that_cannot_be_kept_has_not_happened(tmp_path):
    logins = started(tmp_path)
    token = log_in(logins, MORNING)
    obstacle = spoil(tmp_path)

    with pytest.raises(KiteRefusal, match="cannot be kept") as refusal:
        logins.close("app", token)

    assert refusal.value.http_status == 500
    assert accepts(logins, "app", token, MORNING)
    assert accepts(started(tmp_path), "app", token, MORNING)
    obstacle.rmdir()
    assert logins.close("app", token) is True
    assert not accepts(logins, "app", token, MORNING)
    assert not accepts(started(tmp_path), "app", token, MORNING)


def test_a_session_that_cannot_be_kept_is_not_opened_and_spends_nothing(tmp_path):
    logins = started(tmp_path)
    first = log_in(logins, MORNING)
    request = signed("app", logins.request_token("app", MORNING))
    obstacle = spoil(tmp_path)

    with pytest.raises(KiteRefusal, match="cannot be kept"):
        logins.open(**request, now=MORNING)

    assert len(logins._expiries) == 1
    obstacle.rmdir()
    second = logins.open(**request, now=MORNING).access_token
    for server in (logins, started(tmp_path)):
        assert accepts(server, "app", first, MORNING)
        assert accepts(server, "app", second, MORNING)
        assert len(server._expiries) == 2


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"a": 1}', '{"a": "tomorrow"}', '{"a": "2026-11-23T06:00:00"}', "\xff"]
)
def test_a_damaged_file_of_sessions_is_a_sentence(tmp_path, content):
    (tmp_path / "sessions.json").write_bytes(content.encode("latin-1"))

    with pytest.raises(LoginsDamaged, match=r"sessions\.json .* move it away"):
        started(tmp_path)


def test_the_oldest_sessions_make_room(logins):
    first = log_in(logins, MORNING)

    for _ in range(1000):
        last = log_in(logins, MORNING)

    assert not accepts(logins, "app", first, MORNING)
    assert accepts(logins, "app", last, MORNING)


def test_the_oldest_request_tokens_make_room(logins):
    first = logins.request_token("app", MORNING)

    for _ in range(1000):
        last = logins.request_token("app", MORNING)

    with pytest.raises(KiteRefusal, match="Token is invalid"):
        logins.open(**signed("app", first), now=MORNING)
    assert logins.open(**signed("app", last), now=MORNING)


def test_tokens_may_stand_on_command_lines_and_in_urls(logins):
    request = signed("app", logins.request_token("app", MORNING))

    session = logins.open(**request, now=MORNING)

    for token in (request["request_token"], session.access_token, session.public_token):
        assert token.isascii()
        assert token.isalnum()
    assert session.public_token not in (session.access_token, session.access_token[::-1])


def test_ending_all_sessions_ends_the_standing_pair_too_until_it_is_restored(tmp_path):
    logins = started(tmp_path, ("app", "token"))
    token = log_in(logins, MORNING)

    logins.end_all(MORNING)

    assert not accepts(logins, "app", token, MORNING)
    assert not accepts(logins, "app", "token", MORNING)
    assert not accepts(logins, "app", "token", MORNING - timedelta(hours=1))  # as when the clock is set back
    logins.restore()
    assert accepts(logins, "app", "token", MORNING)
    assert not accepts(logins, "app", token, MORNING)


def test_a_new_login_trades_on_while_the_standing_pair_stays_ended(logins):
    logins.end_all(MORNING)

    token = log_in(logins, MORNING)

    assert accepts(logins, "app", token, MORNING)
    assert not accepts(logins, "paper", "paper", MORNING)


def test_neither_a_restart_nor_many_logins_nor_a_logout_bring_an_ended_pair_back(tmp_path, monkeypatch):
    monkeypatch.setattr("orders.paper.server.logins.SESSIONS_MAX", 2)
    logins = started(tmp_path)
    logins.end_all(MORNING)
    tokens = [log_in(logins, MORNING + timedelta(days=1)) for _ in range(3)]

    assert logins.close("paper", "paper") is False

    assert not accepts(started(tmp_path), "paper", "paper", MORNING)
    assert [accepts(logins, "app", token, MORNING) for token in tokens] == [False, True, True]
    logins.restore()
    assert accepts(started(tmp_path), "paper", "paper", MORNING)


def test_the_end_of_one_pair_is_not_that_of_another_that_the_server_is_started_with(tmp_path):
    started(tmp_path, ("app", "token")).end_all(MORNING)

    assert accepts(started(tmp_path, ("app", "another")), "app", "another", MORNING)


def test_how_many_are_logged_in_does_not_count_the_standing_pair(logins):
    assert logins.logged_in(MORNING) == 0
    logins.end_all(MORNING)
    log_in(logins, MORNING)

    assert logins.logged_in(MORNING) == 1
    assert logins.logged_in(MORNING + timedelta(days=1)) == 0
