"""The exchange's list of holidays as a file: what is read, what is refused by its line, and nothing is half kept."""

from __future__ import annotations

from datetime import date, time
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given, settings
from hypothesis import strategies as st

import risk.migrations
from risk.calendar_file import CalendarFileError, read_days
from risk.engine.sessions import DayKind
from risk.models import CalendarDay, CalendarYear

OURS = b"date,segment,kind,open,close,name,source,status\n"
THE_NSES = (
    '\ufeff"Sr. No","Date","Day","Description"\r\n'
    '"1","26-Jan-2027","Tuesday","Republic Day"\r\n'
    '"2","22-Mar-2027","Monday","Holi"\r\n'
).encode()


def refused(raw: bytes) -> list[str]:
    with pytest.raises(CalendarFileError) as refusal:
        read_days(raw)
    return refusal.value.errors


def test_the_installed_file_is_read():
    days = read_days(Path(risk.migrations.__path__[0], "nse-calendar-2026.csv").read_bytes())

    assert len(days) == 18
    budget = next(day for day in days if day.date == date(2026, 2, 1))
    assert (budget.kind, budget.opens, budget.closes) == (DayKind.SPECIAL, time(9, 15), time(15, 30))
    muhurat = next(day for day in days if day.date == date(2026, 11, 8))
    assert (muhurat.kind, muhurat.opens) == (DayKind.SPECIAL, None)
    assert muhurat.note.startswith("date confirmed; its times are not known")
    assert [day.note for day in days if day is not muhurat] == [""] * 17


def test_the_nses_own_download_is_read_as_holidays():
    days = read_days(THE_NSES)

    assert [(day.date, day.kind, day.name) for day in days] == [
        (date(2027, 1, 26), DayKind.HOLIDAY, "Republic Day"),
        (date(2027, 3, 22), DayKind.HOLIDAY, "Holi"),
    ]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"2027-13-01,CM+FO,HOLIDAY,,,x,,", "date '2027-13-01': write it like 2026-01-26 or 26-Jan-2026"),
        (b"26/01/2027,CM+FO,HOLIDAY,,,x,,", "date '26/01/2027': write it like"),
        (b",CM+FO,HOLIDAY,,,x,,", "date '': write it like"),
        (b"1926-01-26,CM+FO,HOLIDAY,,,x,,", "the year of 1926-01-26 is not from 2000 to 2100"),
        (b"2027-01-26,CM,HOLIDAY,,,x,,", "segment 'CM': only days of both CM and FO are kept"),
        (b"2027-01-26,CM+FO,HALF,,,x,,", "kind 'HALF' is neither HOLIDAY nor SPECIAL"),
        (b"2027-01-26,CM+FO,SPECIAL,9 am,15:30,x,,", "open '9 am': write it like 09:15"),
        (b"2027-01-26,CM+FO,SPECIAL,09:15,,x,,", "give both times or neither"),
        (b"2027-01-26,CM+FO,SPECIAL,15:30,09:15,x,,", "it opens at 15:30:00 and closes at 09:15:00"),
        (b"2027-01-26,CM+FO,SPECIAL,09:15,09:15,x,,", "it opens at 09:15:00 and closes at 09:15:00"),
        (b"2027-01-26,CM+FO,HOLIDAY,09:15,15:30,x,,", "a holiday has no hours"),
        (b"2027-01-26,CM+FO,HOLIDAY,,,,,", "the day has no name"),
        (b"2027-01-26,CM+FO,HOLIDAY,,," + b"x" * 201 + b",,", "the name is longer than 200 characters"),
        (b"2027-01-26,CM+FO,HOLIDAY,,,a\x00b,,", "the name is longer than 200 characters, or no text"),
        (b"2027-01-26,CM+FO,HOLIDAY,,,x,,,more", "it has more fields than the header"),
        (b"2027-01-27,CM+FO,HOLIDAY,,,again,,", "2027-01-27 stands on line 2 already"),
    ],
)
def test_a_line_that_makes_no_sense_is_named(line, error):
    errors = refused(OURS + b"2027-01-27,CM+FO,HOLIDAY,,,fine,,\n\n" + line + b"\n")

    assert len(errors) == 1
    assert errors[0].startswith("line 4: ")
    assert error in errors[0]


def test_every_bad_line_is_named_at_once():
    errors = refused(OURS + b"x,,,,,x,,\n2027-01-26,CM+FO,HOLIDAY,,,fine,,\ny,,,,,y,,\n")

    assert [error.partition(":")[0] for error in errors] == ["line 2", "line 4"]


def test_a_thousand_bad_lines_are_not_all_told():
    with pytest.raises(CalendarFileError, match=r"line 21: .*; and 980 more$"):
        read_days(OURS + b"x,,,,,x,,\n" * 1000)


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"", "line 1: the header needs the columns date and name"),
        (b"day,what\n2027-01-26,Republic Day\n", "line 1: the header needs the columns date and name"),
        (OURS, "there is no day in the file"),
        (b"PK\x03\x04\xff\xfe", "byte 4 is not UTF-8: save the file as CSV in UTF-8"),
        (b'date,name\n2027-01-26,"open quote\n', "line 2: unexpected end of data"),
        (b"x" * 1_000_001, "the file has 1000001 bytes"),
    ],
)
def test_what_is_no_calendar_at_all_says_why(raw, error):
    assert error in refused(raw)[0]


@settings(max_examples=80, derandomize=True, deadline=None, database=None)
@given(
    raw=st.one_of(
        st.binary(max_size=200),
        st.text(alphabet='date,nmkiop\n\r"\x00 2027-01Z', max_size=80).map(
            lambda text: b"date,name,kind,open,close\n" + text.encode()
        ),
    )
)
def test_any_bytes_are_days_or_an_error_with_a_reason(raw):
    try:
        days, errors = read_days(raw), []
    except CalendarFileError as refusal:
        days, errors = [], refusal.errors

    assert bool(days) != bool(errors)
    assert all(errors)
    assert len({day.date for day in days}) == len(days)


# --- The command ------------------------------------------------------------------------------------------------------


def load(file: Path, *options: str) -> str:
    out = StringIO()
    call_command("load_calendar", str(file), *options, stdout=out)
    return out.getvalue()


@pytest.fixture
def holidays_of_2027(tmp_path: Path) -> Path:
    file = tmp_path / "holidays-2027.csv"
    file.write_bytes(THE_NSES)
    return file


@pytest.mark.django_db
def test_a_file_is_loaded_and_its_year_stays_open_to_question(holidays_of_2027):
    assert load(holidays_of_2027) == "2 days of 2027 loaded\n"

    assert CalendarDay.objects.get(date="2027-01-26").source == "holidays-2027.csv"
    assert not CalendarYear.objects.filter(year=2027).exists()


@pytest.mark.django_db
def test_a_whole_year_is_loaded_with_the_word(holidays_of_2027):
    with pytest.raises(CommandError, match=r"nothing was loaded: it opens Fri 01 Jan 2027.*Add --confirm LOOSEN"):
        load(holidays_of_2027, "--complete")
    assert not CalendarDay.objects.filter(date__year=2027).exists()

    load(holidays_of_2027, "--complete", "--confirm", "LOOSEN", "--source", "NSE/CMTR/9")

    assert CalendarYear.objects.get(year=2027).source == "NSE/CMTR/9"


@pytest.mark.django_db
def test_a_file_with_one_bad_line_changes_nothing(tmp_path):
    file = tmp_path / "bad.csv"
    file.write_bytes(OURS + b"2027-01-26,CM+FO,HOLIDAY,,,Republic Day,,\n2027-02-30,CM+FO,HOLIDAY,,,x,,\n")

    with pytest.raises(CommandError, match=r"bad\.csv was not loaded:\nline 3: date '2027-02-30'"):
        load(file)

    assert not CalendarDay.objects.filter(date__year=2027).exists()


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(CommandError, match="cannot be read: No such file"):
        load(tmp_path / "nothing.csv")
