"""What the database makes of a column's values is what the plain rule makes of them: exact, and no formula."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orders.admin import export_columns
from orders.admin.export_text import as_text, harmless, is_number
from orders.broker.kite_rows import IST
from orders.models import Decision, Fill, Holding, MissedExit, Order, Position, Signal
from risk.models import Incident

MOMENT = datetime(2026, 11, 26, 20, 0, 0, 123456, tzinfo=UTC)
LISTS = {
    Order: export_columns.ORDERS,
    Fill: export_columns.FILLS,
    Signal: export_columns.SIGNALS,
    Decision: export_columns.DECISIONS,
    Position: export_columns.POSITIONS,
    MissedExit: export_columns.MISSED_EXITS,
    Incident: export_columns.INCIDENTS,
    Holding: export_columns.HOLDINGS,
}
USED_AGAIN = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
SUSPECT = st.sampled_from(
    ["", " ", "\t", "\r", "\n", "\x1c", "\x85", "\xa0", "\u2003", "\u3000", "=", "+", "-", "@", "'"]
)


def plain(value):
    """Return a value as a file has it: the rule itself."""
    if value is None:
        return ""
    if isinstance(value, str):
        return harmless(value)
    if isinstance(value, datetime):
        return value.astimezone(IST).isoformat(timespec="milliseconds")
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def written(row, name, value):
    """Store the value in the row, and return what a file has of it."""
    rows = type(row).objects.filter(pk=row.pk)
    rows.update(**{name: value})
    return rows.values_list(as_text(type(row), name), flat=True).get() or ""


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("price", None, ""),
        ("price", Decimal("1400.1000"), "1400.1000"),
        ("price", Decimal("99999999999999.9999"), "99999999999999.9999"),
        ("price", Decimal("1E+3"), "1000.0000"),
        ("quantity", 2**31 - 1, "2147483647"),
        ("trading_date", date(2026, 11, 26), "2026-11-26"),
        ("ended_at", MOMENT, "2026-11-27T01:30:00.123+05:30"),
        ("ended_at", MOMENT.replace(microsecond=999_999), "2026-11-27T01:30:00.999+05:30"),
        ("ended_at", None, ""),
        ("status_reason", "M&M", "M&M"),
        ("status_reason", "", ""),
        ("status_reason", 'one, "two"\nthree', 'one, "two"\nthree'),
    ],
)
def test_a_value_is_written_exactly(resting, name, value, text):
    assert written(resting(), name, value) == text


@pytest.mark.parametrize(("value", "text"), [(True, "yes"), (False, "no")])
def test_a_truth_is_told_in_a_word(resting, value, text):
    assert written(resting(), "is_exit", value) == text


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", " =", "\xa0\u3000@"])
def test_a_text_that_a_spreadsheet_would_compute_is_made_harmless(resting, start):
    words = f"{start}HYPERLINK(1)"

    assert written(resting(), "status_reason", words) == harmless(words) == f"'{words}"
    assert written(Order.objects.get(), "status_reason", f"a{words}") == harmless(f"a{words}") == f"a{words}"


@USED_AGAIN
@given(
    words=st.builds("".join, st.tuples(SUSPECT, SUSPECT, st.text(max_size=5).map(lambda text: text.replace("\0", ""))))
)
def test_any_text_is_as_the_plain_rule_has_it(resting_order, words):
    try:
        words.encode()
    except UnicodeEncodeError:
        return  # no text of the database
    assert written(resting_order, "status_reason", words) == plain(words)


@USED_AGAIN
@given(moment=st.datetimes(datetime(1950, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - naive as asked
def test_any_moment_is_as_the_plain_rule_has_it(resting_order, moment):
    assert written(resting_order, "ended_at", moment) == plain(moment)


@USED_AGAIN
@given(price=st.decimals("0.0001", "99999999999999.9999", places=4))
def test_any_price_is_as_the_plain_rule_has_it(resting_order, price):
    assert written(resting_order, "price", price) == plain(price)


@pytest.fixture(scope="module", autouse=True)
def any_text():
    """Have the tables of all characters made before a transaction begins: that takes longer than one may stand idle."""
    st.text().validate()


@pytest.fixture
def resting_order(resting):
    return resting()


def test_every_column_of_every_list_is_as_the_plain_rule_has_it(follow, received, held):
    follow(received(signal_id="story-1"))
    held(2)
    now = MOMENT + timedelta(days=1)
    Incident.objects.open(Incident.Kind.EXPOSURE, mode="PAPER", title="=1", detail="é ₹", subject="x", now=now)
    seen = 0

    for model, columns in LISTS.items():
        for _, path in columns:
            stored = model.objects.order_by("pk").values_list(path, flat=True)
            texts = model.objects.order_by("pk").values_list(as_text(model, path), flat=True)
            if not any(isinstance(value, bool) for value in stored):
                assert [text or "" for text in texts] == [plain(value) for value in stored], (model, path)
            seen += len(texts)
            numeric = all(isinstance(value, int | Decimal) and not isinstance(value, bool) for value in stored)
            assert is_number(model, path) or not (stored and numeric), (model, path)

    assert seen > 80
