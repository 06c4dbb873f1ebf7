"""`manage.py send_alerts`, the real process: a fill on paper is at a webhook within five seconds; --test; refusals."""

from __future__ import annotations

import signal
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from orders.models import Alert, AlertDelivery, AlertSender, OrderEvent
from risk import control
from tests.executor_process import manage
from tests.orders.alerting.conftest import webhooks  # noqa: F401 - a fixture
from tests.orders.paper.paper_process import until
from tests.orders.sender_process import send_alerts  # noqa: F401 - a fixture

SECRET = "a-path-that-is-secret"
TOKEN = "123456789:AAbbCCddEEffGGhh"


# --- The process -----------------------------------------------------------------------------------------------------


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_an_order_filled_on_paper_is_at_the_webhook_within_five_seconds(send_alerts, webhooks, held):  # noqa: F811
    good, hangs, broken = webhooks(), webhooks(), webhooks()
    hangs.holds_back.clear()
    broken.status = 500
    urls = ",".join(f"json://desk:{SECRET}@{hook.at}/{SECRET}" for hook in (good, hangs, broken))
    sender = send_alerts(ALERT_URLS=urls, BASE_URL="https://desk.example.com")

    for number in range(1, 4):  # a machine that does much else is given another chance
        held(number)  # bought at the paper Kite, by a person
        until(lambda count=number: len(good.posted) == count, 15)
        until(lambda count=number: AlertDelivery.objects.filter(state="DELIVERED").count() == count, 15)
        filled = OrderEvent.objects.filter(after="FILLED").latest("pk")
        told = AlertDelivery.objects.filter(state="DELIVERED").latest("delivered_at")
        if told.delivered_at - filled.at < timedelta(seconds=5):
            break
    assert told.delivered_at - filled.at < timedelta(seconds=5)
    assert (told.attempts, told.maybe_twice) == (1, False)
    assert good.posted[-1]["title"] == f"PAPER: Order filled: BUY {number} RELIANCE at ₹1,400.00"
    assert f"https://desk.example.com/admin/orders/order/{filled.order_id}/change/" in good.posted[-1]["message"]

    control.halt("PAPER", by="priya", reason="enough", now=filled.at)
    until(lambda: good.titles()[-1] == "PAPER: Trading is halted, by priya", 15)
    until(lambda: AlertDelivery.objects.filter(last_error__contains="500").exists(), 15)

    assert sender.end() == 0
    assert AlertSender.objects.get().holder
    rows = str([*Alert.objects.values(), *AlertDelivery.objects.values()])
    assert SECRET not in rows + sender.log.read_text()
    assert "Traceback" not in sender.log.read_text()


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_one_that_is_killed_is_followed_by_another_that_tells_what_it_missed(send_alerts, webhooks, held):  # noqa: F811
    hook = webhooks()
    first = send_alerts(ALERT_URLS=f"json://{hook.at}")
    second = send_alerts(ALERT_URLS=f"json://{hook.at}", says="alerts.started")

    first.end(signal.SIGKILL)
    held(1)
    until(lambda: hook.posted, 30)

    assert second.said("alerts.leading")
    assert hook.titles() == ["PAPER: Order filled: BUY 1 RELIANCE at ₹1,400.00"]


@pytest.mark.processes
def test_an_address_that_apprise_does_not_know_ends_the_process_with_a_sentence(db):
    refused = manage("send_alerts", paper_url="http://127.0.0.1:9", ALERT_URLS=f"carrierpigeon://{SECRET}")

    assert refused.returncode == 1
    assert "ALERT_URLS, number 1 of 1 (carrierpigeon://…): apprise does not understand it." in refused.stderr
    assert SECRET not in refused.stdout + refused.stderr
    assert "Traceback" not in refused.stderr


# --- --test ----------------------------------------------------------------------------------------------------------


def test_the_test_says_of_every_channel_whether_it_took_the_message(webhooks, settings, db):  # noqa: F811
    good, broken = webhooks(), webhooks()
    broken.status = 403
    settings.ALERT_URLS = [f"json://{good.at}/{SECRET}", f"json://{broken.at}/{SECRET}"]
    out = StringIO()

    with pytest.raises(CommandError, match="not every channel took the test message"):
        call_command("send_alerts", "--test", stdout=out)

    first, second = out.getvalue().splitlines()
    assert first == f"SENT    json://{good.at}/…"
    assert second.startswith(f"FAILED  json://{broken.at}/…  ")
    assert "403" in second
    assert SECRET not in out.getvalue()
    assert good.titles() == ["PAPER: a test of alerts"]
    assert "Sent by command." in good.posted[0]["message"]
    assert not Alert.objects.exists()


def test_the_test_of_channels_that_all_take_it_ends_well(webhooks, settings, db):  # noqa: F811
    settings.ALERT_URLS = [f"json://{webhooks().at}"]
    out = StringIO()

    call_command("send_alerts", "--test", stdout=out)

    assert out.getvalue().startswith("SENT")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"ALERT_URLS": []}, "ALERT_URLS is empty: there is no channel to test"),
        ({"ALERT_URLS": [f"carrier://{TOKEN}"]}, "number 1 of 1"),
        ({"ALERT_URLS": ["json://localhost"], "ALERT_QUIET": {"HALTED"}}, "which is always sent"),
    ],
)
def test_what_cannot_work_is_refused_in_a_sentence(settings, db, changes, sentence):
    for name, value in changes.items():
        setattr(settings, name, value)

    with pytest.raises(CommandError, match=sentence) as refusal:
        call_command("send_alerts", "--test", stdout=StringIO())

    assert TOKEN not in str(refusal.value)
