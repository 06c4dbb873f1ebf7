"""A long list gone through row by row, with what was known of it before, is what decoding all of it says."""

from __future__ import annotations

import io
import json
import math
from datetime import datetime
from types import SimpleNamespace
from unittest import mock

import pytest
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from orders.broker import kite_rows, rows_as_sent
from orders.broker.gateway import BrokerUnreachable
from orders.broker.kite import KiteGateway
from orders.broker.rows_as_sent import PAGE_ROWS, PIECE_BYTES, AnswerWithRows, RowReader, RowsAsSent

from .raw_server import http, raw

__all__ = ["raw"]

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
ROWS = st.lists(st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3) | VALUES, max_size=6)
SPELLINGS = [
    {"separators": (",", ":")},
    {"separators": (", ", ": ")},
    {"indent": 1},
    {"ensure_ascii": False, "separators": (",", ":")},
]


def answer(text: str) -> AnswerWithRows:
    response = AnswerWithRows()
    response._content = text.encode("utf-8", "surrogatepass")
    return response


def spelled(rows: object, how: dict) -> str:
    return json.dumps({"status": "success", "data": rows}, **how)


def test_a_long_answer_is_read_in_large_pieces():
    """A piece costs as much as ten kilobytes do."""
    sent = spelled([{"n": "x" * 100}] * 20_000, SPELLINGS[0]).encode()
    response = AnswerWithRows()
    response.raw = urllib3.HTTPResponse(io.BytesIO(sent), status=200, preload_content=False)
    response.status_code = 200
    pieces = list(response.iter_content(10 * 1024))

    assert b"".join(pieces) == sent
    assert len(pieces) == math.ceil(len(sent) / PIECE_BYTES)


@given(books=st.lists(st.tuples(ROWS, st.sampled_from(SPELLINGS)), min_size=1, max_size=4), page=st.integers(1, 4))
def test_whatever_was_read_before_the_rows_are_what_the_answer_says(books, page):
    reader = RowReader()
    with mock.patch.object(rows_as_sent, "PAGE_ROWS", page):
        for rows, how in books:
            text = spelled(rows, how)
            told = answer(text).json()["data"]
            told = (
                reader.reports(told, lambda row: (row,)) if isinstance(told, RowsAsSent) else [(row,) for row in told]
            )

            assert [row for (row,) in told] == json.loads(text)["data"]


@pytest.mark.parametrize("page", [1, 2])
def test_a_row_that_begins_as_it_did_is_read_to_its_end(monkeypatch, page):
    monkeypatch.setattr(rows_as_sent, "PAGE_ROWS", page)
    reader = RowReader()

    for rows in ([2, 1], [2, 1.5], [2, 15]):
        told = answer(spelled(rows, SPELLINGS[0])).json()["data"]
        assert reader.reports(told, lambda row: row) == tuple(rows)


@pytest.mark.parametrize("page", [1, 2, 3, 32])
def test_a_row_that_says_what_it_said_is_not_read_again_and_any_other_is(monkeypatch, page):
    monkeypatch.setattr(rows_as_sent, "PAGE_ROWS", page)
    reader, read = RowReader(), []

    def report(row):
        read.append(row["n"])
        return None if row.get("odd") else SimpleNamespace(**row)

    def reports(*rows):
        read.clear()
        return reader.reports(answer(spelled(rows, SPELLINGS[0])).json()["data"], report)

    first = reports({"n": 1}, {"n": 2}, {"n": 3, "odd": True})
    again = reports({"n": 1}, {"n": 2}, {"n": 3, "odd": True}, {"n": 4})
    assert read == [3, 4], "what made no sense is told each time"
    assert [report.n for report in again] == [1, 2, 4]
    assert all(one is other for one, other in zip(first, again, strict=False))

    reports({"n": 1}, {"n": 22}, {"n": 3}, {"n": 4})
    assert read == [22, 3]
    reports({"n": 0}, {"n": 1}, {"n": 22})
    assert read == [0, 1, 22], "by its place: moved on, it is read"
    assert reports() == ()


def test_a_page_of_a_long_book_is_known_as_a_whole_and_what_is_new_begins_behind_it():
    reader, read = RowReader(), []
    rows = [{"n": number} for number in range(3 * PAGE_ROWS + 1)]

    def reports():
        read.clear()
        told = reader.reports(
            answer(spelled(rows, SPELLINGS[1])).json()["data"], lambda row: read.append(row["n"]) or [row]
        )
        return [row for (row,) in told]

    assert reports() == rows == [{"n": number} for number in read]
    assert (reports(), read) == (rows, [])

    rows[PAGE_ROWS] = {"n": -1}
    rows.append({"n": -2})

    assert (reports(), read) == (rows, [-1, -2])
    assert (reports(), read) == (rows, [])


BROKEN = [
    '{"status":"success","data":[{"n":1}{"n":2}]}',
    '{"status":"success","data":[{"n":1},]}',
    '{"status":"success","data":[,{"n":1}]}',
    '{"status":"success","data":[{"n":1}',
    '{"status":"success","data":[{"n":1}]',
    '{"status":"success","data":[{"n":1}]]}',
    '{"status":"success","data":[{"n":1}],"status":"error","message":"x"}',
    '{"status":"success","data":[{"n":1}]}[]',
    '{"status":"success","data":[',
]


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("text", BROKEN)
def test_what_is_no_list_of_rows_is_no_book(text, known):
    reader = RowReader()
    if known:
        reader.reports(answer('{"status":"success","data":[{"n":1}]}').json()["data"], lambda row: row)

    try:
        told = answer(text).json()
    except ValueError:
        return
    if not isinstance(told["data"], RowsAsSent):
        assert told == json.loads(text)
        return
    with pytest.raises(ValueError, match=r"[Ee]xpect"):
        reader.reports(told["data"], lambda row: row)


ORDER = {
    "order_id": "1", "tag": "T", "status": "OPEN", "exchange": "NSE", "tradingsymbol": "INFY", "product": "CNC",
    "transaction_type": "BUY", "order_type": "LIMIT", "quantity": 1, "price": 204.1,
    "order_timestamp": "2026-11-23 10:00:00", "meta": {"demand_consent": {}}, "filled_quantity": 0,
}  # fmt: skip


def test_a_time_that_the_sdk_would_have_read_is_the_same_as_text():
    as_the_sdk_reads = {**ORDER, "order_timestamp": datetime(2026, 11, 23, 10, 0)}  # noqa: DTZ001 - it does

    of_text, of_moment = kite_rows.order_report(ORDER), kite_rows.order_report(as_the_sdk_reads)

    assert of_text == of_moment
    assert of_text.raw == of_moment.raw


@pytest.mark.parametrize("text", BROKEN)
def test_a_book_whose_orders_are_no_list_leaves_us_without_news(raw, text):
    raw.answer(http(200, text))
    gateway = KiteGateway(api_key="k", root=raw.root, access_token=lambda: "t")

    with pytest.raises(BrokerUnreachable):
        gateway.book(datetime.now())  # noqa: DTZ005 - of no matter
