"""
The end of a day: when it is due, what it finds, that it is taken once, and what becomes of a missed one.

RELIANCE stands at 1,400.00. A book of values stands in where a broker must tell what ours does not have.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from orders import by_hand, end_of_day
from orders.broker.gateway import BrokerUnreachable
from orders.broker.kite_rows import IST
from orders.day_breaks import breaks_of
from orders.day_report import report
from orders.desk import Desk
from orders.end_of_day import DayEnd, ReportRefused, TakenAlready, due_at, missed_days, take
from orders.listener import Listener
from orders.models import EndOfDay, Order
from orders.reconciliation import reconcile
from orders.tracker import Tracker
from risk import control
from risk.engine.facts import Side
from risk.models import CalendarDay, CalendarYear, Incident, Mode

from .stand_ins import BookGateway, report_of, trade_of
from .together import Together, held_up

pytestmark = pytest.mark.django_db

MONDAY, HOLIDAY, SATURDAY = date(2026, 11, 23), date(2026, 11, 24), date(2026, 11, 28)
LEAP_DAY = date(2028, 2, 29)  # a Tuesday
Kind = Incident.Kind


def ist(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=IST)


@pytest.fixture
def over(desk, wired):
    """The desk, its day over since it began."""
    return wired(desk, rules=replace(desk.rules, end_of_day_at=time.min))


@pytest.fixture
def nse(desk, wired):
    """Return the desk with the exchange's hours and a book of values, its clock standing at a moment in Mumbai."""
    rules = replace(desk.rules, paper_keeps_market_hours=True)
    return lambda moment: wired(desk, rules=rules, clock=lambda: ist(moment), gateway=BookGateway())


def taken_on(day: date) -> EndOfDay:
    """Keep an empty report of the day, so that the installation is known to have led then."""
    return EndOfDay.objects.create(
        mode=Mode.PAPER,
        trading_date=day,
        taken_at=ist(f"{day} 15:45:00"),
        taken_by="executor",
        book_as_of=ist(f"{day} 15:45:00"),
        breaks=0,
        orders=0,
        fills=0,
        figures={},
        sections=[],
    )


def leading_all_day(desk) -> DayEnd:
    day_end = DayEnd(desk)
    day_end._since -= timedelta(days=1)
    return day_end


def rows(row: EndOfDay, name: str) -> list:
    return row.section(name)["rows"]


def kinds() -> list[str]:
    return list(Incident.objects.order_by("id").values_list("kind", flat=True))


# --- When it is due ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "due"),
    [
        (MONDAY, "15:45"),  # futures and options close at 15:40
        (date(2026, 12, 7), "15:50"),  # at 15:45, from this day on
        (HOLIDAY, None),
        (SATURDAY, None),
        (date(2026, 2, 1), "15:35"),  # a Sunday with a session
        (date(2026, 11, 8), None),  # Muhurat trading whose times nobody has entered
    ],
)
def test_it_is_due_five_minutes_after_the_last_session(nse, day, due):
    found = due_at(nse("2026-11-23 12:00:00"), day)

    assert (found and f"{found.astimezone(IST):%H:%M}") == due


def test_a_session_until_midnight_has_its_report_before_midnight(nse):
    CalendarDay.objects.create(
        date=SATURDAY, kind="SPECIAL", opens=time.min, closes=time.max, entered_by="rita", entered_at=ist("2026-11-23")
    )

    assert due_at(nse("2026-11-28 12:00:00"), SATURDAY) == ist("2026-11-28 23:55:00")


def test_a_market_that_never_closes_has_it_at_the_time_of_the_settings(desk):
    assert due_at(desk, SATURDAY) == ist("2026-11-28 15:45:00")


def test_a_holiday_on_which_something_was_traded_needs_one(nse, pending):
    order = pending()
    Order.objects.filter(pk=order.pk).update(trading_date=HOLIDAY)

    assert due_at(nse("2026-11-24 12:00:00"), HOLIDAY) == ist("2026-11-24 15:45:00")


def test_it_is_taken_when_it_is_due_and_not_a_second_before(nse):
    DayEnd(nse("2026-11-23 15:44:59")).look()
    assert not EndOfDay.objects.exists()

    DayEnd(nse("2026-11-23 15:45:00")).look()
    assert EndOfDay.objects.get().trading_date == MONDAY


def test_nothing_is_taken_on_a_day_without_a_session(nse):
    for moment in ("2026-11-24 16:00:00", "2026-11-28 16:00:00"):
        DayEnd(nse(moment)).look()

    assert not EndOfDay.objects.exists()
    assert kinds() == []


@pytest.mark.parametrize(("now", "taken"), [("23:54:59", False), ("23:55:00", True)])
def test_who_starts_in_the_evening_on_round_the_clock_paper_has_the_evening_in_it(desk, wired, now, taken):
    times = iter([ist("2026-11-28 20:00:00")])
    evening = wired(desk, clock=lambda: next(times, ist(f"2026-11-28 {now}")), gateway=BookGateway())

    DayEnd(evening).look()

    assert EndOfDay.objects.exists() == taken


# --- What it finds ----------------------------------------------------------------------------------------------------


def test_a_day_whose_books_are_the_same(over, held, paper, resting):
    held(2)
    resting()
    paper.set_price("NSE:RELIANCE", "1410.00")

    row = take(over, over.today(), by="priya")

    assert (row.breaks, row.orders, row.fills, row.is_late, row.taken_by) == (0, 2, 1, False, "priya")
    assert row.figures == {
        "realised": "0.00",
        "unrealised": "20.00",
        "gross": "20.00",
        "charges": "3.36",
        "result": "16.64",
        "turnover": "2800.00",
    }
    assert row.result == Decimal("16.64")
    assert rows(row, "orders") == [["Open", 0, 1, 0, 1], ["Filled", 0, 1, 0, 1]]
    assert [each[2] for each in rows(row, "unfinished")] == ["Open"]
    assert rows(row, "positions") == [
        ["NSE:RELIANCE", 2, 2, 0, *({"inr": each} for each in ("1400.00", "1410.00", "2820.00", "0.00", "20.00"))]
    ]
    assert rows(row, "fills") == [["RELIANCE", "BUY", 1, 2, 2, {"inr": "1400.00"}, {"inr": "2800.00"}, 0]]
    assert rows(row, "decisions") == [["Approved", 2]]
    assert ["Trades", 2, 1000, "whole day"] in rows(row, "limits")
    assert ["Largest position", {"inr": "2820.00"}, {"inr": "10000000.00"}, "at the close"] in rows(row, "limits")
    assert kinds() == []


def test_what_was_realised_is_in_it(over, held, paper, wish):
    held(2)
    paper.set_price("NSE:RELIANCE", "1395.00")
    reconcile(over)
    by_hand.place(over, wish(side=Side.SELL, quantity=2, limit_price=Decimal("1390.00")))
    reconcile(over)

    row = take(over, over.today(), by="executor")

    assert row.figures["realised"] == "-10.00"
    assert row.figures["unrealised"] == "0.00"
    assert row.result == Decimal("-10") - Decimal("5590") * Decimal("0.12") / 100
    assert ["Loss of the day", {"inr": "16.71"}, {"inr": "1000.00"}, "at the close"] in rows(row, "limits")
    # Before the sale: two shares 5.00 down, and the charges of buying them.
    assert ["Loss of the day", {"inr": "13.36"}, {"inr": "1000.00"}, "at its worst a decision saw"] in rows(
        row, "limits"
    )


class Told:
    """The real gateway, whose book tells something else each time it is asked for beside the comparison's."""

    def __init__(self, gateway, *changes):
        self._gateway, self._changes, self._reads = gateway, list(changes), 0

    def __getattr__(self, name):
        return getattr(self._gateway, name)

    def book(self, as_of):
        self._reads += 1
        book = self._gateway.book(as_of)
        if self._reads % 2:
            return book  # the comparison's
        change = self._changes.pop(0) if self._changes else None
        return change(book) if change else book


def dearer(book):
    return replace(book, trades=tuple(replace(trade, price=trade.price + 1) for trade in book.trades))


def without_trades(book):
    return replace(book, trades=())


def another_trade(book):
    return replace(book, trades=(*book.trades, replace(book.trades[0], trade_id="T9")))


def fewer_shares(book):
    return replace(book, positions=dict.fromkeys(book.positions, 1))


@pytest.mark.parametrize(
    ("change", "ours", "theirs"),
    [
        (dearer, "2 at 1400.00", "2 at 1401.00"),
        (without_trades, "2 at 1400.00", "none"),
        (another_trade, "none", "2 at 1400.00"),
        (fewer_shares, "2 shares", "1 shares"),
    ],
)
def test_a_difference_is_a_break_and_an_incident(over, held, wired, change, ours, theirs):
    held(2)

    row = take(wired(over, gateway=Told(over.gateway, change, change)), over.today(), by="executor")

    assert row.breaks == 1
    assert rows(row, "breaks")[0][1:] == [ours, theirs]
    incident = Incident.objects.get()
    assert (incident.kind, incident.title.split(" at ")[0]) == (Kind.END_OF_DAY_BREAK, "1 difference")
    assert ours in incident.detail


def test_a_difference_that_the_next_reading_does_not_show_is_none(over, held, wired):
    held(2)

    row = take(wired(over, gateway=Told(over.gateway, dearer)), over.today(), by="executor")

    assert row.breaks == 0
    assert kinds() == []


def test_what_was_bought_elsewhere_is_shown_and_no_break(over, held, wired):
    held(2)

    def more(book):
        return replace(book, positions={**book.positions, ("NSE", "RELIANCE"): 7, ("NSE", "TCS"): 3})

    row = take(wired(over, gateway=Told(over.gateway, more)), over.today(), by="executor")

    assert row.breaks == 0
    assert [each[:4] for each in rows(row, "positions")] == [["NSE:RELIANCE", 2, 7, 5], ["NSE:TCS", 0, 3, 3]]


def test_an_order_in_doubt_is_a_break(over, in_doubt):
    in_doubt("drop_before")

    row = take(over, over.today(), by="executor")

    assert rows(row, "breaks")[0][1:] == ["In doubt", "not known there"]


def test_where_the_session_ends_an_order_that_still_works_is_a_break(nse, resting):
    order = resting()
    desk = nse("2026-11-23 15:45:00")
    Order.objects.filter(pk=order.pk).update(trading_date=MONDAY)
    order.refresh_from_db()
    desk.gateway.orders = [report_of(order, "OPEN", placed_at=ist("2026-11-23 11:00:00"))]

    row = take(desk, MONDAY, by="executor")

    assert rows(row, "breaks")[0][1:] == ["Open", "OPEN"]


@pytest.mark.parametrize(("mode", "breaks"), [(Mode.LIVE, 1), (Mode.SHADOW, 1), (Mode.PAPER, 0)])
def test_a_day_in_the_shadow_ends_as_one_of_live_though_the_paper_market_never_closes(nse, settings, mode, breaks):
    settings.TRADING_MODE, settings.PAPER_MARKET_HOURS, settings.KITE_API_KEY = mode, "always", "live-key"
    desk = replace(nse("2026-11-23 15:45:00"), mode=mode, rules=Desk.from_settings().rules)
    terms = {"exchange": "NSE", "symbol": "INFY", "side": "BUY", "product": "CNC", "order_type": "MARKET"}
    for each in Mode.values:  # those of the other modes are no breaks of this one
        Order.objects.create(
            mode=each,
            client_order_id=f"TEST{each}",
            origin="MANUAL",
            quantity=1,
            trading_date=MONDAY,
            created_at=desk.clock(),
            status="OPEN",
            **terms,
        )

    found = breaks_of(desk, MONDAY, desk.gateway.book(desk.clock()))

    assert [each.what.endswith("has no end") for each in found] == [True] * breaks


def test_what_was_marked_by_hand_and_the_broker_has_no_trade_for_is_a_break(nse, resting):
    order = resting()
    desk = nse("2026-11-23 15:45:00")
    moment = ist("2026-11-23 11:00:00")
    Order.objects.filter(pk=order.pk).update(trading_date=MONDAY, created_at=moment)
    order.refresh_from_db()
    marked = by_hand.HandFill(token="form-1", quantity=1, price=Decimal(1400), by="priya", reason="phoned")
    desk.gateway.orders = [report_of(order, "CANCELLED", placed_at=moment)]
    reconcile(desk)
    by_hand.mark_filled(desk, order, marked)

    row = take(desk, MONDAY, by="executor")

    assert ["1 at 1400.00", "no trade"] in [each[1:] for each in rows(row, "breaks")]


def test_a_row_of_the_brokers_book_that_makes_no_sense_is_a_break(over, wired):
    def odd(book):
        return replace(book, unreadable=("a row of nonsense",))

    row = take(wired(over, gateway=Told(over.gateway, odd, odd)), over.today(), by="executor")

    assert rows(row, "breaks") == [["A row of the broker's book makes no sense", "", "a row of nonsense"]]


@pytest.mark.parametrize("day", [MONDAY, date(2026, 12, 31), date(2027, 1, 1), LEAP_DAY, date(2028, 3, 1)], ids=str)
def test_a_day_begins_and_ends_at_midnight_in_mumbai(nse, day):
    before, after = day - timedelta(days=1), day + timedelta(days=1)
    moments = [f"{before} 23:59:59.999999", f"{day} 00:00:00", f"{day} 23:59:59.999999", f"{after} 00:00:00"]
    for number, moment in enumerate(moments):
        control.reduce_only(Mode.PAPER, by=str(number), reason=moment, now=ist(moment))
        control.resume(Mode.PAPER, by="rita", reason="x", now=ist("2026-11-20"), version_shown=control_version())
        Incident.objects.open(Kind.SIGNAL_GAP, mode=Mode.PAPER, subject=moment, title=str(number), now=ist(moment))

    found = report(nse(f"{after} 09:00:00"), day, None, [])

    sections = {each["name"]: each["rows"] for each in found.sections}
    assert [each[2] for each in sections["incidents"]] == ["1", "2"]
    assert [each[4] for each in sections["switch"]] == ["1", "2"]


def control_version() -> int:
    return control.TradingControl.objects.get(mode=Mode.PAPER).version


def test_an_order_one_second_before_midnight_and_one_after_are_of_two_days(nse, resting):
    first, second = resting(), resting(symbol="INFY")
    Order.objects.filter(pk=first.pk).update(trading_date=MONDAY, created_at=ist("2026-11-23 23:59:59"))
    Order.objects.filter(pk=second.pk).update(trading_date=HOLIDAY, created_at=ist("2026-11-24 00:00:00"))

    found = report(nse("2026-11-25 09:00:00"), MONDAY, None, [])

    assert found.orders == 1


def test_a_late_report_has_the_positions_of_its_own_day(nse, resting):
    order, later = resting(quantity=3), resting(symbol="INFY")
    for each, at in ((order, "2026-11-23 11:00:00"), (later, "2026-11-25 11:00:00")):
        Order.objects.filter(pk=each.pk).update(trading_date=ist(at).date(), created_at=ist(at))
        each.refresh_from_db()
    desk = nse("2026-11-25 11:00:10")
    desk.gateway.orders = [
        report_of(order, "COMPLETE", filled_quantity=3), report_of(later, "COMPLETE", filled_quantity=1)
    ]  # fmt: skip
    desk.gateway.trades = [trade_of(order, "T1", 3), trade_of(later, "T2", 1)]
    reconcile(desk)

    row = take(desk, MONDAY, by="rita")

    assert [each[:3] for each in rows(row, "positions")] == [["NSE:RELIANCE", 3, None]]
    assert (row.is_late, row.book_as_of, row.result, row.fills) == (True, None, None, 1)


# --- Once -------------------------------------------------------------------------------------------------------------


def test_it_is_taken_once(over):
    first = take(over, over.today(), by="executor")

    with pytest.raises(TakenAlready, match=r"was taken already, at .* by executor"):
        take(over, over.today(), by="tara")

    assert EndOfDay.objects.get() == first


def test_a_restart_takes_no_second_one(over):
    for _ in range(2):
        leading_all_day(over).look()

    assert EndOfDay.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_executors_at_once_take_one(over):
    with held_up("orders_endofday") as wait_for:
        both = Together(*[lambda: take(over, over.today(), by="executor")] * 2)
        wait_for(2)
    results = both.join()

    assert EndOfDay.objects.count() == 1
    assert sorted(type(each).__name__ for each in results) == ["EndOfDay", "TakenAlready"]


def test_it_is_not_taken_before_the_day_is_over(desk, wired):
    noon = wired(desk, clock=lambda: ist("2026-11-23 12:00:00"))

    for day, words in [(MONDAY, "not over: its report is due at 15:45"), (SATURDAY, "is not yet")]:
        with pytest.raises(ReportRefused, match=words):
            take(noon, day, by="tara")

    with pytest.raises(ReportRefused, match="it needs no report"):
        take(noon, date(2026, 11, 20), by="tara")
    assert not EndOfDay.objects.exists()


# --- The broker away, and missed days ---------------------------------------------------------------------------------


def test_it_waits_for_a_book_that_can_be_read(over, paper, clock):
    day_end = leading_all_day(over)
    paper.fault("orders", "error_503")
    with pytest.raises(BrokerUnreachable):
        day_end.look()
    assert not EndOfDay.objects.exists()

    before = clock()
    clock.advance(seconds=31)
    day_end.look()

    row = EndOfDay.objects.get()
    assert row.book_as_of > before
    assert kinds() == []


def test_a_defect_in_it_is_told_once_and_stops_nothing(over, monkeypatch, clock):
    def trip(*_):
        raise KeyError("gone")

    monkeypatch.setattr(end_of_day, "report", trip)
    day_end = leading_all_day(over)
    for _ in range(2):
        day_end.look()
        clock.advance(seconds=31)

    incident = Incident.objects.get()
    assert (incident.kind, incident.count) == (Kind.END_OF_DAY_MISSED, 1)
    assert "KeyError" in incident.detail


def test_a_missed_day_is_one_incident_that_says_how_to_take_it(nse):
    taken_on(date(2026, 11, 20))

    for _ in range(2):
        DayEnd(nse("2026-11-25 09:00:00")).look()

    incident = Incident.objects.get()
    assert (incident.kind, incident.count) == (Kind.END_OF_DAY_MISSED, 1)
    assert "Mon 23 Nov 2026" in incident.title
    assert "manage.py end_of_day --date 2026-11-23" in incident.what_to_do


@pytest.mark.parametrize("day", [LEAP_DAY, date(2026, 12, 31), date(2027, 1, 1)], ids=str)
def test_the_odd_days_of_a_year_are_due_and_missed_like_any_other(nse, day):
    for year in (2027, 2028):
        CalendarYear.objects.update_or_create(
            year=year, defaults={"complete": True, "entered_by": "rita", "entered_at": ist("2026-11-20")}
        )
    taken_on(day - timedelta(days=1))
    next_day = nse(f"{day + timedelta(days=1)} 00:00:00")

    assert due_at(next_day, day) == ist(f"{day} 15:50")
    assert missed_days(nse(f"{day} 23:59:59.999999")) == []
    assert missed_days(next_day) == [day]


def test_weekends_and_holidays_are_not_missed(nse):
    taken_on(MONDAY)
    for day in (25, 26, 27):
        taken_on(date(2026, 11, day))

    assert missed_days(nse("2026-11-30 09:00:00")) == []


def test_a_new_installation_has_missed_nothing(nse):
    assert missed_days(nse("2026-11-25 09:00:00")) == []


def test_the_first_day_on_which_anything_was_traded_is_missed_like_any_other(nse, resting):
    Order.objects.filter(pk=resting().pk).update(trading_date=MONDAY)

    assert missed_days(nse("2026-11-24 09:00:00")) == [MONDAY]


def test_days_longer_ago_than_a_week_are_let_be(nse):
    taken_on(date(2026, 10, 1))

    assert missed_days(nse("2026-11-25 09:00:00"))[0] == date(2026, 11, 18)


def test_on_round_the_clock_paper_only_days_on_which_something_happened_are_missed(desk, wired, resting):
    taken_on(date(2026, 11, 20))
    Order.objects.filter(pk=resting().pk).update(trading_date=MONDAY)

    assert missed_days(wired(desk, clock=lambda: ist("2026-11-25 09:00:00"))) == [MONDAY]


def test_taking_a_missed_day_late_resolves_its_incident(nse):
    taken_on(date(2026, 11, 20))
    desk = nse("2026-11-24 09:00:00")
    DayEnd(desk).look()

    row = take(desk, MONDAY, by="rita")

    incident = Incident.objects.get()
    assert row.is_late
    assert (incident.status, incident.closed_by) == ("RESOLVED", "rita")


def test_a_day_that_turns_while_its_book_is_read_has_no_book(over, wired):
    evening, morning = ist("2026-11-23 23:59:59"), ist("2026-11-24 00:00:01")
    book = BookGateway()
    late = wired(over, clock=lambda: morning if book.holds else evening, gateway=book)
    read = book.book

    def slowly(as_of):
        book.holds = {("NSE", "TCS"): 1}
        return read(as_of)

    book.book = slowly

    row = take(late, MONDAY, by="executor")

    assert (row.is_late, row.book_as_of, row.breaks) == (True, None, 0)


# --- Its doors --------------------------------------------------------------------------------------------------------


def test_the_command_takes_todays_and_says_what_it_found(over, held, settings):
    held(1)
    settings.END_OF_DAY_AT = time.min
    out = StringIO()

    call_command("end_of_day", stdout=out)

    assert "1 orders, 1 fills" in out.getvalue()
    assert EndOfDay.objects.get().taken_by == "command"
    with pytest.raises(CommandError, match="was taken already"):
        call_command("end_of_day")


def test_the_command_refuses_a_day_that_needs_none(desk):
    with pytest.raises(CommandError, match="it needs no report"):
        call_command("end_of_day", "--date", "2026-11-21")


def test_the_tracker_looks_at_the_day_after_a_good_reading_alone(desk, paper):
    looked = []
    tracker = Tracker(desk, ready=threading.Event(), busy_seconds=0, at_day_end=lambda: looked.append(1))
    paper.fault("orders", "error_503")
    tracker.turn()
    assert looked == []

    tracker.turn()
    assert looked == [1]


def test_a_tracker_that_no_longer_leads_takes_no_report(desk):
    looked = []
    tracker = Tracker(
        desk, ready=threading.Event(), busy_seconds=0, leads=lambda: False, at_day_end=lambda: looked.append(1)
    )

    tracker.turn()

    assert looked == []


def test_it_looks_twice_a_minute(over, clock, monkeypatch):
    asked = []
    monkeypatch.setattr(end_of_day, "due_at", lambda *_: asked.append(1))
    day_end = DayEnd(over)
    for seconds in (0, 29, 1.5):
        clock.advance(seconds=seconds)
        day_end.look()

    assert len(asked) == 2


def test_a_report_is_never_changed(over):
    row = take(over, over.today(), by="executor")

    with pytest.raises(Exception, match="Cannot update or delete"):
        EndOfDay.objects.filter(pk=row.pk).update(breaks=0, taken_at=row.taken_at + timedelta(days=1))


def test_the_executor_has_its_tracker_look_at_the_day(desk):
    listener = Listener(desk, redis_url="redis://127.0.0.1:1/0", channel="c", stream="s", group="g")

    (tracker,) = [loop._turns for loop in listener._led if isinstance(loop._turns, Tracker)]

    assert isinstance(tracker._at_day_end.__self__.day_end, DayEnd)
