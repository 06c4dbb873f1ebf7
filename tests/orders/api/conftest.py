"""
More of the cast, for the JSON API: Tara's programs. She may do everything, and each token what its scopes name.

A call is a real request through all of the middleware, with CSRF checks on and without a session.
"""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from orders import api_tokens
from orders.api_tokens import SCOPES, Wish
from orders.models import ApiToken

ROOT = "/api/v1"


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Keep refused requests, which are what many of these tests want, out of the log."""
    caplog.set_level(logging.CRITICAL, logger="django.request")


def user(name: str, role: str = "", **more: Any) -> User:
    made = User.objects.create_user(name, is_staff=True, **more)
    if role:
        made.groups.add(Group.objects.get(name=role))
    return made


@pytest.fixture
def tara(db: None) -> User:
    return user("tara", is_superuser=True)


@pytest.fixture
def token(tara: User) -> Callable[..., str]:
    """Make a token of Tara's, or of another owner; without a scope it has every one."""
    numbers = itertools.count(1)

    def make(*scopes: str, owner: User | None = None, now: datetime | None = None, **more: Any) -> str:
        asked = {"name": f"program {next(numbers)}", "per_minute": 6000, **more}
        wished = Wish(owner=owner or tara, scopes=scopes or list(SCOPES), **asked)
        return api_tokens.make(wished, by="anna", now=now or timezone.now())[1]

    return make


def row_of(secret: str) -> ApiToken:
    return ApiToken.objects.get(key_id=secret.split("_")[1])


@pytest.fixture
def call() -> Callable[..., Any]:
    """Send a request with a token: "GET /orders" and, of a POST, what goes into the body."""
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)

    def send(what: str, token: str = "", body: Any = None, **headers: str) -> Any:
        method, _, path = what.partition(" ")
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if method == "GET":
            return client.get(f"{ROOT}{path}", body, headers=headers)
        raw = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        return client.generic(method, f"{ROOT}{path}", raw, content_type="application/json", headers=headers)

    return send


def problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    """Return the problem that the answer must be."""
    assert answer.headers["Content-Type"] == "application/problem+json", answer.content
    said: dict[str, Any] = json.loads(answer.content)
    assert (answer.status_code, said["status"], said["code"]) == (status, status, code), said
    assert said["type"] == f"urn:order-executor:{code}"
    assert said["request_id"] == answer.headers["X-Request-ID"]
    return said


@pytest.fixture
def queries_of() -> Callable[[Callable[[], Any]], int]:
    """Return how many queries a call makes."""

    def count(ask: Callable[[], Any]) -> int:
        with CaptureQueriesContext(connection) as caught:
            assert ask().status_code == 200
        return len(caught)

    return count
