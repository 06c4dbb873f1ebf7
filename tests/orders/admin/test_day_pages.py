"""Start of day, Help, the strip and the button that stops: who sees what."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.html import strip_tags

from orders.admin.help_page import WORDS
from orders.admin.status_strip import login_left
from orders.desk import Desk
from orders.models import BrokerSession
from risk.engine.rules import RULES
from risk.models import Mode, TradingControl
from tests.risk.admin.staff import person

README = Path(__file__).resolve().parents[3] / "README.md"
START, HELP = "/admin/start-of-day/", "/admin/help/"


def words(answer: Any) -> str:
    assert answer.status_code == 200
    return " ".join(strip_tags(answer.content.decode()).split())


def test_the_start_of_day_says_what_is_to_do_and_where(desk: Desk, tara: Client):
    answer = tara.get(START)

    assert "Not ready to trade:" in words(answer)
    assert "Executor never seen Start it: make run, or manage.py listen_signals." in words(answer)
    assert 'href="/admin/risk/tradingcontrol/" aria-label="Open the page for: Auto-trading"' in answer.content.decode()


def test_the_start_of_day_renews_its_list_alone(desk: Desk, tara: Client):
    part = tara.get(START, {"part": "list"}).content.decode()

    assert part.startswith('<div id="start-of-day"')
    assert "<html" not in part


def test_the_start_of_day_needs_the_permission_to_see_the_switch(desk: Desk):
    assert person("sam", "view_order").get(START).status_code == 403

    page = person("ria", "view_tradingcontrol").get(START).content.decode()
    assert "/admin/risk/tradingcontrol/" in page
    assert 'aria-label="Open the page for: Orders in doubt"' not in page


def test_the_start_of_day_without_a_broker_is_a_page_too(db: None, tara: Client, settings: Any):
    settings.PAPER_KITE_URL = ""

    assert "Broker there is no paper Kite server" in words(tara.get(START))


@pytest.mark.parametrize("url", [START, HELP])
def test_a_stranger_is_sent_to_the_login(db: None, url: str):
    assert Client().get(url)["Location"].startswith("/admin/login/")


def test_help_has_every_control_and_word_as_they_are_said_elsewhere(db: None, tara: Client):
    page = tara.get(HELP)

    text = words(page)
    assert all(f'id="{control.code}"' in page.content.decode() for control in RULES)
    assert all(strip_tags(control.sentence).replace("'", "&#x27;") in text for control in RULES)
    table = README.read_text().split("## The words")[1].split("##")[0]
    assert [tuple(cell.strip() for cell in row.split("|")[1:3]) for row in table.splitlines() if "|" in row][2:] == [
        *WORDS
    ]


def test_the_values_of_the_limits_are_for_who_may_see_them(db: None, tara: Client):
    assert "max trades a day 10" in words(tara.get(HELP))

    assert "max trades a day 10" not in words(person("sam").get(HELP))


def test_the_sidebar_offers_what_may_be_opened(desk: Desk, tara: Client):
    assert f'href="{START}"' in tara.get("/admin/").content.decode()
    page = person("sam").get("/admin/").content.decode()

    assert f'href="{START}"' not in page
    assert f'href="{HELP}"' in page


@pytest.mark.parametrize(
    ("left", "told"),
    [
        (timedelta(hours=5, minutes=12, seconds=3), {"tone": "good", "left": "5 h 12 min"}),
        (timedelta(minutes=30), {"tone": "good", "left": "30 min"}),
        (timedelta(minutes=29, seconds=59), {"tone": "warning", "left": "29 min"}),
        (timedelta(0), {"tone": "bad", "left": ""}),
    ],
)
def test_the_strip_counts_the_login_down(db: None, left: timedelta, told: dict[str, str]):
    now = timezone.now()
    BrokerSession.objects.create(mode=Mode.LIVE, valid_until=now + left)

    assert login_left(now) == told


def test_a_refused_login_is_none(db: None):
    now = timezone.now()
    BrokerSession.objects.create(mode=Mode.LIVE, valid_until=now + timedelta(hours=1), refused_at=now)

    assert login_left(now)["tone"] == "bad"


def test_the_strip_leads_to_the_login_when_there_is_none(db: None, tara: Client, settings: Any):
    assert "Kite" not in words(tara.get("/admin/risk/tradingcontrol/status-strip/"))
    settings.TRADING_MODE = "LIVE"

    answer = tara.get("/admin/risk/tradingcontrol/status-strip/")

    assert "Kite log in" in words(answer)
    assert '<a class="desk-strip-item desk-bad" href="/admin/orders/brokersession/">Kite' in answer.content.decode()


def test_stop_stands_on_every_page_of_who_may_stop(desk: Desk, tara: Client):
    control = TradingControl.objects.get(mode=desk.mode)
    stop = f'hx-get="{reverse("admin:risk_tradingcontrol_halt", args=[control.pk])}"'

    for url in ("/admin/", "/admin/orders/order/", HELP, START):
        assert tara.get(url).content.decode().count(stop) == 1, url
    assert stop not in person("sam", "view_order").get("/admin/").content.decode()
