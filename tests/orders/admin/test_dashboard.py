"""The first page: what it shows of rows, to whom, how old it says that is, and what it costs on a busy day."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.html import strip_tags

from orders.desk import Desk, trading_date
from orders.models import DayPoint, Decision, Order, OrderEvent, Signal
from orders.observations import keep_day_point
from risk.models import Incident, RiskSettings
from tests.risk.admin.staff import person

PAGE, LIVE, USED, MORE = "/admin/", "/admin/dashboard/live/", "/admin/dashboard/used/", "/admin/dashboard/more/"
CHARTS = "/admin/dashboard/charts/"
BUSY = 5000


def words(client: Client, url: str = LIVE) -> str:
    answer = client.get(url)
    assert answer.status_code == 200
    return " ".join(strip_tags(answer.content.decode()).split())


@pytest.fixture
def day(desk: Desk, held: Any, resting: Any, follow: Any, received: Any) -> Desk:
    """One filled and one resting order, one signal denied, one ignored, one incident, ₹20 gained."""
    held(2)
    resting(symbol="INFY")
    follow(received(symbol="INFY", cms_score=5))
    RiskSettings.objects.update(daily_trades_max=2)
    follow(received(symbol="INFY"))
    Incident.objects.open(
        Incident.Kind.SIGNAL_GAP,
        mode=desk.mode,
        title="Three signals are missing",
        what_to_do="Ask the publisher for them.",
        now=desk.clock(),
    )
    keep_day_point(desk)
    DayPoint.objects.update(realised=Decimal(5), unrealised=Decimal(20), charges=Decimal("3.36"))
    return desk


@pytest.mark.parametrize("url", [PAGE, LIVE])
def test_the_day_is_told_from_rows(day: Desk, tara: Client, url: str):
    page = words(tara, url)

    assert "Result of the day +₹21.64 realised +₹5.00 · unrealised +₹20.00 · charges ₹3.36" in page
    assert "Exposure ₹4,190.00 2 symbols, working orders counted as filled" in page
    assert "Orders today 2 1 filled · 1 working · 0 rejected" in page
    assert "In doubt 0 every answer is known" in page
    assert "Signals today 2 0 approved · 1 ignored · 0 expired" in page
    assert "Denied today 1 most by: Trades of the day" in page
    assert f"As of {timezone.localtime():%H:%M}" in page


def test_limits_orders_and_incidents_are_told_from_rows(day: Desk, tara: Client):
    page = words(tara, USED) + words(tara, MORE)

    assert "Trades of the day 2 of 2 orders" in page
    assert "Gross exposure ₹4,190.00 of" in page
    assert "Three signals are missing Ask the publisher for them." in page
    assert "BUY 1 INFY ₹1,390.00 0 / 1" in page


def test_what_is_full_is_told_by_the_gauge_too(day: Desk, tara: Client):
    page = tara.get(USED).content.decode()

    assert re.search(r'<meter [^>]*value="100"[^>]*aria-label="Trades of the day : 2 of 2 orders"', page)
    assert page.count("<meter ") == 14


def test_limits_are_told_as_they_hold_under_the_ceilings(day: Desk, tara: Client, settings: Any):
    """One that a ceiling was lowered below is only written down at the next start."""
    settings.LIMIT_CEILINGS = {"daily_trades_max": 1, "gross_exposure_max": Decimal(5000)}

    page, charts = words(tara, USED), tara.get(CHARTS).json()

    assert "Trades of the day 2 of 1 orders" in page
    assert "Gross exposure ₹4,190.00 of ₹5,000.00" in page
    assert [Decimal(limit) for limit in charts["limits"]] == [5000, 5000], "no position may be worth more than all"


def test_an_order_in_doubt_is_the_loudest(desk: Desk, in_doubt: Any, tara: Client):
    order = in_doubt()

    page = words(tara)

    assert page.index("1 in doubt") < page.index("Result of the day")
    assert order.client_order_id in page
    assert "In doubt 1 nothing is opened until the broker's book explains it" in page.replace("&#x27;", "'")


def test_a_result_that_nobody_renewed_says_how_old_it_is(day: Desk, tara: Client):
    assert "old ·" not in words(tara)
    DayPoint.objects.update(since=timezone.now() - timedelta(seconds=31), as_of=timezone.now() - timedelta(seconds=31))

    page = words(tara)

    if trading_date(timezone.now() - timedelta(seconds=31)) == trading_date(timezone.now()):
        assert "31 s old · realised +₹5.00" in page


def test_an_empty_day_says_what_to_do(desk: Desk, tara: Client):
    page = words(tara) + words(tara, USED) + words(tara, MORE)

    assert "Result of the day – No executor has reckoned it today, or a price is not known." in page
    assert "There are no orders yet. Turn auto-trading on and send a signal, or place one by hand." in page
    assert "Nothing happened that a person must look at." in page
    assert "Loss of the day not known of ₹1,000.00" in page


def test_a_desk_without_a_broker_says_so(db: None, tara: Client, settings: Any):
    settings.PAPER_KITE_URL = ""

    assert "There is no broker to speak to: there is no paper Kite server" in words(tara)
    assert tara.get(PAGE).status_code == 200
    assert tara.get(CHARTS).status_code == 503


def test_the_charts_have_their_numbers(day: Desk, tara: Client):
    told = tara.get(CHARTS).json()

    assert [Decimal(worth) for worth in told["worth"]] == [2800, 1390]
    assert told["symbols"] == ["RELIANCE", "INFY"]
    assert [Decimal(limit) for limit in told["limits"]] == [100_000, 100_000], "the ceiling: what is stored is wider"
    assert told["left_out"] == 0
    assert Decimal(told["loss_limit"]) == -1000
    (at, result), *_ = told["result"]
    assert Decimal(result) == Decimal("21.64")
    assert abs(at - timezone.now().timestamp() * 1000) < 60_000


def test_a_line_has_both_ends_of_what_stayed_the_same(day: Desk, tara: Client):
    point = DayPoint.objects.get()
    DayPoint.objects.update(as_of=point.since + timedelta(minutes=9))

    spots = tara.get(CHARTS).json()["result"]

    assert spots[1][0] - spots[0][0] == 9 * 60_000


PARTS = {
    "view_position": ("Result of the day", "Exposure ₹"),
    "view_order": ("Orders today", "In doubt", "Latency", "Last orders"),
    "view_signal": ("Signals today",),
    "view_decision": ("Denied today",),
    "view_risksettings": ("Limits used",),
    "view_incident": ("Last incidents",),
}


@pytest.mark.parametrize("permission", PARTS)
def test_what_a_person_may_not_view_is_left_out(day: Desk, permission: str):
    client = person("sam", permission)
    page = words(client) + words(client, USED) + words(client, MORE)

    for needed, parts in PARTS.items():
        for part in parts:
            assert (part in page) == (needed == permission), part
    assert client.get(CHARTS).status_code == (200 if permission == "view_position" else 403)
    assert ("chart-result" in client.get(PAGE).content.decode()) == (permission == "view_position")


def test_who_may_view_nothing_is_told_so(day: Desk):
    assert "Nothing here may be viewed with your permissions." in words(person("sam"))


@pytest.mark.parametrize("url", [LIVE, USED, MORE, CHARTS])
def test_a_stranger_gets_nothing_that_would_replace_the_page(db: None, url: str):
    answer = Client().get(url)

    assert (answer.status_code, answer.content) == (401, b"")


def test_what_renews_comes_with_the_rest_of_the_page_and_the_page_has_it_once(day: Desk, tara: Client):
    part, page = tara.get(LIVE).content.decode(), tara.get(PAGE).content.decode()

    assert 'id="dash-outcomes" class="dash-column" hx-swap-oob="true"' in part
    assert page.count('id="dash-outcomes"') == page.count('id="dash-more"') == 1
    assert 'hx-trigger="load, every' in page
    assert "load," not in tara.get(MORE).content.decode()
    assert "hx-swap-oob" not in page
    assert "<script>" not in page.replace("<script></script>", "")


def test_the_other_mode_is_not_shown(day: Desk, tara: Client):
    for model in (Order, Signal, Incident, DayPoint):
        model.objects.update(mode="LIVE")

    page = words(tara) + words(tara, MORE)

    assert "Orders today 0" in page
    assert "Signals today 0" in page
    assert "Nothing happened that a person must look at." in page


def multiply(row: Any, times: int, **expressions: str) -> None:
    """Copy a row in the database so many times; `n` counts the copies in the expressions."""
    columns = [field.column for field in row._meta.concrete_fields if not field.primary_key and not field.generated]
    values = ", ".join(expressions.get(column, f'"{column}"') for column in columns)
    table, names = row._meta.db_table, ", ".join(f'"{column}"' for column in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({names}) SELECT {values} FROM {table},"  # noqa: S608 - of the test's own words
            " generate_series(1, %s) n WHERE id = %s",
            [times, row.pk],
        )


@pytest.fixture
def busy(day: Desk) -> Desk:
    """A day of five thousand signals and orders, half as many denied, after twenty thousand orders of another day."""
    signal, order = Signal.objects.order_by("pk").last(), Order.objects.filter(status="FILLED").get()
    event = OrderEvent.objects.filter(order=order, before="SUBMITTING").first()
    multiply(signal, BUSY, signal_id="'busy-' || n")
    ids = {"client_order_id": "'BUSY' || n", "broker_order_id": "'SIMB' || n"}
    multiply(order, BUSY, **ids, signal_id=str(signal.pk), attempt="n", decision_id="NULL")
    ids = {"client_order_id": "'OLD' || n", "broker_order_id": "'SIMO' || n"}
    multiply(order, 4 * BUSY, **ids, trading_date="trading_date - 1 - n / 1000", decision_id="NULL")
    multiply(event, BUSY, order_id=f"{order.pk} + n")
    multiply(Decision.objects.filter(outcome="DENIED").get(), BUSY // 2)
    multiply(DayPoint.objects.get(), 1000, since="since - n * interval '1 second'")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return day


def measured(client: Client, url: str) -> tuple[list[dict[str, str]], float]:
    """Return the queries of a page, and the seconds that they took together."""
    client.get(url)  # what is cached once per process is cached now
    with CaptureQueriesContext(connection) as captured:
        assert client.get(url).status_code == 200
    return captured.captured_queries, sum(float(query["time"]) for query in captured.captured_queries)


def test_a_busy_day_is_shown_with_few_queries_that_use_indexes(busy: Desk, tara: Client):
    for url in (PAGE, LIVE, USED, MORE, CHARTS):
        queries, seconds = measured(tara, url)

        assert len(queries) <= 15, [query["sql"][:150] for query in queries]
        assert seconds < 0.5, sorted((query["time"], query["sql"][:200]) for query in queries)[-3:]
        for query in queries:
            assert "Seq Scan on orders_order " not in plan_of(query["sql"]), query["sql"]


def plan_of(query: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {query}")
        return "\n".join(line for (line,) in cursor.fetchall())
