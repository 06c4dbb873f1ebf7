"""The audit trail's pages: what happened to a row, who did it and why, and whether all of it is sealed."""

from __future__ import annotations

import logging
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client, override_settings
from django.urls import path, reverse
from django.utils import timezone

from config.request_ids import HEADER, server_error
from config.urls import urlpatterns as pages
from orders.models import BrokerSession
from orders.roles import RISK_MANAGER, TRADER, VIEWER
from risk import limit_versions
from risk.admin.estimated import CappedPaginator, EstimatedPaginator
from risk.audit import sealing
from risk.models import AuditEntry, AuditSeal, Incident, RiskSettings, TradingControl
from tests.orders.admin.test_roles import holding

pytestmark = pytest.mark.django_db

LIST = "admin:risk_auditentry_changelist"


def read(client: Client, address: str, **query: object) -> str:
    answer = client.get(address, query)
    assert answer.status_code == 200, answer
    return answer.content.decode()


def test_the_trail_of_an_order_is_a_link_away_and_says_who_and_from_what_to_what(tara, resting):
    order = resting()
    link = f"{reverse(LIST)}?table=orders_order&amp;row_pk__exact={order.pk}"

    of_the_order = read(tara, reverse("admin:orders_order_change", args=[order.pk]))
    trail = read(tara, reverse(LIST), table="orders_order", row_pk__exact=order.pk)

    assert link in of_the_order
    assert "<s>PENDING</s>" in trail
    assert "<b>SUBMITTING</b>" in trail
    assert "command line: " in trail


def test_the_trail_is_narrowed_by_who_exactly_and_by_days_with_all_of_the_last_one(act, tara):
    act("risk_tradingcontrol_halt", TradingControl.objects.get(mode="PAPER"), reason="fat finger")
    today = timezone.localdate()

    assert "fat finger" in read(tara, reverse(LIST), who="tara")
    assert "fat finger" not in read(tara, reverse(LIST), who="tar")
    assert "fat finger" in read(tara, reverse(LIST), at_from=today, at_to=today)
    assert "fat finger" not in read(tara, reverse(LIST), at_to=today - timedelta(days=1))
    assert "fat finger" not in read(tara, reverse(LIST), at_from=today + timedelta(days=1))


def test_what_an_action_changes_is_its_users_for_the_reason_given_in_that_request(act, tara):
    answer = act("risk_tradingcontrol_halt", TradingControl.objects.get(mode="PAPER"), reason="fat finger")

    entry = AuditEntry.objects.filter(table_name="risk_tradingcontrol").latest("id")
    assert (entry.actor, entry.reason) == ("tara", "fat finger")
    assert entry.request_id == answer.headers[HEADER]


def test_the_next_request_of_the_same_thread_is_the_next_users(tara, act):
    act("risk_tradingcontrol_halt", TradingControl.objects.get(mode="PAPER"), reason="fat finger")
    Client().post(reverse("admin:login"), {"username": "tara", "password": "wrong"})
    RiskSettings.objects.update(positions_max=3)
    User.objects.create_superuser("omar", password="a long password")
    omar = Client()
    omar.post(reverse("admin:login"), {"username": "omar", "password": "a long password"})
    url = reverse("admin:auth_group_add")
    omar.post(url, {"name": "Traders"})

    entries = AuditEntry.objects.order_by("id")
    assert entries.filter(table_name="risk_risksettings").last().actor.startswith("command line: ")
    by_omar = entries.filter(table_name="auth_group").last()
    assert (by_omar.actor, by_omar.reason) == ("omar", "")


def test_an_id_of_an_order_a_row_or_a_request_finds_its_entries(tara, resting, act):
    order = resting()
    request = act("risk_tradingcontrol_halt", TradingControl.objects.get(mode="PAPER"), reason="x").headers[HEADER]

    for term in (order.client_order_id, order.broker_order_id, str(order.pk)):
        assert "<s>PENDING</s>" in read(tara, reverse(LIST), q=term), term
    assert "<b>HALTED</b>" in read(tara, reverse(LIST), q=request)
    assert "<s>PENDING</s>" not in read(tara, reverse(LIST), q="99999999")


def test_an_entry_shows_the_whole_change_with_exact_prices(tara, resting):
    order = resting()
    entry = AuditEntry.objects.filter(table_name="orders_order", operation="INSERT").latest("id")

    page = read(tara, reverse("admin:risk_auditentry_change", args=[entry.pk]))

    assert entry.changes["price"] == Decimal("1390.0000")
    assert isinstance(entry.changes["price"], Decimal)
    assert "<td>1390</td>" in page
    assert reverse("admin:orders_order_change", args=[order.pk]) in page


def test_a_secret_is_on_no_page_of_the_trail(tara):
    BrokerSession.objects.create(mode="PAPER", access_token="nobody may see")
    entry = AuditEntry.objects.filter(table_name="orders_brokersession").latest("id")

    page = read(tara, reverse("admin:risk_auditentry_change", args=[entry.pk]))

    assert "Access token" in page
    assert "nobody may see" not in page


def test_the_trail_of_the_limits_is_linked_from_their_page(tara):
    page = read(tara, reverse("admin:risk_risksettings_change", args=[1]))

    assert f"{reverse(LIST)}?table=risk_risksettings" in page


def test_the_reason_of_a_limits_version_is_in_the_trail(tara):
    now = timezone.now()
    edited = limit_versions.in_force(now=now)
    edited.daily_trades_max -= 1
    limit_versions.save(edited, ["daily_trades_max"], by="rita", reason="a calm day", now=now)

    page = read(tara, reverse(LIST), table="risk_risksettings")

    assert "a calm day" in page
    assert "daily trades max" in page


def test_the_page_says_when_a_protection_is_missing(tara):
    assert "not protected" not in read(tara, reverse(LIST))
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE orders_order DISABLE TRIGGER audit_entry")

    assert "the trigger audit_entry of orders_order" in read(tara, reverse(LIST))


def test_the_head_of_the_last_seal_is_on_the_page(tara):
    assert "Nothing is sealed yet" in read(tara, reverse(LIST))
    link = AuditSeal(at=timezone.now(), first_entry=1, last_entry=2, count=2, from_transaction=0, up_to_transaction=9)
    link.entries, link.previous = b"", sealing.BEGINNING
    link.digest = sealing._digest(link)
    link.save()

    assert link.digest in read(tara, reverse(LIST))
    assert link.digest in read(tara, reverse("admin:risk_auditseal_changelist"))
    assert link.digest in read(tara, reverse("admin:risk_auditseal_change", args=[link.pk]))


def test_a_long_trail_is_not_counted(tara, monkeypatch):
    monkeypatch.setattr(CappedPaginator, "counted_max", 3)
    now = timezone.now()
    for number in range(6):
        Incident.objects.open(Incident.Kind.SIGNAL_GAP, mode="PAPER", title="x", subject=str(number), now=now)

    of_incidents = EstimatedPaginator(AuditEntry.objects.filter(table_name="risk_incident"), 50)
    few = EstimatedPaginator(AuditEntry.objects.filter(table_name="risk_incident", row_pk="0"), 50)
    of_all = EstimatedPaginator(AuditEntry.objects.all(), 50)

    assert (of_incidents.count, few.count) == (3, 0)
    assert of_all.count >= 4


# --- Requests --------------------------------------------------------------------------------------------------------


def fails(request: object) -> None:
    logging.getLogger("some.view").error("about to fail")
    raise ZeroDivisionError


urlpatterns = [*pages, path("fails", fails)]
handler500 = server_error


@override_settings(ROOT_URLCONF=__name__)
def test_an_error_page_names_the_request_by_which_the_log_tells_of_it(tara, capsys):
    tara.raise_request_exception = False

    answer = tara.get("/fails")

    assert answer.status_code == 500
    assert answer.headers[HEADER] in answer.content.decode()
    assert "ZeroDivisionError" not in answer.content.decode()


def test_every_request_has_an_id_of_its_own_whatever_the_visitor_sends(tara):
    answers = [tara.get(reverse("admin:index"), headers={HEADER: "mine"}) for _ in range(2)]

    ids = {answer.headers[HEADER] for answer in answers}
    assert len(ids) == 2
    assert all(len(each) == 32 for each in ids)


@pytest.mark.parametrize(("role", "status"), [(VIEWER, 302), (TRADER, 302), (RISK_MANAGER, 200)])
def test_people_in_the_trail_are_shown_to_who_may_look_at_people(role, status):
    User.objects.create_superuser("omar", email="omar@example.com", password="a long password")
    entry = AuditEntry.objects.get(table_name="auth_user", operation="INSERT", row_pk=User.objects.latest("pk").pk)
    reader = holding("nina", role)

    listed = read(reader, reverse(LIST))
    its_page = reader.get(reverse("admin:risk_auditentry_change", args=[entry.pk]))

    assert its_page.status_code == status
    assert (reverse("admin:risk_auditentry_change", args=[entry.pk]) in listed) == (status == 200)
    assert ('value="auth_user"' in listed) == (status == 200)
