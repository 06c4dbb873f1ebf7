"""The blotter's list: what each tab keeps, what is found by which id, and that none of it reads the whole table."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from orders.admin import order_views, palette
from orders.admin.blotter import OrderAdmin
from orders.admin.order_search import searched
from orders.admin.order_views import BY_KEY
from orders.desk import trading_date
from orders.models import Decision, Fill, Order
from risk.admin.estimated import CappedPaginator
from risk.models import Mode
from tests.risk.admin.staff import person

URL = reverse("admin:orders_order_changelist")
FILL_THE_TABLE = """
insert into orders_order (mode, client_order_id, broker_order_id, origin, attempt, created_by, exchange, symbol, side,
    product, order_type, quantity, is_exit, status, status_reason, broker_status, filled_quantity, trading_date,
    created_at, sender, cancel_requested_by, cancel_reason, cancel_answer, cancel_tries)
select 'PAPER', 'OLD' || n, 'SIMOLD' || n, 'AUTO', 1, 'tara', 'NSE', 'SYM' || n %% 50, 'BUY', 'CNC', 'LIMIT', 1, false,
    (array['FILLED', 'CANCELLED', 'REJECTED'])[1 + n %% 3], '', 'COMPLETE', 1, %s::date - n / 300,
    now(), '', '', '', '', 0
from generate_series(1, %s) as n
"""


def fill_the_table(rows: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("set local session_replication_role = replica")  # nothing of it is for the audit trail
        cursor.execute(FILL_THE_TABLE, [trading_date(timezone.now()) - timedelta(days=1), rows])
        cursor.execute("set local session_replication_role = origin")
        cursor.execute("analyze orders_order")


@pytest.fixture
def day(resting: Any, held: Any) -> dict[str, Order]:
    """An order of today in each of several states, one of a past day that is over, and one that is in doubt."""
    held(1)
    orders = {"filled": Order.objects.get(), "working": resting(symbol="INFY")}
    for name, status, days in (("rejected", "REJECTED", 0), ("past", "FILLED", 3), ("doubtful", "IN_DOUBT", 3)):
        order = Order.objects.get(pk=orders["working"].pk)
        order.pk, order.decision, order.status, order.created_by = None, None, status, "rita"
        order.client_order_id = order.broker_order_id = name.upper()
        order.trading_date -= timedelta(days=days)
        order.save(force_insert=True)
        orders[name] = order
    return orders


def listed(client: Client, orders: dict[str, Order], **asked: str) -> set[str]:
    page = client.get(URL, asked).content.decode()
    return {name for name, order in orders.items() if f"/orders/order/{order.pk}/change/" in page}


@pytest.mark.parametrize(
    ("view", "kept"),
    [
        ("", {"filled", "working", "rejected", "doubtful"}),  # what is unfinished is never of the past
        ("today", {"filled", "working", "rejected", "doubtful"}),
        ("working", {"working"}),
        ("in_doubt", {"doubtful"}),
        ("filled", {"filled"}),
        ("rejected", {"rejected"}),
        ("all", {"filled", "working", "rejected", "past", "doubtful"}),
        ("nonsense", {"filled", "working", "rejected", "doubtful"}),
    ],
)
def test_each_tab_keeps_its_orders(tara, day, view, kept):
    assert listed(tara, day, **({"view": view} if view else {})) == kept


def test_a_tab_counts_what_it_lists(tara, day):
    for key in BY_KEY:
        shown = len(listed(tara, day, view=key))
        assert order_views.counts(Mode.PAPER, "tara")[key] == shown, key
    assert order_views.counts(Mode.PAPER, "rita") == {
        "today": 4,
        "working": 1,
        "in_doubt": 1,
        "filled": 1,
        "rejected": 1,
        "mine": 2,
    }
    assert order_views.counts(Mode.LIVE, "rita")["today"] == 0


def test_mine_are_those_that_i_made(day):
    rita = person("rita", superuser=True)

    assert listed(rita, day, view="mine") == {"rejected", "doubtful"}


def test_a_date_or_a_search_is_of_any_day(tara, day):
    past = day["past"]

    assert listed(tara, day, q="PAST") == {"past"}
    assert listed(tara, day, trading_date_from=f"{past.trading_date:%Y-%m-%d}") == set(day)
    assert listed(tara, day, q="PAST", view="today") == set()


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ({"of_symbol": "infy"}, {"working", "rejected", "doubtful"}),
        ({"side__exact": "SELL"}, set()),
        ({"status__exact": "REJECTED"}, {"rejected"}),
        ({"strategy": "momentum"}, set()),
        ({"reason": "no such words"}, set()),
    ],
)
def test_each_filter_narrows_the_list(tara, day, asked, kept):
    assert listed(tara, day, **asked) == kept


def test_words_of_the_reason_are_found_in_any_case(tara, day):
    Order.objects.filter(pk=day["rejected"].pk).update(status_reason="Insufficient FUNDS: ₹12 short")

    assert listed(tara, day, reason="insufficient funds") == {"rejected"}


def test_the_denials_of_today_have_a_tab(tara, day):
    decision = Decision.objects.latest("id")
    for days in (0, 1):
        decision.pk, decision.outcome, decision.at = None, "DENIED", timezone.now() - timedelta(days=days)
        decision.save(force_insert=True)

    [tab] = [tab for tab in tara.get(URL).context["tabs"] if tab["title"] == "Denied today"]
    page = tara.get(tab["url"])

    assert tab["count"] == 1
    assert page.status_code == 200
    assert page.context["cl"].result_count == 1


def test_an_order_is_found_by_every_id_there_is_of_it(follow, received, settings):
    order = follow(received(signal_id="Story-1"))
    fill = Fill.objects.get(order=order)

    for wanted in (
        order.client_order_id,
        f" {order.client_order_id.lower()} ",
        order.broker_order_id,
        "Story-1",
        str(order.decision_id),
        fill.trade_id,
        "reliance",
    ):
        assert list(searched(Order.objects.all(), wanted)) == [order], wanted
    for other in ("story-1", order.client_order_id[:-1], "9" * 30, "²", "RELI"):
        assert list(searched(Order.objects.all(), other)) == [], other


def plans(captured: CaptureQueriesContext) -> str:
    """Return how the database would carry out each of the page's queries of orders."""
    said = []
    with connection.cursor() as cursor:
        for query in captured.captured_queries:
            if "orders_order" in query["sql"] and query["sql"].startswith(("SELECT", "(SELECT")):
                cursor.execute(f"explain {query['sql']}")
                said += [line for (line,) in cursor.fetchall()]
    return "\n".join(said)


def test_a_hundred_thousand_orders_are_listed_by_indexes_and_few_queries(tara, day):
    fill_the_table(100_000)
    asked = [*({"view": key} for key in BY_KEY), {"view": "all"}]
    asked += [{"q": each} for each in ("OLD77", "SIMOLD77", "no-such-signal", "123", "SYM7")]
    asked += [{"view": "all", "origin__exact": each} for each in ("MANUAL", "EXTERNAL")]  # of which there may be few
    asked += [{"view": "all", "o": f"{each}"} for each in range(1, len(OrderAdmin.list_display) + 1)]
    tara.get(URL)

    for each in asked:
        with CaptureQueriesContext(connection) as captured:
            assert tara.get(URL, each).status_code == 200
        assert len(captured) <= 15, each
        assert "Seq Scan on orders_order" not in (found := plans(captured)), f"{each}\n{found}"


EVERY_COLUMN = {
    "created",
    "ids",
    "side_shown",
    "symbol",
    "filled",
    "terms",
    "average",
    "status_badge",
    "wanted_by",
}
BY_TIME = {"created"}


@pytest.mark.parametrize(
    ("asked", "sorted_by"),
    [
        ({}, EVERY_COLUMN),
        ({"view": "filled"}, EVERY_COLUMN),
        ({"view": "all"}, BY_TIME),
        ({"view": "all", "of_symbol": " "}, BY_TIME),
        ({"view": "all", "of_symbol": "infy"}, EVERY_COLUMN),
        ({"q": "INFY"}, EVERY_COLUMN),
        ({"trading_date_from": "2020-01-01"}, BY_TIME),
        ({"trading_date_to": "2026-11-02"}, BY_TIME),
        ({"trading_date_from": "2026-10-02", "trading_date_to": "2026-11-02"}, EVERY_COLUMN),
        ({"trading_date_from": "2026-10-01", "trading_date_to": "2026-11-02"}, BY_TIME),
        ({"trading_date_from": "yesterday"}, BY_TIME),
    ],
)
def test_all_orders_there_ever_were_are_sorted_by_time_alone(tara, resting, asked, sorted_by):
    resting(symbol="INFY")
    changelist = tara.get(URL, asked).context["cl"]
    side = changelist.list_display.index("side_shown")

    by_side = tara.get(URL, {**asked, "o": f"-{side}"}).context["cl"].queryset.query.order_by

    assert {name for name in changelist.list_display if changelist.get_ordering_field(name)} == sorted_by
    assert by_side == (("-side", "-pk") if "side_shown" in sorted_by else ("-pk",))


def test_what_is_an_id_and_no_symbol_is_asked_for_by_the_id_alone(resting):
    """For an OR of both PostgreSQL goes back through all orders, by an index: no plan says that it scans."""
    order = resting()

    found = searched(Order.objects.all(), order.client_order_id)

    assert list(found) == [order]
    assert " OR " not in str(found.query)


def test_what_is_an_id_and_a_symbol_is_found_as_both(resting):
    same, _ = resting(symbol="INFY"), resting(symbol="RELIANCE")
    Order.objects.filter(pk=same.pk).update(broker_order_id="RELIANCE")

    assert set(searched(Order.objects.all(), "RELIANCE")) == {same, *Order.objects.filter(symbol="RELIANCE")}
    assert set(searched(Order.objects.filter(side="SELL"), "RELIANCE")) == set()


def test_a_long_list_says_that_it_is_longer_than_it_counts(tara, resting, monkeypatch):
    monkeypatch.setattr(CappedPaginator, "counted_max", 120)
    fill_the_table(121)

    page = tara.get(URL, {"view": "all"})

    assert page.context["cl"].result_count == 121
    assert "More than 120 orders" in page.content.decode()
    Order.objects.filter(client_order_id__in=["OLD1", "OLD2"]).delete()
    assert "More than 120 orders" not in tara.get(URL, {"view": "all"}).content.decode()


def found(client: Client, text: str) -> list[tuple[str, str]]:
    page = client.get(reverse("admin:search"), {"s": text, "extended": 1})
    return [(each.title, each.link) for each in page.context["results"].object_list] if page.context else []


def test_the_palette_finds_rows_by_exact_id_and_lists_by_symbol(tara, follow, received):
    order = follow(received(signal_id="Story-1"))
    url = reverse("admin:orders_order_change", args=[order.pk])

    for wanted in (order.client_order_id, order.broker_order_id, "Story-1", Fill.objects.get().trade_id):
        assert found(tara, wanted)[0] == (str(order), url), wanted
    assert ("Orders in RELIANCE", f"{URL}?q=RELIANCE") in found(tara, "reliance")


def test_the_palette_shows_nobody_what_he_may_not_see(follow, received):
    order = follow(received(signal_id="Story-1"))

    assert found(person("nina"), order.client_order_id) == []
    assert found(person("nils", "view_fill"), "RELIANCE") == [
        ("Fills in RELIANCE", f"{reverse('admin:orders_fill_changelist')}?q=RELIANCE")
    ]


def test_the_palette_stops_at_twenty(tara, resting, monkeypatch):
    resting()
    monkeypatch.setattr(palette, "FOUND_MAX", 2)

    assert len(found(tara, "RELIANCE")) == 2
