"""Postbacks: off unless asked for, proven by their checksum, and worth one read of the book and nothing more."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from django.test import Client

from orders import postback
from orders.models import BrokerSession

from .paper.paper_process import API_SECRET, PaperProcess, until

pytestmark = pytest.mark.django_db

ID, AT = "SIM20261126000001", "2026-11-26 10:00:00"


@pytest.fixture
def client() -> Client:
    return Client(enforce_csrf_checks=True)


@pytest.fixture(autouse=True)
def switched_on(settings: Any, db: None) -> None:
    settings.KITE_POSTBACK, settings.KITE_API_SECRET = True, API_SECRET
    BrokerSession.objects.get_or_create(mode="PAPER")


def body(*, secret: str = API_SECRET, **changes: Any) -> bytes:
    checksum = hashlib.sha256(f"{ID}{AT}{secret}".encode()).hexdigest()
    told = {"order_id": ID, "order_timestamp": AT, "status": "COMPLETE", "checksum": checksum, **changes}
    return json.dumps({name: value for name, value in told.items() if value is not None}).encode()


def post(client: Client, content: bytes, path: str = "/kite/postback") -> int:
    return client.post(path, content, content_type="application/json").status_code


def came() -> bool:
    return BrokerSession.objects.get(mode="PAPER").postback_at is not None


def test_a_proven_one_is_noted_without_a_session_or_a_csrf_token(client):
    assert post(client, body()) == 200

    assert came()


@pytest.mark.parametrize(
    "content",
    [
        body(checksum="0" * 64),
        body(secret="another"),
        body(order_id="SIM20261126000002"),
        body(order_timestamp="2026-11-26 10:00:01"),
        body(checksum=None),
        body(order_id=None),
        body(checksum=["x"]),
        body(checksum="ü\ud800"),
        body(order_id="\ud800"),
        b"",
        b"null",
        b"[]",
        b"\xff",
        b"[" * 10_000,
    ],
    ids=str,
)
def test_what_proves_nothing_is_forbidden_and_leaves_no_trace(client, content):
    assert post(client, content) == 403

    assert not came()


@pytest.mark.parametrize(("on", "secret"), [(False, API_SECRET), (True, "")], ids=["switched off", "no secret"])
def test_while_it_is_off_there_is_no_such_page(client, settings, on, secret):
    settings.KITE_POSTBACK, settings.KITE_API_SECRET = on, secret

    assert post(client, body(secret=secret)) == 404
    assert client.get("/kite/postback").status_code == 404
    assert not came()


def test_it_is_off_by_default():
    from config import settings as ours

    assert ours.KITE_POSTBACK is False


def test_it_is_only_posted_to(client):
    assert client.get("/kite/postback").status_code == 405


@pytest.mark.parametrize(("size", "answer"), [(0, 200), (1, 413)], ids=["at the limit", "just past it"])
def test_a_body_is_read_up_to_its_limit(client, size, answer):
    padded = body(padding="")
    padded = body(padding="x" * (postback.BODY_BYTES_MAX - len(padded) + size))
    assert len(padded) == postback.BODY_BYTES_MAX + size

    assert post(client, padded) == answer
    assert came() is (answer == 200)


def test_a_replay_changes_nothing_but_the_time_of_the_note(client):
    post(client, body())
    before = BrokerSession.objects.values().get(mode="PAPER")
    post(client, body())
    after = BrokerSession.objects.values().get(mode="PAPER")

    assert {**before, "postback_at": None} == {**after, "postback_at": None}


def test_neither_the_secret_nor_the_checksum_is_logged(client, caplog, capsys):
    caplog.set_level("DEBUG")
    checksum = json.loads(body())["checksum"]
    for content in (body(), body(checksum="0" * 64)):
        post(client, content)

    told = caplog.text + "".join(capsys.readouterr())
    assert "postback.refused" in told
    assert checksum not in told
    assert "0" * 64 not in told


@pytest.mark.django_db(transaction=True)
def test_what_the_broker_posts_is_noted(live_server, settings, tmp_path):
    server = PaperProcess(tmp_path, "--postback-url", f"{live_server.url}/kite/postback")
    try:
        server.set_price("NSE:RELIANCE", "1400.00")
        server.kite().place_order(
            "regular",
            exchange="NSE",
            tradingsymbol="RELIANCE",
            transaction_type="BUY",
            quantity=1,
            product="CNC",
            order_type="LIMIT",
            price=1405.0,
            validity="DAY",
        )

        until(came, seconds=10)
    finally:
        server.stop()
