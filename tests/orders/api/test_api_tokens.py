"""Tokens: what is kept of one, what it costs to use one too often, and who may have which made."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.utils import timezone

from orders import api_tokens
from orders.api_tokens import DAYS_MAX, FAILURES_PER_MINUTE, TokenRefused, TooMany, Wish
from orders.models import ApiToken, RefusedAddress
from orders.roles import TRADER, VIEWER
from risk.models import AuditEntry
from tests.orders.api.conftest import problem, row_of, user
from tests.orders.together import Together

NOW = datetime(2026, 11, 27, 10, 0, tzinfo=UTC)
pytestmark = pytest.mark.django_db


def wish(owner: User, *scopes: str, **more: Any) -> Wish:
    return Wish(**{"name": "momentum", "owner": owner, "scopes": scopes or ["orders:read"], **more})


def use(token: ApiToken, now: datetime, **more: Any) -> bool:
    try:
        api_tokens.count_use(token, address="203.0.113.7", now=now, **more)
    except TooMany:
        return False
    return True


# --- What is kept -----------------------------------------------------------------------------------------------------


def test_of_the_secret_a_digest_is_kept_and_nothing_else(tara):
    token, secret = api_tokens.make(wish(tara), by="anna", now=NOW)

    assert re.fullmatch("oex_[0-9a-f]{16}_[0-9a-f]{64}", secret)
    row = ApiToken.objects.filter(pk=token.pk).values().get()
    hidden = secret.split("_")[2]
    assert not [name for name, value in row.items() if hidden in str(value)]
    assert (row["created_by"], row["created_at"], row["owner_id"]) == ("anna", NOW, tara.pk)
    entries = AuditEntry.objects.filter(table_name="orders_apitoken")
    assert entries.exists()
    assert not [entry for entry in entries if hidden in str(vars(entry)) or row["digest"] in str(vars(entry))]


def test_two_tokens_share_nothing(tara):
    one = api_tokens.make(wish(tara), by="anna", now=NOW)[1]
    two = api_tokens.make(wish(tara, name="another"), by="anna", now=NOW)[1]

    assert not set(one.split("_")[1:]) & set(two.split("_")[1:])


@pytest.mark.parametrize(("ahead", "opens"), [(-1, True), (0, False), (1, False)])
def test_it_opens_until_the_moment_it_expires(tara, ahead, opens):
    _, secret = api_tokens.make(wish(tara, expires_at=NOW + timedelta(days=1)), by="anna", now=NOW)

    found = api_tokens.find(secret, now=NOW + timedelta(days=1, microseconds=ahead))

    assert (found is not None) == opens


def test_the_first_to_revoke_it_gives_the_reason(tara):
    token, secret = api_tokens.make(wish(tara), by="anna", now=NOW)

    assert api_tokens.revoke(token, by="anna", reason="it leaked", now=NOW)
    assert not api_tokens.revoke(token, by="rita", reason="me too", now=NOW)

    token.refresh_from_db()
    assert (token.revoked_by, token.revoke_reason) == ("anna", "it leaked")
    assert api_tokens.find(secret, now=NOW) is None
    assert AuditEntry.objects.filter(table_name="orders_apitoken").latest("id").reason == "it leaked"


def test_its_use_is_noted_and_is_no_entry_of_the_trail(tara):
    token, _ = api_tokens.make(wish(tara), by="anna", now=NOW)
    entries = AuditEntry.objects.count()

    use(token, NOW)

    token.refresh_from_db()
    assert (token.last_used_at, token.last_used_from) == (NOW, "203.0.113.7")
    assert AuditEntry.objects.count() == entries


# --- How often --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("per_minute", [1, 2, 7, 9, 60, 101])
def test_as_many_a_minute_as_it_says_and_not_one_more(tara, per_minute):
    token, _ = api_tokens.make(wish(tara, per_minute=per_minute), by="anna", now=NOW)

    assert all(use(token, NOW) for _ in range(per_minute))

    assert not use(token, NOW)
    share = timedelta(microseconds=60_000_000 // per_minute)
    assert not use(token, NOW + share - timedelta(microseconds=per_minute + 1))
    assert use(token, NOW + share)
    assert not use(token, NOW + share)


def test_what_is_refused_does_not_count(tara):
    token, _ = api_tokens.make(wish(tara, per_minute=2), by="anna", now=NOW)
    assert [use(token, NOW) for _ in range(50)].count(True) == 2

    assert use(token, NOW + timedelta(seconds=30))


def test_a_quiet_hour_saves_nothing_up(tara):
    token, _ = api_tokens.make(wish(tara, per_minute=3), by="anna", now=NOW)
    use(token, NOW)

    later = NOW + timedelta(hours=1)

    assert [use(token, later) for _ in range(5)].count(True) == 3


def test_it_says_when_there_is_room_again(tara):
    token, _ = api_tokens.make(wish(tara, per_minute=2), by="anna", now=NOW)
    use(token, NOW), use(token, NOW)

    with pytest.raises(TooMany) as spent:
        api_tokens.count_use(token, address="", now=NOW + timedelta(seconds=10.5))

    assert spent.value.wait_seconds == 20
    assert use(token, NOW + timedelta(seconds=10.5 + 20))


def test_a_clock_that_was_set_back_shuts_nobody_out(tara):
    token, _ = api_tokens.make(wish(tara, per_minute=2), by="anna", now=NOW)
    use(token, NOW)

    before = NOW - timedelta(hours=2)

    assert [use(token, before) for _ in range(4)].count(True) == 2


def test_who_has_read_too_often_can_still_cancel(tara):
    token, _ = api_tokens.make(wish(tara, per_minute=2), by="anna", now=NOW)
    assert [use(token, NOW) for _ in range(3)] == [True, True, False]

    assert [use(token, NOW, stops=True) for _ in range(3)] == [True, True, False]


@pytest.mark.django_db(transaction=True)
def test_the_limit_holds_across_processes(tara):
    """Eight sessions of the database at once, as eight web processes have them."""
    token, _ = api_tokens.make(wish(tara, per_minute=20), by="anna", now=NOW)

    said = Together(*(lambda: [use(token, NOW) for _ in range(5)] for _ in range(8))).join()

    assert sum(each.count(True) for each in said) == 20


def test_a_token_that_is_used_too_often_is_told_when(token, call):
    secret = token("orders:read", per_minute=1)
    assert call("GET /orders", secret).status_code == 200

    answer = call("GET /orders", secret)

    problem(answer, 429, "too-many-requests")
    assert 1 <= int(answer.headers["Retry-After"]) <= 60


def test_a_scope_that_is_missing_costs_a_request_too(token, call):
    secret = token("orders:read", per_minute=2)

    answers = [call("GET /signals", secret).status_code for _ in range(3)]

    assert answers == [403, 403, 429]


def test_what_always_goes_through_is_counted_all_the_same(tara):
    token, _ = api_tokens.make(wish(tara, per_minute=2), by="anna", now=NOW)

    assert all(use(token, NOW, always=True) for _ in range(2))

    assert not use(token, NOW)
    later = NOW + timedelta(seconds=1)
    assert use(token, later, always=True)
    token.refresh_from_db()
    assert (token.last_used_at, token.spent_until) == (later, NOW + timedelta(minutes=1))
    assert [use(token, NOW, stops=True) for _ in range(3)] == [True, True, False]


# --- Who guesses ------------------------------------------------------------------------------------------------------


def failed(address: str, now: datetime) -> bool:
    try:
        api_tokens.count_failure(address, now=now)
    except TooMany:
        return False
    return True


def test_an_address_may_fail_so_often_a_minute_and_another_is_another():
    assert all(failed("203.0.113.7", NOW) for _ in range(FAILURES_PER_MINUTE))

    assert not failed("203.0.113.7", NOW)
    assert failed("203.0.113.8", NOW)
    assert failed("203.0.113.7", NOW + timedelta(seconds=3))


def test_all_of_a_network_of_ipv6_is_one_address():
    assert all(failed(f"2001:db8::{n:x}", NOW) for n in range(FAILURES_PER_MINUTE))

    assert not failed("2001:db8::ffff", NOW)
    assert failed("2001:db8:0:1::1", NOW)


def test_addresses_are_forgotten_after_their_minute():
    for n in range(30):
        failed(f"203.0.113.{n}", NOW)
    assert RefusedAddress.objects.count() == 30

    failed("198.51.100.1", NOW + timedelta(minutes=1))

    assert RefusedAddress.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_many_failures_at_once_are_counted_each():
    said = Together(*(lambda: [failed("203.0.113.7", NOW) for _ in range(5)] for _ in range(8))).join()

    assert sum(each.count(True) for each in said) == FAILURES_PER_MINUTE


def test_past_the_bound_a_wrong_token_is_429_and_a_good_one_is_let_in(token, call):
    wrong = f"oex_{'0' * 16}_{'0' * 64}"
    answers = [call("GET /orders", wrong) for _ in range(FAILURES_PER_MINUTE + 1)]

    assert {each.status_code for each in answers[:-1]} == {401}
    problem(answers[-1], 429, "too-many-requests")
    assert int(answers[-1].headers["Retry-After"]) >= 1
    assert call("GET /orders", token()).status_code == 200


# --- Who may have one made --------------------------------------------------------------------------------------------


def refused(wished: Wish) -> str:
    with pytest.raises(TokenRefused) as refusal:
        api_tokens.make(wished, by="anna", now=NOW)
    assert not ApiToken.objects.filter(created_at=NOW).exists()
    return str(refusal.value)


def test_nobody_gets_a_token_for_what_he_may_not_do_himself(db):
    vera = user("vera", VIEWER)

    assert refused(wish(vera, "orders:read", "orders:cancel", "trading:halt")) == (
        "vera may not cancel orders, or halt trading, turn auto-trading off, and so the token may not"
    )
    assert api_tokens.make(wish(vera, "orders:read"), by="anna", now=NOW)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"name": "  "}, "give it a name"),
        ({"name": "a" * 61}, "give it a name"),
        ({"name": "two\nlines"}, "give it a name"),
        ({"name": "a\x00b"}, "give it a name"),
        ({"scopes": []}, "give it a scope"),
        ({"scopes": ["orders:everything"]}, "there is no scope orders:everything"),
        ({"per_minute": 0}, "requests a minute"),
        ({"per_minute": 6001}, "requests a minute"),
        ({"expires_at": NOW}, "expired already"),
        ({"in_body": True}, "a token for TradingView's alerts has the scope signals:write and no other"),
        ({"in_body": True, "scopes": ["signals:write", "trading:halt"]}, "and no other"),
    ],
)
def test_what_makes_no_sense_is_not_made(tara, more, told):
    assert told in refused(wish(tara, **more) if "scopes" not in more else Wish(**{**vars(wish(tara)), **more}))


def test_nothing_is_made_for_who_is_inactive(tara):
    tara.is_active = False

    assert refused(wish(tara)) == "tara is inactive"


def test_a_name_is_one_tokens_until_that_is_revoked(tara):
    token, _ = api_tokens.make(wish(tara), by="anna", now=NOW - timedelta(days=1))
    assert "there is a token named momentum" in refused(wish(tara))

    api_tokens.revoke(token, by="anna", reason="a new one comes", now=NOW)

    assert api_tokens.make(wish(tara), by="anna", now=NOW)


def test_the_database_keeps_a_token_in_a_body_from_any_other_scope(tara):
    token, _ = api_tokens.make(wish(tara, "signals:write", in_body=True), by="anna", now=NOW)

    with pytest.raises(IntegrityError), transaction.atomic():
        ApiToken.objects.filter(pk=token.pk).update(scopes=["signals:write", "trading:halt"])


# --- The command line -------------------------------------------------------------------------------------------------


def said(*arguments: str) -> str:
    out = io.StringIO()
    call_command("api_token", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_prints_the_token_once_and_alone(db):
    user("tom", TRADER)

    secret = said("make", "momentum", "--owner", "tom", "--scope", "signals:write", "--days", "30").strip()

    token = api_tokens.find(secret, now=timezone.now())
    assert token is not None
    assert (token.name, token.scopes, token.created_by[:14]) == ("momentum", ["signals:write"], "command line (")
    assert token.expires_at - timezone.now() > timedelta(days=29)
    listed = said("list")
    assert "momentum: tom, signals:write; good" in listed
    assert secret.split("_")[2] not in listed


def test_the_command_revokes_by_name_and_says_so(tara):
    secret = said("make", "momentum", "--owner", "tara", "--scope", "orders:read").strip()

    said("revoke", "momentum", "--reason", "it leaked")

    assert row_of(secret).revoke_reason == "it leaked"
    assert "it was revoked" in said("list")
    with pytest.raises(CommandError, match="there is no token named momentum that is not revoked"):
        said("revoke", "momentum", "--reason", "again")


@pytest.mark.parametrize("days", ["0", "-9999999999", str(DAYS_MAX + 1), "9999999999"])
def test_the_command_makes_none_for_days_that_there_are_not(tara, days):
    with pytest.raises(CommandError, match=f"a token is good for 1 to {DAYS_MAX} days"):
        said("make", "x", "--owner", "tara", "--scope", "orders:read", f"--days={days}")

    assert not ApiToken.objects.exists()


def test_the_command_makes_one_for_as_many_days_as_there_may_be(tara):
    said("make", "x", "--owner", "tara", "--scope", "orders:read", f"--days={DAYS_MAX}")

    assert ApiToken.objects.get().expires_at is not None


def test_the_command_says_why_it_makes_none(db):
    user("vera", VIEWER)

    with pytest.raises(CommandError, match="there is no user nobody"):
        said("make", "x", "--owner", "nobody", "--scope", "orders:read")
    with pytest.raises(CommandError, match="vera may not cancel orders"):
        said("make", "x", "--owner", "vera", "--scope", "orders:cancel")
