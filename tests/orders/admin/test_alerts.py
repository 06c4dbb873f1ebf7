"""The Alerts page: what left, how each channel took it, sending again, and testing the channels."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from orders import alert_urls
from orders.models import Alert, AlertDelivery, AlertMessage, AlertSender
from orders.roles import RISK_MANAGER, TRADER
from tests.orders.admin.test_book_lists import listed, words
from tests.orders.admin.test_roles import holding
from tests.orders.alerting.conftest import webhooks  # noqa: F401 - a fixture
from tests.risk.admin.staff import SENT, told, traces

LIST = "/admin/orders/alert/"
URLS = ["json://one.example.com/a-secret-path", "tgram://123456789:AAbbCCddEEff/42"]


@pytest.fixture
def channels(settings) -> list[alert_urls.Address]:
    settings.ALERT_URLS = URLS
    return alert_urls.addresses(URLS, secret_key=settings.SECRET_KEY)


@pytest.fixture
def alert(db, channels) -> Any:
    """Make an alert; with `states` also its message, on its way through the channels."""

    def make(source: str, *states: str, has_message: bool = True, **changes: Any) -> Alert:
        now = timezone.now()
        message = None
        if has_message:
            text = "27 Nov 2026\n<b>so it was</b>\nNext: Do this."
            message = AlertMessage.objects.create(mode="PAPER", formed_at=now, title=f"PAPER: {source}", text=text)
        for channel, state in zip(channels, states, strict=False):
            AlertDelivery.objects.create(
                message=message,
                channel=channel.key,
                label=channel.label,
                state=state,
                attempts=3,
                asked_at=now,
                next_at=now + timedelta(seconds=20),
                delivered_at=now if state == "DELIVERED" else None,
                last_error="HTTP 500" if state == "GIVEN_UP" else "",
                maybe_twice=state == "GIVEN_UP",
            )
        usual: dict[str, Any] = {"kind": "HALTED", "title": source, "path": "/admin/risk/tradingcontrol/"}
        row = {**usual, "mode": "PAPER", "source": source, "at": now, "noticed_at": now, "message": message, **changes}
        return Alert.objects.create(**row)

    return make


@pytest.fixture
def all_of_them(alert) -> dict[str, Alert]:
    return {
        "delivered": alert("delivered", "DELIVERED", "DELIVERED", is_urgent=True),
        "half": alert("half", "DELIVERED", "WAITING"),
        "given up": alert("given up", "DELIVERED", "GIVEN_UP"),
        "no channel": alert("no channel"),
        "quiet": alert("quiet", has_message=False, is_quiet=True, kind="ORDER_FILLED"),
        "waits": alert("waits", has_message=False),
    }


def rows(client: Any, **asked: Any) -> set[str]:
    return {each.title for each in listed(client, LIST, **asked)}


def test_each_says_how_far_it_got(tara, all_of_them):
    page = words(tara, LIST)

    for says in ("Delivered", "1 of 2 delivered", "1 of 2 given up", "No channel", "Quiet", "Waits", "Urgent"):
        assert says in page


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"delivery": "delivered"}, {"delivered"}),
        ({"delivery": "underway"}, {"half", "waits"}),
        ({"delivery": "given_up"}, {"given up"}),
        ({"delivery": "none"}, {"no channel", "quiet"}),
        ({"kind__exact": "ORDER_FILLED"}, {"quiet"}),
        ({"is_urgent__exact": "1"}, {"delivered"}),
        ({"mode": "LIVE"}, set()),
        ({"q": "given"}, {"given up"}),
    ],
)
def test_the_list_is_narrowed(tara, all_of_them, asked, found):
    assert rows(tara, **asked) == found


def test_an_alert_shows_its_message_and_each_channel_without_a_secret(vera, all_of_them):
    url = reverse("admin:orders_alert_change", args=[all_of_them["given up"].pk])
    page, html = words(vera, url), vera.get(url).content.decode()

    assert "PAPER: given up" in page
    assert "&lt;b&gt;so it was&lt;/b&gt;" in html
    assert "json://one.example.com/…" in page
    assert "Given up maybe twice 3" in page
    assert "HTTP 500" in page
    assert 'href="/admin/risk/tradingcontrol/"' in html
    assert not [secret for url in URLS for secret in alert_urls.secrets_of(url) if len(secret) >= 8 and secret in html]


@pytest.mark.parametrize(
    ("until", "says"),
    [
        (timedelta(seconds=5), "They go to json://one.example.com/…, tgram://…."),
        (-timedelta(seconds=59), "They go to"),
        (-timedelta(seconds=61), "Nobody sends them: manage.py send_alerts was last seen 61 s ago. Start it."),
        (None, "Nobody sends them: manage.py send_alerts was never seen. Start it."),
    ],
)
def test_the_list_says_whether_anybody_sends(vera, channels, until, says):
    if until is not None:
        AlertSender.objects.create(mode="PAPER", until=timezone.now() + until)

    assert says in words(vera, LIST)


def test_the_list_says_that_there_is_no_channel(vera, settings):
    settings.ALERT_URLS = []

    assert "They are kept here and go nowhere: ALERT_URLS is empty." in words(vera, LIST)


# --- Sending again ----------------------------------------------------------------------------------------------------


def states(row: Alert) -> list[tuple[str, int]]:
    assert row.message is not None
    return list(row.message.deliveries.order_by("pk").values_list("state", "attempts"))


def test_what_was_given_up_is_sent_again_through_that_channel_alone(act, all_of_them):
    row = all_of_them["given up"]

    answer = act("orders_alert_send_again", row)

    assert told(answer) == "Sent again through 1 channel."
    assert states(row) == [("DELIVERED", 3), ("WAITING", 0)]
    assert traces() == ["Sent again through 1 channel"]


def test_what_no_channel_had_goes_through_all_of_them(act, all_of_them):
    row = all_of_them["no channel"]

    assert told(act("orders_alert_send_again", row)) == "Sent again through 2 channels."
    assert states(row) == [("WAITING", 0)] * 2


@pytest.mark.parametrize(
    ("which", "why"),
    [
        ("delivered", "Every channel has it, or is being tried at this moment."),
        ("quiet", "ALERT_QUIET has its kind."),
        ("waits", "It waits for its first message still."),
    ],
)
def test_what_cannot_be_sent_again_says_why(act, all_of_them, which, why):
    assert told(act("orders_alert_send_again", all_of_them[which])) == why
    assert traces() == []


def test_an_attempt_under_way_is_left_alone(act, alert):
    row = alert("now", "SENDING", "GIVEN_UP")

    act("orders_alert_send_again", row)

    assert states(row) == [("SENDING", 3), ("WAITING", 0)]


def test_without_a_channel_nothing_can_be_sent(act, all_of_them, settings):
    settings.ALERT_URLS = []

    assert "ALERT_URLS is empty" in told(act("orders_alert_send_again", all_of_them["given up"]))


def send_selected(client: Any, alerts: list[Alert], **fields: Any) -> Any:
    ticked = {"action": "send_selected_again", "_selected_action": [each.pk for each in alerts]}
    return client.post(LIST, {**ticked, **fields})


def test_many_are_asked_for_and_then_sent_again_each_with_its_result(all_of_them):
    rita = holding("rita", RISK_MANAGER)
    some = [all_of_them["given up"], all_of_them["delivered"]]

    asks = send_selected(rita, some).content.decode()
    assert "Send the selected alerts again?" in asks
    assert states(some[0]) == [("DELIVERED", 3), ("GIVEN_UP", 3)]

    done = send_selected(rita, some, confirmed="yes", **SENT).content.decode()
    assert "1 of 2 alerts sent again" in done
    assert "Every channel has it" in done
    assert states(some[0]) == [("DELIVERED", 3), ("WAITING", 0)]


@pytest.mark.parametrize("who", [TRADER, None])
def test_who_may_not_send_is_not_offered_it_and_cannot_by_naming_it(all_of_them, vera, who):
    client = holding("theo", who) if who else vera
    page = client.get(LIST).content.decode()

    send_selected(client, [all_of_them["given up"]], confirmed="yes", **SENT)
    refused = [
        client.post(reverse("admin:orders_alert_test_channels"), SENT),
        client.post(reverse("admin:orders_alert_send_again", args=[all_of_them["given up"].pk]), SENT),
    ]

    assert "send_selected_again" not in page
    assert "Test the channels" not in page
    assert {answer.status_code for answer in refused} == {403}
    assert states(all_of_them["given up"]) == [("DELIVERED", 3), ("GIVEN_UP", 3)]


# --- Testing the channels ---------------------------------------------------------------------------------------------


def test_the_button_tells_of_each_channel_whether_it_took_the_message(act, webhooks, settings):  # noqa: F811
    good, broken = webhooks(), webhooks()
    broken.status = 500
    settings.ALERT_URLS = [f"json://{good.at}/a-secret-path", f"json://{broken.at}/a-secret-path"]

    said = told(act("orders_alert_test_channels"))

    assert f"json://{good.at}/…: it took the message" in said
    assert f"json://{broken.at}/…: " in said
    assert "500" in said
    assert "a-secret-path" not in said
    assert "Sent by tara." in good.posted[0]["message"]


@pytest.mark.parametrize(
    ("urls", "says"),
    [([], "ALERT_URLS is empty: there is no channel to test."), (["carrier://hunter2hunter2"], "does not understand")],
)
def test_the_button_says_why_there_is_nothing_to_test(act, settings, urls, says):
    settings.ALERT_URLS = urls

    said = told(act("orders_alert_test_channels"))

    assert says in said
    assert "hunter2hunter2" not in said
