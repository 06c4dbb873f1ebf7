"""Reading: lists page by page, what narrows them, one of each, and the form of amounts and times."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal

import pytest

from orders.api.app import api
from orders.models import Order, Position, Signal
from risk.models import RiskSettings
from tests.orders.api.conftest import problem

pytestmark = pytest.mark.django_db
MONEY = re.compile(r"-?\d+(\.\d+)?")


def ids(answer):
    assert answer.status_code == 200, answer.content
    return [each["signal_id"] for each in answer.json()["items"]]


def test_pages_meet_and_what_comes_meanwhile_shifts_nothing(received, token, call):
    for number in range(5):
        received(signal_id=f"s{number}")
    secret = token()

    first = call("GET /signals", secret, {"limit": 2})
    received(signal_id="s5")
    second = call("GET /signals", secret, {"limit": 2, "cursor": first.json()["next"]})
    third = call("GET /signals", secret, {"limit": 2, "cursor": second.json()["next"]})

    assert [ids(first), ids(second), ids(third)] == [["s4", "s3"], ["s2", "s1"], ["s0"]]
    assert third.json()["next"] is None


def test_a_page_that_is_just_full_is_the_last(received, token, call):
    secret = token()
    for number in range(2):
        received(signal_id=f"s{number}")

    assert call("GET /signals", secret, {"limit": 2}).json()["next"] is None
    assert call("GET /signals", secret, {"limit": 1}).json()["next"] is not None
    assert ids(call("GET /signals", secret, {"cursor": Signal.objects.earliest("id").pk})) == []


def test_odd_questions_are_refused_field_by_field(db, token, call):
    secret = token()
    for path, asked in [
        ("/orders", {"limit": 0}),
        ("/orders", {"limit": 201}),
        ("/orders", {"limit": "many"}),
        ("/orders", {"cursor": "-1"}),
        ("/orders", {"cursor": "9" * 19}),
        ("/orders", {"cursor": "x"}),
        ("/orders", {"status": "DENIED"}),
        ("/orders", {"side": "HOLD"}),
        ("/orders", {"symbol": "a\x00b"}),
        ("/orders", {"symbol": ""}),
        ("/orders", {"signal_id": "a\x00b"}),
        ("/orders", {"signal_id": "x" * 101}),
        ("/orders", {"trading_date": "2026-13-01"}),
        ("/positions", {"every": "perhaps"}),
        ("/decisions", {"outcome": "no; --"}),
        ("/orders", {"simbol": "RELIANCE"}),
        ("/positions", {"": "x"}),
    ]:
        said = problem(call(f"GET {path}", secret, asked), 422, "invalid")
        assert [each["field"] for each in said["errors"]] == list(asked), asked
    assert call("GET /orders", secret, {"limit": 200, "cursor": "9" * 18}).status_code == 200


def test_orders_are_narrowed_by_each_filter(resting, received, follow, token, call):
    order = follow(received(signal_id="one"))
    rests = resting(symbol="INFY")
    secret = token()

    def found(**asked):
        return {each["order_id"] for each in call("GET /orders", secret, asked).json()["items"]}

    one, other = {order.client_order_id}, {rests.client_order_id}
    assert found() == one | other
    assert found(symbol="INFY") == found(status="OPEN") == found(origin="MANUAL") == other
    assert found(signal_id="one") == found(status="FILLED") == found(origin="AUTO") == one
    assert found(side="BUY", exchange="NSE", trading_date=order.trading_date.isoformat()) == one | other
    assert found(side="SELL") == found(exchange="BSE") == found(trading_date="2020-01-01") == set()


def test_an_order_is_told_by_our_id_or_the_brokers_with_all_that_happened(received, follow, token, call):
    order = follow(received(signal_id="one"))
    secret = token()

    ours = call(f"GET /orders/{order.client_order_id}", secret).json()
    theirs = call(f"GET /orders/{order.broker_order_id}", secret).json()

    assert ours == theirs
    assert (ours["status"], ours["signal_id"], ours["filled_quantity"]) == ("FILLED", "one", 1)
    assert [each["after"] for each in ours["events"]] == [event.after for event in order.events.all()]
    assert [(each["quantity"], each["price"]) for each in ours["fills"]] == [(1, "1400.0000")]


def test_there_is_no_order_of_another_mode_or_of_no_id(received, follow, token, call):
    order = follow(received())
    secret = token()
    Order.objects.filter(pk=order.pk).update(mode="LIVE")

    for order_id in (order.client_order_id, order.broker_order_id, "X" * 20, "a-b", "%00", "%F0%9F%92%A9", "x" * 3000):
        problem(call(f"GET /orders/{order_id}", secret), 404, "not-found")
    assert call("GET /orders", secret).json()["items"] == []


def test_positions_are_what_is_open_unless_all_are_asked_for(held, token, call):
    held(2)
    Position.objects.create(
        mode="PAPER", exchange="NSE", symbol="INFY", product="CNC", updated_at=Position.objects.get().updated_at
    )
    secret = token()

    open_now = call("GET /positions", secret).json()["items"]

    assert [(each["symbol"], each["quantity"], each["average_price"]) for each in open_now] == [
        ("RELIANCE", 2, "1400.0000")
    ]
    assert len(call("GET /positions", secret, {"every": "true"}).json()["items"]) == 2
    assert call("GET /positions", secret, {"symbol": "TCS"}).json()["items"] == []


def test_decisions_have_every_verdict(received, follow, token, call):
    RiskSettings.objects.update(order_value_max=Decimal(0))
    signal = received(signal_id="one")
    follow(signal)
    secret = token()

    decision = call("GET /decisions", secret, {"signal_id": "one", "outcome": "DENIED"}).json()["items"][0]

    assert (decision["signal_id"], decision["order_id"], decision["symbol"]) == ("one", None, "RELIANCE")
    refused = [each["control"] for each in decision["verdicts"] if not each["passed"]]
    assert set(refused) <= set(decision["limited_by"])
    assert refused
    assert call(f"GET /decisions/{decision['id']}", secret).json() == decision
    for number in (0, -1, 2**63, 10**40, decision["id"] + 1):
        problem(call(f"GET /decisions/{number}", secret), 404, "not-found")
    problem(call("GET /decisions/one", secret), 422, "invalid")


def test_an_approved_one_names_its_order(received, follow, token, call):
    order = follow(received())

    items = call("GET /decisions", token(), {"outcome": "APPROVED"}).json()["items"]

    assert [each["order_id"] for each in items] == [order.client_order_id]


def test_limits_are_told_with_their_version_and_money_as_text(desk, token, call):
    said = call("GET /limits", token()).json()

    limits = RiskSettings.objects.get()
    assert said["version"] == limits.version
    assert said["limits"].keys() == set(RiskSettings.LIMIT_FIELDS)
    assert said["limits"]["position_size"] == f"{limits.position_size:f}"
    assert said["limits"]["daily_trades_max"] == limits.daily_trades_max
    assert said["limits"]["round_up_to_one_lot"] is True


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        (Decimal("75.000000000000"), "75"),
        (Decimal("62.500000000000"), "62.5"),
        (Decimal("-100"), "-100"),  # and not -1E+2
        (Decimal("0E-12"), "0"),
        (Decimal("0.000000000001"), "0.000000000001"),
        (None, None),
    ],
)
def test_a_score_is_told_without_the_zeros_of_its_column(received, token, call, kept, told):
    signal = received()
    Signal.objects.update(cms_score=kept)
    secret = token()

    said = call("GET /signals", secret).json()["items"][0]

    assert said["cms_score"] == told
    assert call(f"GET /signals?signal_id={signal.signal_id}", secret).json()["items"] == [said]
    promised = api.get_openapi_schema()["components"]["schemas"]["SignalOut"]["properties"]["cms_score"]["anyOf"][0]
    assert told is None or re.fullmatch(promised["pattern"], told)


def test_amounts_are_text_and_times_have_their_offset(received, follow, token, call):
    order = follow(received(cms_score=100))
    Signal.objects.update(cms_score=0)
    secret = token()

    story = call(f"GET /orders/{order.client_order_id}", secret).json()
    signal = call("GET /signals", secret).json()["items"][0]

    for amount in (story["price"], story["average_price"], story["fills"][0]["price"], signal["cms_score"]):
        assert MONEY.fullmatch(amount)
    for moment in (story["created_at"], story["events"][0]["at"], story["fills"][0]["filled_at"], signal["signal_at"]):
        assert datetime.fromisoformat(moment).utcoffset() is not None
        assert moment.endswith("+05:30")


@pytest.mark.parametrize("path", ["/signals", "/orders", "/decisions", "/positions"])
def test_a_page_of_many_asks_the_database_no_more_than_one_of_few(path, received, follow, token, call, queries_of):
    secret = token()
    follow(received())
    few = queries_of(lambda: call(f"GET {path}", secret))
    for symbol in ("INFY", "TCS"):
        follow(received(symbol=symbol))

    assert queries_of(lambda: call(f"GET {path}", secret)) == few
