"""Every page and every action that is registered: who may open it, and that opening it changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from axes.models import AccessAttempt, AccessLog
from django.apps import apps
from django.conf import settings as project_settings
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from orders.desk import Desk
from orders.inbox import Received, record
from orders.models import (
    Alert,
    ApiToken,
    EndOfDay,
    ExecutorHeartbeat,
    Fill,
    Flatten,
    GoingLiveStep,
    Holding,
    LineProof,
    Order,
    OrderEvent,
    Position,
    PositionDay,
    ShadowQuote,
    Signal,
)
from risk import approvals, calendar_approvals, four_eyes, limit_versions
from risk.calendar_edits import RowEdit
from risk.models import AuditSeal, CalendarYear, Incident, InstrumentLimit, LimitChange, RiskSettings
from tests.risk.admin.staff import SENT

PAGES = {model._meta.label: page for model, page in admin.site._registry.items()}


@pytest.fixture
def book(desk: Desk, resting: Any, held: Any, received: Any, follow: Any) -> None:
    """A row in every table of the project, made by its use cases."""
    follow(received(symbol="INFY"))
    record(desk, [Received(raw=b"not a signal", source=Signal.Source.CHANNEL)])
    held(2)
    resting(symbol="INFY")
    now = timezone.now()
    edited = limit_versions.in_force(now=timezone.now())
    edited.daily_trades_max -= 1
    limit_versions.save(edited, ["daily_trades_max"], by="rita", reason="fewer", now=now)
    limit_versions.save_instrument(
        InstrumentLimit(exchange="NSE", symbol="TCS", blocked=True), by="rita", reason="results", now=now
    )
    ask_for_more(now)
    selling = {"signal_type": "SELL", "cms_score": -75, "timestamp": (now - timedelta(hours=2)).isoformat()}
    follow(received(**selling))
    Incident.objects.open(
        Incident.Kind.EXIT_NOT_TAKEN, mode=desk.mode, subject="x", title="RELIANCE", symbol="RELIANCE", now=now
    )
    AccessAttempt.objects.create(username="mallory", ip_address="203.0.113.9", failures_since_start=5)
    AccessLog.objects.create(username="rita", ip_address="203.0.113.1")
    Holding.objects.create(
        mode=desk.mode,
        exchange="NSE",
        symbol="TCS",
        quantity=3,
        t1_quantity=1,
        average_price=3000,
        last_price=3100,
        close_price=3050,
        as_of=now,
    )
    EndOfDay.objects.create(
        mode=desk.mode,
        trading_date=desk.today(),
        taken_at=now,
        taken_by="executor",
        book_as_of=now,
        breaks=0,
        orders=2,
        fills=1,
        figures={},
        sections=[],
    )
    alert = {"kind": "HALTED", "source": "switch row 1", "title": "Trading is halted", "at": now, "noticed_at": now}
    Alert.objects.create(mode=desk.mode, **alert)
    # A seal closes over what has ended, and the transaction of a test never does.
    AuditSeal.objects.create(
        at=now,
        first_entry=1,
        last_entry=1,
        count=1,
        from_transaction=1,
        up_to_transaction=2,
        entries=b"",
        previous="0" * 64,
        digest="1" * 64,
    )
    lay_what_leads_to_live(desk, now)


def lay_what_leads_to_live(desk: Desk, now: datetime) -> None:
    ApiToken.objects.create(
        name="momentum", owner=User.objects.create_user("robot"), key_id="k", created_at=now, created_by="anna"
    )
    ExecutorHeartbeat.objects.create(mode=desk.mode, host="h", pid=1, backend_pid=2, started_at=now, beat_at=now)
    # Written down and over: one that is under way would close what the others of this book are about.
    over = {"state": Flatten.State.FLAT, "outcome": "nothing was open", "trading_date": desk.today()}
    of_reliance = {"exchange": "NSE", "symbol": "RELIANCE"}
    proof = LineProof.objects.create(
        mode=desk.mode, token="t", begun_at=now, begun_by="rita", ended_at=now, verdict="PROVED", **of_reliance
    )
    proof.stages.create(stage="LOGIN", at=now, passed=True, measured="logged in as PAPER1")
    ShadowQuote.objects.create(moment="CLOSE", trading_date=desk.today(), at=now, last_price=1400, **of_reliance)
    GoingLiveStep.objects.create(step="REHEARSE", said="OVERRIDDEN", at=now, by="rita", reason="elsewhere", facts={})
    Flatten.objects.create(
        mode=desk.mode, token="t", asked_by="rita", asked_at=now, reason="a rumour", while_halted=False, **over
    )


def ask_for_more(now: datetime) -> None:
    edited = limit_versions.in_force(now=now)
    edited.daily_trades_max += 1
    house = four_eyes.House.of(needs="second_person", mode="PAPER", ceilings={})
    rita = User.objects.create_user("rita")
    approvals.save(
        edited, ["daily_trades_max"], author=rita, reason="more", now=now, house=house, version_shown=edited.version
    )
    year = RowEdit.put(CalendarYear(year=2027, complete=True))
    author = calendar_approvals.Author.person(rita)
    calendar_approvals.change([year], what="2027 complete", author=author, reason="read", now=now, house=house)


def everything_stored() -> dict[str, list[Any]]:
    """Return every row of the project and of the admin's log."""
    models = [*apps.get_app_config("orders").get_models(), *apps.get_app_config("risk").get_models()]
    models += [apps.get_model("auth.User"), apps.get_model("auth.Group"), apps.get_model("admin.LogEntry")]
    rows = {model._meta.label: list(model._default_manager.order_by("pk").values()) for model in models}
    for user in rows["auth.User"]:
        del user["last_login"]
    return rows


def action_urls() -> Iterator[str]:
    for model, page in admin.site._registry.items():
        row = model._default_manager.first()
        for each in page._get_base_actions_list():
            yield reverse(f"admin:{each.action_name}")
        for each in (*page._get_base_actions_detail(), *page._get_base_actions_row()):
            assert row is not None, f"the book has no {model._meta.label} to act on"
            yield reverse(f"admin:{each.action_name}", args=[row.pk])


def page_urls() -> Iterator[tuple[str, str]]:
    """Yield (kind, address) of each page of each model."""
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        row = model._default_manager.order_by("pk").first()
        yield "list", reverse(f"{name}_changelist")
        yield "add", reverse(f"{name}_add")
        if row is not None:
            for kind in ("change", "history", "delete"):
                yield kind, reverse(f"{name}_{kind}", args=[row.pk])


def test_a_viewer_sees_every_page_and_changes_nothing(book, vera):
    stored = everything_stored()
    addresses, reads = list(page_urls()), {"list", "history"}
    # Whoever sees these may make them: an administrator.
    hidden = [each for each in addresses if "/apitoken/" in each[1]]
    addresses = [each for each in addresses if each not in hidden]
    assert {vera.get(url).status_code for _, url in hidden} == {403}

    answers = {(kind, url): vera.get(url).status_code for kind, url in addresses}
    posts = {(kind, url): vera.post(url, {"post": "yes"}).status_code for kind, url in addresses if kind not in reads}

    for (kind, url), status in answers.items():
        assert status in ({403} if kind in {"add", "delete"} else {200, 302}), f"{kind} {url}"
    assert set(posts.values()) == {403}, posts
    assert everything_stored() == stored


def test_a_viewer_may_not_act(book, vera):
    stored = everything_stored()
    urls = list(action_urls())

    answers = {url: (vera.get(url).status_code, vera.post(url, SENT).status_code) for url in urls}

    assert len(urls) >= 12
    assert set(answers.values()) == {(403, 403)}, answers
    assert everything_stored() == stored


def test_a_viewer_is_not_offered_any_action(book, vera):
    order = Order.objects.filter(status="OPEN").get()

    page = vera.get(reverse("admin:orders_order_change", args=[order.pk])).content.decode()

    assert "Cancel order" not in page
    assert "Mark filled" not in page


def test_a_viewer_cannot_cancel_through_the_list(book, vera):
    order = Order.objects.filter(status="OPEN").get()
    stored = everything_stored()

    vera.post(
        reverse("admin:orders_order_changelist"),
        {"action": "cancel_selected", "_selected_action": order.pk, "confirmed": "yes", "reason": "x", **SENT},
    )

    assert everything_stored() == stored


def test_a_stranger_is_sent_to_the_login(book):
    stored = everything_stored()
    stranger = Client()
    urls = [*(url for _, url in page_urls()), *action_urls()]

    answers = [answer for url in urls for answer in (stranger.get(url), stranger.post(url, SENT))]

    assert {answer.status_code for answer in answers} == {302}
    assert all(answer["Location"].startswith(reverse("admin:login")) for answer in answers)
    assert everything_stored() == stored


def test_opening_an_action_changes_nothing(book, tara):
    stored = everything_stored()

    answers = {url: tara.get(url).status_code for url in action_urls()}

    assert set(answers.values()) <= {200, 403}
    assert [url for url, status in answers.items() if status == 403] == [url for url in answers if "arm_live" in url]
    assert everything_stored() == stored


def test_a_dialog_without_its_fields_is_shown_again(book, tara):
    stored = everything_stored()

    for url in action_urls():
        tara.post(url, {"something": "else"})

    assert everything_stored() == stored


def test_an_action_without_the_token_of_its_page_is_refused(book, tara):
    tara.handler.enforce_csrf_checks = True
    stored = everything_stored()

    answers = {tara.post(url, SENT).status_code for url in action_urls()}

    assert answers == {403}
    assert everything_stored() == stored


def test_every_action_names_a_permission_that_exists(db):
    known = {
        f"{each.content_type.app_label}.{each.codename}" for each in Permission.objects.select_related("content_type")
    }
    pages = admin.site._registry.values()
    actions = [each for page in pages for each in (*page._get_base_actions_list(), *page._get_base_actions_detail())]

    for each in actions:
        dotted = {permission for permission in each.method.allowed_permissions if "." in permission}
        assert dotted, f"{each.action_name} is open to every member of staff"
        assert dotted <= known
        assert each.dialog, f"{each.action_name} would act on GET"


def test_no_request_runs_inside_a_transaction():
    assert not project_settings.DATABASES["default"].get("ATOMIC_REQUESTS", False)


def test_the_pages_can_be_checked_before_there_is_a_database(db, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert admin.site.check(None) == []


def test_the_broker_token_is_shown_nowhere(book, tara, desk):
    desk.vault.keep("a-token-nobody-may-see", user_id="AB1234", now=timezone.now())
    kept = desk.vault.row().access_token

    pages = [tara.get(url).content.decode() for url in (reverse("admin:orders_brokersession_changelist"),)]
    pages.append(tara.get(reverse("admin:orders_brokersession_change", args=[desk.vault.row().pk])).content.decode())

    assert not any("a-token-nobody-may-see" in page or kept in page for page in pages)


def test_odd_bytes_are_readable(desk, tara):
    raw = b"\xff\xfe\x00\x1b[31m \xe2\x80\xae <script>alert(1)</script> \xf0\x9f\x92\xa3"
    record(desk, [Received(raw=raw, source=Signal.Source.CHANNEL)])
    row = Signal.objects.get()

    page = tara.get(reverse("admin:orders_signal_change", args=[row.pk])).content.decode()
    listed = tara.get(reverse("admin:orders_signal_changelist"))

    assert listed.status_code == 200
    assert "\\xff\\xfe\\x00\\x1b[31m \\x202e &lt;script&gt;alert(1)&lt;/script&gt; 💣" in page
    assert "\x00" not in page


def queries_of(client: Client, url: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(url).status_code == 200
    return len(captured)


def clone(model: Any, times: int, change: Callable[[Any, int], None]) -> None:
    for number in range(times):
        row = model.objects.order_by("pk").last()
        row.pk = None
        change(row, number)
        row.save(force_insert=True)


def test_a_list_asks_no_more_for_thirty_rows_than_for_three(book, tara):
    lists = [
        reverse(f"admin:orders_{name}_changelist") for name in ("order", "signal", "fill", "decision", "position")
    ] + [
        reverse("admin:risk_incident_changelist"),
        reverse("admin:orders_missedexit_changelist"),
        reverse("admin:risk_limitchange_changelist"),
        reverse("admin:orders_alert_changelist"),
    ]
    for url in lists:
        tara.get(url)  # what is cached once per process is cached now
    few = {url: queries_of(tara, url) for url in lists}

    signal = Signal.objects.filter(orders__isnull=False).get()
    clone(Signal, 30, lambda row, n: setattr(row, "signal_id", f"clone-{n}"))
    for number, decided in enumerate(Signal.objects.filter(signal_id__startswith="clone-")):
        order = Order.objects.filter(signal=signal).get()
        order.pk, order.signal, order.decision = None, decided, None
        order.client_order_id, order.broker_order_id = f"CLONE{number}", f"SIM{number}"
        order.save(force_insert=True)
    clone(Fill, 30, lambda row, n: setattr(row, "trade_id", f"clone-{n}"))
    clone(apps.get_model("orders.Decision"), 30, lambda row, n: None)
    clone(apps.get_model("orders.Position"), 30, lambda row, n: setattr(row, "symbol", f"S{n}"))
    for day in PositionDay.objects.all():  # each has its own, as the ledger writes it
        for position in Position.objects.filter(day__isnull=True):
            day.position = position
            day.reckoned_at = position.updated_at
            day.save(force_insert=True)
    LimitChange.objects.update(status="WITHDRAWN")
    clone(LimitChange, 30, lambda row, n: None)
    clone(Incident, 30, lambda row, n: setattr(row, "fingerprint", f"clone-{n}"))
    clone(Alert, 30, lambda row, n: setattr(row, "source", f"clone-{n}"))

    many = {url: queries_of(tara, url) for url in lists}
    assert many == few
    assert max(many.values()) <= 12, many


def test_an_order_page_asks_no_more_for_thirty_events_than_for_three(book, tara):
    order = Order.objects.filter(status="OPEN").get()
    url = reverse("admin:orders_order_change", args=[order.pk])
    tara.get(url)
    few = queries_of(tara, url)

    clone(OrderEvent, 30, lambda row, n: setattr(row, "order", order))

    assert queries_of(tara, url) == few


def test_only_one_row_of_limits_has_a_page(book, tara):
    assert RiskSettings.objects.count() == 1
    assert tara.get(reverse("admin:risk_risksettings_changelist"))["Location"].endswith("/1/change/")
    assert tara.get(reverse("admin:risk_risksettings_add")).status_code == 403


def test_times_are_shown_in_mumbai(book, tara):
    order = Order.objects.filter(status="OPEN").get()
    local = order.created_at + timedelta(hours=5, minutes=30)

    page = tara.get(reverse("admin:orders_order_changelist")).content.decode()

    assert f"{local:%H:%M:%S}" in page


@pytest.mark.parametrize(
    "page",
    [
        "orders_order_change",
        "orders_order_cancel",
        "orders_position_exit",
        "risk_incident_change",
        "risk_limitchange_change",
        "risk_limitchange_approve",
        "risk_tradingcontrol_halt",
    ],
)
def test_an_address_with_no_id_in_it_is_no_page_and_no_error(tara, page):
    answer = tara.get(reverse(f"admin:{page}", args=["abc"]))

    assert answer.status_code in {200, 302, 404}


def test_the_brokers_token_cannot_be_probed_through_a_filter(tara):
    answer = tara.get(reverse("admin:orders_brokersession_changelist"), {"access_token__startswith": "g"})

    assert answer.status_code in {302, 400}


@pytest.mark.parametrize("listed", ["orders_order", "orders_signal", "risk_incident"])
def test_a_filter_that_no_text_can_be_leads_back_to_the_list(tara, listed):
    answer = tara.get(reverse(f"admin:{listed}_changelist"), {"status__exact": "\x00"})

    assert answer.status_code == 302
