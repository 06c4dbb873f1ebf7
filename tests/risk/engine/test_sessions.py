"""
The market's phases, each boundary at its second.

The cast is the NSE of November and December 2026: shares with derivatives stop at 15:15 for an auction to 15:35 until
the 6th of December, then at 15:30 for one to 15:40. The 24th of November is a holiday, the 29th of November, a Sunday,
a special session from 18:00 to 19:00, and the 8th of November one whose times are not known. 2026 alone is complete.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import Phase as HypothesisPhase
from hypothesis import given, settings
from hypothesis import strategies as st

from risk.engine.sessions import (
    MUMBAI,
    Calendar,
    CalendarEntry,
    DayKind,
    InstrumentGroup,
    Phase,
    SessionHours,
)

PLAIN, WITH_DERIVATIVES, FO = InstrumentGroup.EQ_NO_FNO, InstrumentGroup.EQ_FNO_UNDERLYING, InstrumentGroup.FO
NINE_FIFTEEN = time(9, 15)
HOLIDAY = CalendarEntry(kind=DayKind.HOLIDAY, name="Guru Nanak")
EVENING = CalendarEntry(kind=DayKind.SPECIAL, name="Mock", opens=time(18), closes=time(19))
MUHURAT = CalendarEntry(kind=DayKind.SPECIAL, name="Muhurat trading")


def hours(group: InstrumentGroup, since: date, close: time, auction_close: time | None = None) -> SessionHours:
    return SessionHours(
        group=group,
        effective_from=since,
        continuous_open=NINE_FIFTEEN,
        continuous_close=close,
        auction_close=auction_close,
    )


NSE = Calendar(
    complete_years=frozenset({2026}),
    entries={date(2026, 11, 24): HOLIDAY, date(2026, 11, 29): EVENING, date(2026, 11, 8): MUHURAT},
    hours=(
        hours(PLAIN, date(2010, 10, 18), time(15, 30)),
        hours(WITH_DERIVATIVES, date(2026, 8, 3), time(15, 15), time(15, 35)),
        hours(WITH_DERIVATIVES, date(2026, 12, 7), time(15, 30), time(15, 40)),
        hours(FO, date(2026, 8, 3), time(15, 40)),
    ),
)


def at(moment: str) -> datetime:
    """Return a moment in Mumbai: "11-23 15:15:00"."""
    return datetime.fromisoformat(f"2026-{moment}").replace(tzinfo=MUMBAI)


@pytest.mark.parametrize(
    ("group", "moment", "phase"),
    [
        (PLAIN, "11-23 08:59:59", "CLOSED"),
        (PLAIN, "11-23 09:00:00", "PRE_OPEN"),
        (PLAIN, "11-23 09:14:59", "PRE_OPEN"),
        (PLAIN, "11-23 09:15:00", "CONTINUOUS"),
        (PLAIN, "11-23 15:29:59.999999", "CONTINUOUS"),
        (PLAIN, "11-23 15:30:00", "POST"),
        (PLAIN, "11-23 15:59:59", "POST"),
        (PLAIN, "11-23 16:00:00", "CLOSED"),
        (WITH_DERIVATIVES, "11-23 15:14:59.999999", "CONTINUOUS"),
        (WITH_DERIVATIVES, "11-23 15:15:00", "AUCTION"),
        (WITH_DERIVATIVES, "11-23 15:34:59", "AUCTION"),
        (WITH_DERIVATIVES, "11-23 15:35:00", "POST"),
        (WITH_DERIVATIVES, "12-04 15:15:00", "AUCTION"),
        (WITH_DERIVATIVES, "12-07 15:15:00", "CONTINUOUS"),
        (WITH_DERIVATIVES, "12-07 15:30:00", "AUCTION"),
        (WITH_DERIVATIVES, "12-07 15:39:59", "AUCTION"),
        (WITH_DERIVATIVES, "12-07 15:40:00", "POST"),
        (FO, "11-23 15:39:59", "CONTINUOUS"),
        (FO, "11-23 15:40:00", "POST"),
        (PLAIN, "11-24 11:00:00", "CLOSED"),  # a holiday
        (PLAIN, "11-28 11:00:00", "CLOSED"),  # a Saturday
        (PLAIN, "11-29 11:00:00", "CLOSED"),  # a Sunday with a session in the evening
        (PLAIN, "11-29 17:59:59", "PRE_OPEN"),
        (PLAIN, "11-29 18:00:00", "CONTINUOUS"),
        (WITH_DERIVATIVES, "11-29 18:59:59", "CONTINUOUS"),
        (WITH_DERIVATIVES, "11-29 19:00:00", "CLOSED"),
        (PLAIN, "11-08 18:30:00", "CLOSED"),  # Muhurat: nobody knows when
        (WITH_DERIVATIVES, "08-02 11:00:00", "CLOSED"),  # a Sunday, and before the first hours of the group
        (WITH_DERIVATIVES, "07-31 11:00:00", "CLOSED"),  # hours that are not known are none
    ],
)
def test_each_phase_begins_and_ends_at_its_second(group, moment, phase):
    assert NSE.phase(group, at(moment)) == phase
    assert NSE.phase(group, at(moment).astimezone(UTC)) == phase


def test_a_year_that_is_not_complete_is_closed_for_what_opens_and_says_so():
    monday = datetime(2027, 1, 4, 11, 0, tzinfo=MUMBAI)

    assert NSE.phase(PLAIN, monday) == Phase.CLOSED
    assert (NSE.session(PLAIN, monday).phase, NSE.session(PLAIN, monday).year_complete) == (Phase.CONTINUOUS, False)

    complete = replace(NSE, complete_years=frozenset({2026, 2027}))
    assert complete.phase(PLAIN, monday) == Phase.CONTINUOUS


def test_the_date_is_the_one_in_mumbai():
    """It is 2026 in London and 2027 in Mumbai."""
    moment = datetime(2026, 12, 31, 18, 30, tzinfo=UTC)

    assert not NSE.session(PLAIN, moment).year_complete
    assert NSE.session(PLAIN, moment - timedelta(microseconds=1)).year_complete


def test_a_session_without_times_is_told_from_a_holiday():
    muhurat, holiday = NSE.session(PLAIN, at("11-08 18:30:00")), NSE.session(PLAIN, at("11-24 11:00:00"))

    assert (muhurat.lacks_hours, muhurat.day_name) == (True, "Muhurat trading")
    assert (holiday.lacks_hours, holiday.day_name, holiday.opens_at) == (False, "Guru Nanak", None)


@pytest.mark.parametrize(
    ("after", "opens"),
    [
        ("11-23 09:14:59", "11-23 09:15:00"),
        ("11-23 09:15:00", "11-25 09:15:00"),  # over the holiday
        ("11-27 20:00:00", "11-29 18:00:00"),  # the Sunday's session
        ("11-29 18:00:00", "11-30 09:15:00"),
        ("11-07 12:00:00", "11-09 09:15:00"),  # the session without times is none
    ],
)
def test_the_next_opening(after, opens):
    assert NSE.next_open(PLAIN, at(after)) == at(opens)


def test_the_next_opening_is_not_known_beyond_a_complete_year():
    assert NSE.next_open(PLAIN, at("12-31 09:15:00")) is None
    assert NSE.next_open(PLAIN, datetime(2027, 1, 4, 8, 0, tzinfo=MUMBAI)) is None


def test_a_group_without_hours_never_opens():
    assert replace(NSE, hours=(), entries={}).next_open(PLAIN, at("11-23 11:00:00")) is None


@pytest.mark.parametrize(
    ("today", "complete", "lacking"),
    [
        (date(2026, 11, 30), {2026}, []),
        (date(2026, 12, 1), {2026}, [2027]),
        (date(2026, 12, 1), {2026, 2027}, []),
        (date(2027, 1, 1), {2026}, [2027]),
        (date(2026, 12, 31), set(), [2026, 2027]),
    ],
)
def test_the_next_year_is_asked_for_from_december_on(today, complete, lacking):
    assert replace(NSE, complete_years=frozenset(complete)).years_lacking(today) == lacking


@pytest.mark.parametrize(
    ("later", "opened"),
    [
        (NSE, []),
        (replace(NSE, entries={**NSE.entries, date(2026, 11, 25): HOLIDAY}), []),
        (replace(NSE, entries={}), [date(2026, 11, 24)]),
        (
            replace(NSE, entries={**NSE.entries, date(2026, 11, 8): EVENING}),
            [date(2026, 11, 8)],
        ),
        (
            replace(NSE, entries={**NSE.entries, date(2026, 11, 29): replace(EVENING, closes=time(19, 1))}),
            [date(2026, 11, 29)],
        ),
        (
            replace(NSE, entries={**NSE.entries, date(2026, 11, 29): replace(EVENING, opens=time(17, 59))}),
            [date(2026, 11, 29)],
        ),
        (replace(NSE, entries={**NSE.entries, date(2026, 11, 29): replace(EVENING, closes=time(18, 30))}), []),
        (replace(NSE, complete_years=frozenset()), []),
    ],
    ids=["nothing", "a holiday more", "none", "Muhurat's times", "ends later", "begins earlier", "shorter", "no year"],
)
def test_what_a_change_opens_is_named_day_by_day(later, opened):
    assert NSE.opened_by(later) == opened


def test_completing_a_year_opens_its_days():
    opened = NSE.opened_by(replace(NSE, complete_years=frozenset({2026, 2027})))

    assert (opened[0], opened[-1], len(opened)) == (date(2027, 1, 1), date(2027, 12, 31), 261)


# --- Any calendar -----------------------------------------------------------------------------------------------------

bounded = settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[HypothesisPhase.explicit, HypothesisPhase.generate, HypothesisPhase.shrink],
)
DAYS = st.integers(0, 60).map(lambda days: date(2026, 11, 20) + timedelta(days=days))
TIMES = st.tuples(st.integers(0, 1438), st.integers(1, 60)).map(
    lambda span: (time(span[0] // 60, span[0] % 60), time(*divmod(min(1439, span[0] + span[1]), 60)))
)
ENTRIES = st.one_of(
    st.just(HOLIDAY),
    st.just(MUHURAT),
    TIMES.map(lambda span: CalendarEntry(kind=DayKind.SPECIAL, name="x", opens=span[0], closes=span[1])),
)
CALENDARS = st.builds(
    Calendar,
    complete_years=st.sampled_from([frozenset(), frozenset({2026}), frozenset({2026, 2027})]),
    entries=st.dictionaries(DAYS, ENTRIES, max_size=8),
    hours=st.sampled_from([NSE.hours, NSE.hours[:1], ()]),
)
GROUPS = st.sampled_from(InstrumentGroup)
MOMENTS = st.tuples(DAYS, st.integers(0, 86_399)).map(
    lambda drawn: datetime.combine(drawn[0], time(), MUMBAI) + timedelta(seconds=drawn[1])
)


@bounded
@given(calendar=CALENDARS, group=GROUPS, moment=MOMENTS)
def test_continuous_is_inside_the_session_and_nothing_else_is(calendar, group, moment):
    session = calendar.session(group, moment)

    inside = session.opens_at is not None and session.opens_at <= moment < session.closes_at
    assert (session.phase == Phase.CONTINUOUS) == inside
    assert calendar.phase(group, moment) in {session.phase, Phase.CLOSED}


@bounded
@given(calendar=CALENDARS, group=GROUPS, moment=MOMENTS)
def test_the_next_opening_is_the_first_moment_of_continuous_trading_after_now(calendar, group, moment):
    opens = calendar.next_open(group, moment)

    if opens is not None:
        assert opens > moment
        assert calendar.phase(group, opens) == Phase.CONTINUOUS
        assert calendar.phase(group, opens - timedelta(microseconds=1)) != Phase.CONTINUOUS


@bounded
@given(before=CALENDARS, after=CALENDARS, group=GROUPS, moment=MOMENTS)
def test_a_change_that_opens_nothing_lets_nothing_trade_that_did_not(before, after, group, moment):
    opened = before.opened_by(after)

    if after.phase(group, moment) == Phase.CONTINUOUS != before.phase(group, moment):
        assert moment.date() in opened
