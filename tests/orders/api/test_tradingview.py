"""TradingView's alerts: JSON or lines, the token in the text, and never kept or logged."""

from __future__ import annotations

import io
import itertools
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.utils import timezone

from orders.api.tradingview import as_a_signal, token_in
from orders.models import ApiToken, Instrument, Signal
from risk.models import AuditEntry
from tests.orders.api.conftest import problem

pytestmark = pytest.mark.django_db
POST = "POST /signals/tradingview"


@pytest.fixture
def secret(desk: Any, token: Callable[..., str]) -> str:
    return token("signals:write", in_body=True, name="chart")


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Return what is logged meanwhile, as it is written."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(logging.getLogger().handlers[0].formatter)
    logging.getLogger().addHandler(handler)
    yield out
    logging.getLogger().removeHandler(handler)


def alert(secret: str, **changes: Any) -> dict[str, Any]:
    fields = {
        "token": secret,
        "ticker": "RELIANCE",
        "exchange": "NSE",
        "action": "buy",
        "price": "1399.5",
        "timenow": timezone.now().isoformat(timespec="seconds").replace("+00:00", "Z"),
        "strategy": "momentum",
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not None}


def test_an_alert_in_json_is_a_signal(secret, call):
    answer = call(POST, "", alert(secret))

    assert answer.status_code == 201, answer.content
    signal = Signal.objects.get()
    assert (signal.signal_type, signal.exchange, signal.symbol, signal.strategy) == (
        "BUY",
        "NSE",
        "RELIANCE",
        "momentum",
    )
    assert (str(signal.cms_score), str(signal.price)) == ("100.000000000000", "1399.5000")
    assert (signal.source, signal.sent_by) == ("API", "tara, chart")


def test_an_alert_in_lines_is_the_same_signal(secret, call):
    ways = itertools.product(["\n", "\r\n", ", ", "; ", "\n\n"], ["=", ": ", " = "])
    for number, (parted, equals) in enumerate(ways):
        said = alert(secret, action="sell", id=str(number))
        text = parted.join(f"{name}{equals}{value}" for name, value in said.items())

        first, second = call(POST, "", text.encode()), call(POST, "", said)

        assert (first.status_code, second.status_code) == (201, 200), first.content
        assert first.json()["signal_type"] == "SELL"


@pytest.mark.parametrize(
    ("changes", "score"),
    [
        ({"action": "buy"}, "100"),
        ({"action": "sell"}, "-100"),
        ({"action": "buy", "score": 75}, "75"),
        ({"action": "SELL", "score": "75.5"}, "-75.5"),
        ({"action": "sell", "score": -75}, "-75"),
        ({"action": "sell", "cms_score": 12}, "12"),
        ({"action": "sell", "cms_score": -61, "score": 90}, "-61"),
    ],
)
def test_an_alert_has_the_score_of_its_action(changes, score):
    said = json.loads(as_a_signal(json.dumps(alert("x", **changes)).encode(), default_exchange="NSE"))

    assert str(said["cms_score"]) == score


def test_the_names_of_the_wire_form_are_taken_too_and_win(secret, call, message):
    raw = json.loads(message(signal_id="one"))

    answer = call(POST, "", {**raw, "token": secret, "ticker": "INFY"})

    assert (answer.status_code, answer.json()["symbol"]) == (201, "RELIANCE")


def test_sent_again_it_is_the_same_signal(secret, call):
    said = alert(secret, id="order 17")

    answers = [call(POST, "", said) for _ in range(2)]

    assert [each.status_code for each in answers] == [201, 200]
    assert answers[1].json()["signal_id"] == "order 17"


def test_an_order_id_of_tradingview_is_no_id_of_the_signal(secret, call):
    """`{{strategy.order.id}}` is the same word each time, such as Long."""
    answers = [call(POST, "", alert(secret, order_id="Long", price=price)) for price in ("1399.5", "1400")]

    assert [each.status_code for each in answers] == [201, 201]


@pytest.mark.parametrize("names", [("time", "timenow"), ("timenow", "time")])
def test_the_moment_of_the_alert_wins_over_the_start_of_its_bar(names):
    said = {"time": "2026-11-27T04:00:00Z", "timenow": "2026-11-27T04:59:59Z"}

    raw = json.dumps({name: said[name] for name in names}).encode()

    assert json.loads(as_a_signal(raw, default_exchange="NSE"))["timestamp"] == said["timenow"]


@pytest.mark.parametrize("odd", ["\0", "\ud800"])
def test_a_name_that_no_database_takes_is_kept_as_malformed(secret, call, odd):
    for changes in ({"ticker": f"M_{odd}"}, {"ticker": "M_M", "exchange": f"NSE{odd}"}, {"ticker": f"N{odd}:M_M"}):
        problem(call(POST, "", alert(secret, **changes)), 422, "signal-malformed")

    assert Signal.objects.filter(status="MALFORMED").count() == 3


def test_the_brokers_name_is_found_for_what_tradingview_writes(db):
    read = {"token": 1, "lot_size": 1, "tick_size": 1, "instrument_type": "EQ", "read_at": timezone.now()}
    for name in ("M&M", "BAJAJ-AUTO", "A&B", "A-B", "X_Y"):
        Instrument.objects.create(exchange="NSE", symbol=name, **read)

    def named(ticker: str, **more: str) -> str:
        raw = json.dumps({"ticker": ticker, **more}).encode()
        return json.loads(as_a_signal(raw, default_exchange="NSE"))["symbol"]

    assert named("M_M") == "M&M"
    assert named("NSE:BAJAJ_AUTO") == "NSE:BAJAJ-AUTO"
    assert named("A_B") == "A_B"  # it may be either: a person must say which
    assert named("X_Y") == "X_Y"
    assert named("M_M", exchange="BSE") == "M_M"


# --- The token --------------------------------------------------------------------------------------------------------


def test_the_token_is_found_wherever_it_stands():
    secret = f"oex_{'a' * 16}_{'b' * 64}"

    assert token_in(f'{{"token": "{secret}", broken'.encode()) == secret
    assert token_in(f"token={secret}&x=1 {secret}".encode()) == secret
    assert token_in(f"{secret} {secret[:-1]}c".encode()) == ""
    assert token_in(b"") == ""
    assert token_in(b"\xff" + secret.encode() + b"\xff") == secret


def test_without_a_token_nothing_is_taken_or_kept(secret, call):
    for body in (b"", b"{}", b"action=buy\nticker=RELIANCE", b'{"token": "wrong", "action": "buy"}', b"\xff\xfe"):
        problem(call(POST, "", body), 401, "token-invalid")

    assert not Signal.objects.exists()


def test_a_token_in_the_address_is_not_looked_at(secret, call):
    said = alert(secret, token=None)

    problem(call(f"{POST}?token={secret}", "", said), 401, "token-invalid")
    problem(call(f"{POST}/{secret}", "", said), 404, "not-found")


def test_a_token_for_headers_is_not_taken_from_a_text(desk, token, call):
    general = token("signals:write")

    problem(call(POST, "", alert(general)), 401, "token-not-for-alerts")

    assert not Signal.objects.exists()
    assert call(POST, general, alert("x")).status_code == 201


def test_a_token_for_alerts_opens_nothing_else(secret, call):
    for what in ("POST /signals", "POST /signals/tradingview", "GET /orders", "POST /trading/halt"):
        problem(call(what, secret, {"reason": "x"}), 401, "token-invalid")


def test_more_alerts_than_its_share_are_told_to_wait(desk, token, call):
    secret = token("signals:write", in_body=True, per_minute=2)

    answers = [call(POST, "", alert(secret, id=str(n))).status_code for n in range(3)]

    assert answers == [201, 201, 429]


TEXTS = [
    '{{"token": "{secret}", "ticker": "RELIANCE", "action": "buy"}}',
    '{{"token": "{secret}", broken',
    "token={secret}\nticker=RELIANCE\naction=hold on",
    "buy some RELIANCE with {secret} please",
    '{{"password": "{secret}", "note": ["{secret}"], "{secret}": 1}}',
]


def test_the_token_is_kept_nowhere_and_logged_nowhere(secret, call, logged):
    hidden = secret.split("_")[2]

    answers = [call(POST, "", text.format(secret=secret).encode()) for text in TEXTS]

    for answer in answers:
        problem(answer, 422, "signal-malformed")
        assert hidden not in answer.content.decode()
    assert Signal.objects.count() == len(TEXTS)
    assert not [signal for signal in Signal.objects.all() if hidden.encode() in bytes(signal.raw)]
    assert hidden not in str([*Signal.objects.values(), *AuditEntry.objects.values(), *ApiToken.objects.values()])
    assert "signals.recorded" in logged.getvalue()
    assert hidden not in logged.getvalue()


def test_a_defect_on_the_way_logs_no_token(secret, call, logged, monkeypatch):
    def broken(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError(f"something with {secret}")

    monkeypatch.setattr("orders.api.signals.as_a_signal", broken)
    logging.getLogger("django.request").setLevel(logging.ERROR)

    problem(call(POST, "", alert(secret)), 500, "defect")

    assert "something with oex_" in logged.getvalue()
    assert secret.split("_")[2] not in logged.getvalue()
