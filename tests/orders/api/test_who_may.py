"""Who may what: every scope against every address, and what the owner's role takes away again."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.utils import timezone

from orders import api_tokens
from orders.api.app import api
from orders.api_tokens import SCOPES
from orders.models import ApiToken
from orders.roles import ADMINISTRATOR, RISK_MANAGER, ROLES, TRADER, VIEWER
from risk.models import TradingControl
from tests.orders.admin.test_every_page import everything_stored
from tests.orders.api.conftest import problem, row_of, user

pytestmark = pytest.mark.django_db
WHY = {"reason": "the publisher asks"}
VERSIONED = {**WHY, "version": 1}
SIGNAL = {"signal_type": "HOLD", "symbol": "RELIANCE", "cms_score": 1}
# Each operation: the scopes that open it, the lowest role whose people may, and what is sent.
TABLE: dict[str, tuple[set[str], str, Any]] = {
    "GET /signals": ({"signals:read"}, VIEWER, None),
    "POST /signals": ({"signals:write"}, TRADER, SIGNAL),
    "POST /signals/tradingview": ({"signals:write"}, TRADER, SIGNAL),
    "GET /orders": ({"orders:read"}, VIEWER, None),
    "GET /orders/{order_id}": ({"orders:read"}, VIEWER, None),
    "POST /orders/{order_id}/cancel": ({"orders:cancel"}, TRADER, WHY),
    "GET /positions": ({"positions:read"}, VIEWER, None),
    "GET /decisions": ({"decisions:read"}, VIEWER, None),
    "GET /decisions/{decision_id}": ({"decisions:read"}, VIEWER, None),
    "GET /limits": ({"limits:read"}, VIEWER, None),
    "GET /trading": ({"trading:read"}, VIEWER, None),
    "POST /trading/halt": ({"trading:halt"}, TRADER, WHY),
    "POST /trading/auto-trading/off": ({"trading:halt", "trading:auto"}, TRADER, WHY),
    "POST /trading/resume": ({"trading:resume"}, RISK_MANAGER, VERSIONED),
    "POST /trading/auto-trading/on": ({"trading:auto"}, RISK_MANAGER, VERSIONED),
}


@pytest.fixture
def order(resting: Any) -> Any:
    return resting()


def everything_but_uses() -> dict[str, list[Any]]:
    """Return every row, without how often and when tokens were used."""
    stored = everything_stored()
    for row in stored["orders.ApiToken"]:
        for counted in ("last_used_at", "last_used_from", "spent_until", "stops_spent_until"):
            del row[counted]
    return stored


def addressed(what: str, order: Any) -> str:
    return what.format(order_id=order.client_order_id, decision_id=order.decision_id)


def body_of(what: str) -> Any:
    said = TABLE[what][2]
    if said is SIGNAL:
        return {**SIGNAL, "timestamp": timezone.now().isoformat()}
    return {**said, "version": TradingControl.objects.get(mode="PAPER").version} if said is VERSIONED else said


def test_every_operation_is_in_the_table():
    paths = api.get_openapi_schema()["paths"]
    known = {
        f"{method.upper()} {path.removeprefix('/api/v1')}": set(operation["x-scopes"])
        for path, methods in paths.items()
        for method, operation in methods.items()
    }

    assert known == {what: scopes for what, (scopes, _, _) in TABLE.items()}


def test_a_token_opens_what_its_scope_names_and_changes_nothing_elsewhere(order, token, call):
    tokens = {scope: token(scope) for scope in SCOPES}
    refused = [(what, scope) for what, scope in itertools.product(TABLE, SCOPES) if scope not in TABLE[what][0]]
    stored = everything_but_uses()

    for what, scope in refused:
        said = problem(call(addressed(what, order), tokens[scope], body_of(what)), 403, "scope-missing")
        assert set(said["scopes"]) == TABLE[what][0]

    assert everything_but_uses() == stored
    assert len(refused) == len(TABLE) * len(SCOPES) - sum(len(scopes) for scopes, _, _ in TABLE.values())


def test_one_scope_is_enough(order, token, call):
    for what, (scopes, _, _) in TABLE.items():
        for scope in sorted(scopes):
            answer = call(addressed(what, order), token(scope), body_of(what))

            assert answer.status_code in {200, 201}, (what, answer.content)


@pytest.mark.parametrize("role", [VIEWER, TRADER, RISK_MANAGER, ADMINISTRATOR])
def test_a_token_does_no_more_than_its_owners_role(role, order, tara, token, call):
    """The scopes were given while she might do everything; her role says what is left of them."""
    secret = token()
    User.objects.filter(pk=tara.pk).update(is_superuser=False)
    tara.groups.set([Group.objects.get(name=role)])
    may_not = [what for what, (_, lowest, _) in TABLE.items() if [*ROLES].index(role) < [*ROLES].index(lowest)]
    stored = everything_but_uses()

    for what in may_not:
        said = problem(call(addressed(what, order), secret, body_of(what)), 403, "permission-missing")
        assert said["detail"] == "tara, whose token this is, may not do this"

    assert everything_but_uses() == stored
    assert len(may_not) == {VIEWER: 7, TRADER: 2}.get(role, 0)
    for what in set(TABLE) - set(may_not) - {"POST /trading/halt", "POST /trading/auto-trading/on"}:
        assert call(addressed(what, order), secret, body_of(what)).status_code in {200, 201}, what


def test_without_a_token_nothing_opens(order, call):
    stored = everything_stored()

    for what in TABLE:
        answer = call(addressed(what, order), "", body_of(what))

        problem(answer, 401, "token-invalid")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert {**everything_stored(), "orders.RefusedAddress": []} == stored


def wrong_ones(secret: str) -> list[str]:
    prefix, key_id, rest = secret.split("_")
    return [
        f"{prefix}_{key_id}_{rest[:-1]}{'0' if rest[-1] != '0' else '1'}",
        f"{prefix}_{'0' * 16}_{rest}",
        secret[:-1],
        f"{secret}0",
        secret.upper(),
        f"{prefix}_{key_id}_",
        f"{prefix}_{key_id}_" + "\N{SUPERSCRIPT ONE}" * 64,
        row_of(secret).digest,
        "null",
    ]


def test_what_only_looks_like_a_token_opens_nothing(token, call):
    secret = token()

    answers = [call("GET /orders", wrong) for wrong in wrong_ones(secret)]

    assert {answer.status_code for answer in answers} == {401}
    assert call("GET /orders", secret).status_code == 200


def test_only_the_scheme_bearer_is_taken_in_any_case(token, call):
    secret = token()

    assert call("GET /orders", Authorization=f"bearer  {secret}").status_code == 200
    for header in (secret, f"Token {secret}", f"Basic {secret}", f"Bearer{secret}", "Bearer", ""):
        problem(call("GET /orders", Authorization=header), 401, "token-invalid")
    problem(call(f"GET /orders?token={secret}&access_token={secret}"), 401, "token-invalid")


def test_a_revoked_token_is_dead_at_once(token, call):
    secret = token()
    assert call("GET /orders", secret).status_code == 200

    api_tokens.revoke(row_of(secret), by="anna", reason="it leaked", now=timezone.now())

    problem(call("GET /orders", secret), 401, "token-invalid")


def test_an_expired_token_is_dead(token, call):
    secret = token()
    ApiToken.objects.update(expires_at=timezone.now())

    problem(call("GET /orders", secret), 401, "token-invalid")


def test_the_tokens_of_who_is_inactive_are_dead_and_live_again_with_him(token, call, tara):
    secret = token()
    User.objects.filter(pk=tara.pk).update(is_active=False)
    problem(call("GET /orders", secret), 401, "token-invalid")

    User.objects.filter(pk=tara.pk).update(is_active=True)

    assert call("GET /orders", secret).status_code == 200


def test_an_owner_who_only_uses_the_api_needs_no_place_among_the_staff(db, token, call):
    robot = user("robot", TRADER)
    User.objects.filter(pk=robot.pk).update(is_staff=False)

    assert call("GET /orders", token("orders:read", owner=robot)).status_code == 200
