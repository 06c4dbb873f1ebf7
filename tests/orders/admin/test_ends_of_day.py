"""The end of day on its pages: what a report shows, its file, and who may take one."""

from __future__ import annotations

import csv
import io
import logging
from datetime import datetime, time, timedelta

import pytest
from django.test import Client
from django.urls import reverse

from orders.admin.export_text import harmless
from orders.broker.kite_rows import IST
from orders.models import EndOfDay
from risk.models import Mode
from tests.risk.admin.staff import SENT, person, told, traces

AT = datetime(2026, 11, 23, 15, 45, tzinfo=IST)


@pytest.fixture
def report(db) -> EndOfDay:
    return EndOfDay.objects.create(
        mode=Mode.PAPER,
        trading_date=AT.date(),
        taken_at=AT,
        taken_by="=cmd()",
        book_as_of=AT - timedelta(seconds=2),
        breaks=1,
        orders=2,
        fills=1,
        result="-1234567.5",
        figures={"result": "-1234567.50", "realised": "0.00", "unrealised": None, "charges": "3.36"},
        sections=[
            {"name": "breaks", "title": "Differences", "columns": ["What", "Ours"], "rows": [["=1+1", "@x"]]},
            {"name": "money", "title": "Money", "columns": ["What", "Amount"], "rows": [["Loss", {"inr": "-5.50"}]]},
            {"name": "incidents", "title": "Incidents", "columns": ["Since"], "rows": []},
            {"name": "staff", "title": "Staff", "columns": ["At", "No"], "rows": [[{"at": AT.isoformat()}, None]]},
        ],
    )


def page(client: Client, report: EndOfDay) -> str:
    return client.get(reverse("admin:orders_endofday_change", args=[report.pk])).content.decode()


def test_a_report_shows_amounts_as_rupees_and_times_in_mumbai(tara, report):
    shown = page(tara, report)

    assert "-₹12,34,567.50" in shown
    assert "-₹5.50" in shown
    assert "15:45:00" in shown
    assert "1 difference" in shown
    assert "not known" in shown  # the unrealised
    assert "There was none." in shown  # of the incidents


def test_a_report_says_what_came_after_it(tara, report, resting):
    assert "Made after it was taken" not in page(tara, report)

    order = resting()
    type(order).objects.filter(pk=order.pk).update(trading_date=report.trading_date)

    assert "1 order of the same date" in page(tara, report)


def test_the_file_is_streamed_and_has_every_row(vera, report):
    answer = vera.get(reverse("admin:orders_endofday_csv", args=[report.pk]))

    assert answer.streaming
    assert answer["Content-Disposition"] == 'attachment; filename="end-of-day-paper-2026-11-23.csv"'
    text = answer.getvalue().decode("utf-8-sig")
    found = list(csv.reader(io.StringIO(text)))
    assert found[0] == ["End of day", "PAPER", "2026-11-23"]
    assert found[1] == ["Taken", "2026-11-23T15:45:00+05:30", "by", "'=cmd()"]
    assert ["'=1+1", "'@x"] in found
    assert ["Loss", "-5.50"] in found
    assert ["2026-11-23T15:45:00+05:30", ""] in found


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\n=1"])
def test_no_cell_is_taken_for_a_formula(text):
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "BUY 1 RELIANCE at 1400", "a=b", "1-2"])
def test_other_text_is_left_as_it_is(text):
    assert harmless(text) == text


def test_the_file_is_for_who_may_see_the_report(report, caplog):
    caplog.set_level(logging.CRITICAL, logger="django.request")
    url = reverse("admin:orders_endofday_csv", args=[report.pk])

    assert person("sam").get(url).status_code == 403
    assert Client().get(url)["Location"].startswith(reverse("admin:login"))
    assert person("vic", "view_endofday").get(url.replace(str(report.pk), "999999")).status_code == 404


def test_a_report_is_taken_by_the_action(act, desk, settings):
    settings.END_OF_DAY_AT = time.min

    answer = act("orders_endofday_take", day=desk.today().isoformat())

    row = EndOfDay.objects.get()
    assert row.taken_by == "tara"
    assert answer["HX-Redirect"] == reverse("admin:orders_endofday_change", args=[row.pk])
    assert traces() == ["Taken: 0 differences."]


def test_a_second_one_is_refused_in_words(act, desk, settings):
    settings.END_OF_DAY_AT = time.min
    act("orders_endofday_take", day=desk.today().isoformat())

    answer = act("orders_endofday_take", day=desk.today().isoformat())

    assert "was taken already" in told(answer)
    assert EndOfDay.objects.count() == 1


def test_a_broker_that_is_away_is_told_and_nothing_is_kept(act, desk, settings, paper):
    settings.END_OF_DAY_AT = time.min
    paper.fault("orders", "error_503")

    act("orders_endofday_take", day=desk.today().isoformat())

    assert not EndOfDay.objects.exists()


def test_taking_one_needs_the_permission(desk, settings):
    settings.END_OF_DAY_AT = time.min
    url = reverse("admin:orders_endofday_take")
    day = desk.today().isoformat()

    assert person("vic", "view_endofday").post(url, {**SENT, "day": day}).status_code == 403
    assert person("rita", "view_endofday", "take_end_of_day").post(url, {**SENT, "day": day}).status_code == 302
    assert EndOfDay.objects.get().taken_by == "rita"
