"""Lists as files: the rows that the filters let through, exact, harmless, and in constant memory."""

from __future__ import annotations

import csv
import io

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from openpyxl import load_workbook

from orders.admin import export
from orders.admin.blotter import OrderAdmin
from orders.models import Order
from tests.orders.together import direct_connection
from tests.risk.admin.staff import person

LISTS = ("orders_order", "orders_fill", "orders_signal", "orders_decision", "orders_position", "risk_incident")


def exported(client, kind="csv", name="orders_order", **asked):
    return client.get(reverse(f"admin:{name}_export_{kind}"), asked)


def lines(answer):
    return list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))


def sheet(answer):
    book = load_workbook(io.BytesIO(b"".join(answer.streaming_content)))
    return [list(row) for row in book.active.values]


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_every_list_has_its_files(tara, follow, received, name, kind):
    follow(received(signal_id="story-1"))
    link = reverse(f"admin:{name}_export_{kind}")

    answer = exported(tara, kind, name, mode="all")
    found = lines(answer) if kind == "csv" else sheet(answer)

    assert answer["Content-Disposition"].startswith("attachment")
    assert link in tara.get(reverse(f"admin:{name}_changelist")).content.decode()
    assert len(found) == (1 if name == "risk_incident" else 2)
    assert len({len(row) for row in found}) == 1


def test_the_file_has_what_the_list_shows(tara, resting):
    kept, other = resting(symbol="INFY"), resting(symbol="RELIANCE")
    url = reverse("admin:orders_order_changelist")

    page = tara.get(url, {"of_symbol": "INFY"})
    [heads, row] = lines(exported(tara, of_symbol="INFY"))

    told = dict(zip(heads, row, strict=True))
    assert (told["Our id"], told["Limit price (₹)"]) == (kept.client_order_id, "1390.0000")
    assert told["Created"] == kept.created_at.astimezone(export.IST).isoformat(timespec="milliseconds")
    assert page.context["exports"][0][1].endswith("?of_symbol=INFY")
    assert lines(exported(tara, q=other.client_order_id))[1][3] == other.client_order_id
    assert len(lines(exported(tara, view="filled"))) == 1


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_a_formula_and_odd_characters_of_a_reason_stay_text(tara, resting, kind):
    order = resting()
    Order.objects.filter(pk=order.pk).update(status_reason="=cmd|' /C calc'!A0\x07 ₹")

    answer = exported(tara, kind)
    heads, row = lines(answer) if kind == "csv" else sheet(answer)

    assert row[heads.index("Reason")].startswith("'=cmd|' /C calc'!A0")


def test_a_number_stays_a_number_for_excel(tara, resting):
    resting()

    heads, row = sheet(exported(tara, "xlsx"))

    assert row[heads.index("Limit price (₹)")] == 1390
    assert row[heads.index("Quantity (shares)")] == 1


@pytest.mark.parametrize(("rows", "cut"), [(2, False), (3, True)])
def test_a_sheet_is_cut_where_it_would_be_too_long_and_says_so(tara, resting, monkeypatch, rows, cut):
    monkeypatch.setattr(export, "XLSX_ROWS_MAX", 2)
    for _ in range(rows):
        resting()

    found = sheet(exported(tara, "xlsx"))

    assert len(found) == (4 if cut else 3)
    assert ("Cut here" in str(found[-1][0])) is cut


@pytest.fixture
def five(resting):
    """Five orders that rest, newest last."""
    return [resting(symbol=symbol) for symbol in ("INFY", "RELIANCE", "RELIANCE", "INFY", "RELIANCE")]


def test_a_file_is_written_in_pieces_as_the_rows_come(tara, five, monkeypatch):
    monkeypatch.setattr(export, "CHUNK_ROWS", 2)

    with CaptureQueriesContext(connection) as captured:
        pieces = list(exported(tara).streaming_content)

    copied = [query["sql"] for query in captured if query["sql"].startswith("COPY")]
    assert [piece.count(b"\r\n") for piece in pieces] == [1, 2, 2, 1]  # the heads, which wait for nothing, and the rows
    assert len(copied) == 3


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_what_can_have_no_rows_at_all_is_a_file_of_its_heads(tara, five, monkeypatch, kind):
    """Django makes no statement of such a question."""
    monkeypatch.setattr(OrderAdmin, "get_queryset", lambda *_: Order.objects.none())

    answer = exported(tara, kind)

    [heads] = lines(answer) if kind == "csv" else sheet(answer)
    assert "Our id" in heads


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
@pytest.mark.parametrize(
    "order", ["", "3", "-3", "3.-0", "6"]
)  # none, by symbol and by price, which all have in common
def test_the_rows_come_in_the_order_of_the_list_across_its_pieces(tara, five, monkeypatch, kind, order):
    asked = {"o": order} if order else {}
    listed = tara.get(reverse("admin:orders_order_changelist"), asked).context["cl"].result_list
    monkeypatch.setattr(export, "CHUNK_ROWS", 2)

    heads, *found = lines(exported(tara, **asked)) if kind == "csv" else sheet(exported(tara, kind, **asked))

    assert [row[heads.index("Our id")] for row in found] == [each.client_order_id for each in listed]


def test_what_ends_or_begins_while_a_file_is_sent_is_told_once_at_most(tara, five, resting, monkeypatch):
    monkeypatch.setattr(export, "CHUNK_ROWS", 2)
    pieces = exported(tara, status__exact="OPEN").streaming_content
    sent = [next(pieces), next(pieces)]

    Order.objects.filter(pk=five[0].pk).update(status="CANCELLED")
    later = resting(symbol="INFY")
    told = b"".join([*sent, *pieces]).decode()

    assert [told.count(each.client_order_id) for each in five] == [0, 1, 1, 1, 1]
    assert later.client_order_id not in told


@pytest.mark.django_db(transaction=True)
def test_nothing_of_a_file_that_is_half_sent_is_held_in_the_database(five, monkeypatch):
    monkeypatch.setattr(export, "CHUNK_ROWS", 2)
    pieces = exported(person("tom", superuser=True)).streaming_content
    for _ in range(2):
        next(pieces)

    with direct_connection() as database:
        asked = "SELECT state, backend_xmin, xact_start FROM pg_stat_activity WHERE pid = %s"
        [found] = database.execute(asked, [connection.connection.info.backend_pid]).fetchall()

    assert found == ("idle", None, None)
    assert len(list(pieces)) == 2


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_an_export_needs_the_permission_and_a_view_of_the_list(resting, kind):
    resting()
    may = person("may", "view_order", "export_order")
    allowed = exported(may, kind)
    assert b"".join(allowed.streaming_content)

    assert exported(person("vera", "view_order"), kind).status_code == 403
    assert exported(person("ella", "export_order"), kind).status_code == 403
    assert allowed.status_code == 200
    assert exported(may, kind, "orders_fill").status_code == 403


def test_no_export_is_offered_without_the_permission(vera, resting):
    assert "/export/" not in vera.get(reverse("admin:orders_order_changelist")).content.decode()


def test_filters_that_make_no_sense_lead_back_to_the_list(tara, resting):
    answer = exported(tara, status__exact="\x00")

    assert answer.status_code == 302
    assert answer["Location"] == reverse("admin:orders_order_changelist")
