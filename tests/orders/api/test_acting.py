"""Acting by the API: the admin's use cases, in the owner's name, with a reason, and in the trail by request."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection

from orders import execution
from orders.models import Order
from orders.reconciliation import reconcile
from risk import control
from risk.models import AuditEntry, TradingControl, TradingControlEvent
from tests.orders.api.conftest import problem
from tests.orders.together import Together

pytestmark = pytest.mark.django_db
WHY = {"reason": "the model drifts"}
KEPT = "the model drifts (API token algo)"


@pytest.fixture
def secret(desk, token):
    return token(name="algo")


def switch():
    return TradingControl.objects.get(mode="PAPER")


def entries_of(answer):
    return AuditEntry.objects.filter(request_id=answer.headers["X-Request-ID"])


# --- Halting ----------------------------------------------------------------------------------------------------------


def test_a_halt_halts_cancels_and_says_who_and_why(secret, resting, desk, call):
    order = resting()

    answer = call("POST /trading/halt", secret, WHY)

    said = answer.json()
    assert (answer.status_code, said["state"], said["changed_by"], said["reason"]) == (200, "HALTED", "tara", KEPT)
    assert [each["order_id"] for each in said["cancels"]] == [order.client_order_id]
    reconcile(desk)
    order.refresh_from_db()
    assert (order.status, order.cancel_requested_by) == ("CANCELLED", "tara")
    assert order.cancel_reason == f"trading halted: {KEPT}"
    assert TradingControlEvent.objects.first().actor == "tara"
    assert LogEntry.objects.latest("pk").change_message == f"Halt: {KEPT}"


def test_the_trail_has_owner_token_reason_and_request(secret, call):
    answer = call("POST /trading/halt", secret, WHY)

    entry = entries_of(answer).get(table_name="risk_tradingcontrol")
    assert (entry.actor, entry.reason) == ("tara", KEPT)


def test_a_halt_twice_is_a_halt(secret, call):
    first = call("POST /trading/halt", secret, WHY).json()
    again = call("POST /trading/halt", secret, WHY)

    assert (again.status_code, again.json()["version"]) == (200, first["version"])


def test_a_halt_works_without_a_broker(secret, call, settings):
    settings.PAPER_KITE_URL = ""

    answer = call("POST /trading/halt", secret, WHY)

    assert (answer.status_code, switch().state) == (200, "HALTED")
    assert "Nothing could be cancelled: there is no paper Kite server" in answer.json()["note"]


@pytest.mark.parametrize("what", ["halt", "auto-trading/off"])
def test_stopping_goes_through_whatever_share_is_spent(desk, token, call, what):
    secret = token("orders:read", "orders:cancel", "trading:halt", per_minute=1)
    assert [call("GET /orders", secret).status_code for _ in range(2)] == [200, 429]
    assert [call("POST /orders/none/cancel", secret, WHY).status_code for _ in range(2)] == [404, 429]

    assert [call(f"POST /trading/{what}", secret, WHY).status_code for _ in range(3)] == [200] * 3


def test_halting_takes_nothing_from_the_share_of_cancels(desk, token, call):
    secret = token("orders:cancel", "trading:halt", per_minute=1)
    assert [call("POST /trading/halt", secret, WHY).status_code for _ in range(3)] == [200] * 3

    assert [call("POST /orders/none/cancel", secret, WHY).status_code for _ in range(2)] == [404, 429]


# --- The switch -------------------------------------------------------------------------------------------------------


def test_auto_trading_goes_off_and_on_by_the_version_that_was_read(secret, call):
    off = call("POST /trading/auto-trading/off", secret, WHY)
    assert (off.status_code, switch().auto_trading) == (200, False)

    version = call("GET /trading", secret).json()["version"]
    on = call("POST /trading/auto-trading/on", secret, {**WHY, "version": version})

    assert (on.status_code, on.json()["auto_trading"], switch().auto_trading) == (200, True, True)
    assert (switch().changed_by, switch().reason) == ("tara", KEPT)


@pytest.mark.parametrize("what", ["auto-trading/on", "resume"])
def test_nothing_is_loosened_by_who_read_the_switch_before_somebody_changed_it(secret, call, desk, what):
    version = call("GET /trading", secret).json()["version"]
    control.halt("PAPER", by="rita", reason="a rumour", now=desk.clock())

    answer = call(f"POST /trading/{what}", secret, {**WHY, "version": version})

    said = problem(answer, 409, "control-changed")
    assert said["control"] == "TRADING_CONTROL"
    assert "changed by rita since this was shown: a rumour" in said["detail"]
    assert (switch().state, switch().reason) == ("HALTED", "a rumour")


def test_auto_trading_stays_off_while_trading_is_not_active(secret, call, desk):
    control.auto_trading_off("PAPER", by="rita", reason="r", now=desk.clock())
    halted = control.halt("PAPER", by="rita", reason="a rumour", now=desk.clock())

    answer = call("POST /trading/auto-trading/on", secret, {**WHY, "version": halted.version})

    assert problem(answer, 409, "loosening-refused")["detail"] == "trading is HALTED: resume it first"
    assert not switch().auto_trading


def test_resuming_leaves_auto_trading_as_it_is(secret, call, desk):
    control.auto_trading_off("PAPER", by="rita", reason="r", now=desk.clock())
    halted = control.halt("PAPER", by="rita", reason="a rumour", now=desk.clock())

    answer = call("POST /trading/resume", secret, {**WHY, "version": halted.version})

    assert answer.status_code == 200
    assert (switch().state, switch().auto_trading) == ("ACTIVE", False)


def test_a_reason_is_required_and_has_a_bound(secret, call):
    before = switch().version
    for said, field in [
        ({}, "reason"),
        ({"reason": ""}, "reason"),
        ({"reason": " \t\n"}, "reason"),
        ({"reason": None}, "reason"),
        ({"reason": 5}, "reason"),
        ({"reason": "a\x00b"}, "reason"),
        ({"reason": "x" * 401}, "reason"),
        ({**WHY, "resume": True}, "resume"),
    ]:
        answer = call("POST /trading/halt", secret, said)
        assert field in problem(answer, 422, "invalid")["errors"][0]["field"], said
    for version in (None, 0, -1, 2**31, "one", 1.5):
        problem(call("POST /trading/auto-trading/on", secret, {**WHY, "version": version}), 422, "invalid")
    for raw in (b"", b"{", b"[]", b"null", b"\xff"):
        assert call("POST /trading/halt", secret, raw).status_code in {400, 422}
    assert switch().version == before

    assert call("POST /trading/halt", secret, {"reason": "x" * 400}).status_code == 200


def test_the_desks_health_is_told_from_what_is_known(secret, call, resting):
    resting()

    said = call("GET /trading", secret).json()

    assert (said["mode"], said["state"], said["auto_trading"]) == ("PAPER", "ACTIVE", True)
    assert [each["what"] for each in said["health"]] == ["Executor", "Login", "Its book"]
    assert (said["orders_in_doubt"], said["unfinished_orders"], said["incidents_open"]) == (0, 1, 0)


# --- Cancelling -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["client_order_id", "broker_order_id"])
def test_an_order_is_cancelled_by_either_id(secret, resting, desk, call, name):
    order = resting()

    answer = call(f"POST /orders/{getattr(order, name)}/cancel", secret, WHY)

    assert (answer.status_code, answer.json()["note"]) == (
        200,
        "the cancel is asked for. The broker's book will show its end",
    )
    reconcile(desk)
    order.refresh_from_db()
    assert (order.status, order.cancel_requested_by, order.cancel_reason) == ("CANCELLED", "tara", KEPT)
    assert entries_of(answer).filter(table_name="orders_order", actor="tara", reason=KEPT).exists()
    assert LogEntry.objects.latest("pk").change_message == f"Cancel asked for: {KEPT}"


def test_an_unsent_order_is_withdrawn(secret, pending, call):
    order = pending()

    answer = call(f"POST /orders/{order.client_order_id}/cancel", secret, WHY)

    assert answer.json()["note"] == "it was withdrawn: it had not been sent"
    assert answer.json()["order"]["status"] == "WITHDRAWN"


def test_what_is_over_is_not_cancelled(secret, received, follow, call):
    order = follow(received())

    said = problem(call(f"POST /orders/{order.client_order_id}/cancel", secret, WHY), 409, "order-not-cancellable")

    assert said["detail"] == "it is filled, and nothing is left to cancel"


def test_an_order_of_the_other_mode_is_not_there(secret, resting, call):
    order = resting()
    Order.objects.filter(pk=order.pk).update(mode="LIVE")

    problem(call(f"POST /orders/{order.client_order_id}/cancel", secret, WHY), 404, "not-found")


def test_the_wish_stays_when_the_broker_does_not_answer(secret, resting, paper, call):
    order = resting()
    paper.fault("cancel", "error_503")

    answer = call(f"POST /orders/{order.client_order_id}/cancel", secret, WHY)

    assert answer.status_code == 200
    assert answer.json()["order"]["cancel_requested_by"] == "tara"
    assert answer.json()["order"]["cancel_answer"]


def test_without_a_broker_a_cancel_says_so(secret, resting, call, settings):
    order = resting()
    settings.PAPER_KITE_URL = ""

    problem(call(f"POST /orders/{order.client_order_id}/cancel", secret, WHY), 503, "desk-not-wired")


@pytest.mark.django_db(transaction=True)
def test_two_who_cancel_at_once_are_one_wish(secret, resting, call, desk):
    order = resting()
    what = f"POST /orders/{order.client_order_id}/cancel"

    answers = Together(*(lambda: call(what, secret, WHY).status_code for _ in range(3))).join()

    assert set(answers) <= {200, 409}
    assert order.events.filter(note__startswith="cancel asked for").count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_halt_runs_in_no_transaction_of_the_request(secret, call, monkeypatch):
    inside = []
    halt = execution.halt

    def looked(*args, **kwargs):
        inside.append(connection.in_atomic_block)
        return halt(*args, **kwargs)

    monkeypatch.setattr(execution, "halt", looked)
    assert call("POST /trading/halt", secret, WHY).status_code == 200

    assert inside == [False]
