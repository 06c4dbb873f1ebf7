"""
The exchange's hours on paper that keeps them, from the broker's dump to a decision, at moments of 2026 and 2030.

RELIANCE underlies futures, ABFRL does not. The calendar is the installed one; 2030 is complete where a test needs it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from orders.broker.gateway import BrokerUnreachable
from orders.broker.kite_rows import IST
from orders.deciding import OrderDenied, decide, decide_manual
from orders.desk import Desk
from orders.execution import submit
from orders.inbox import Received, record
from orders.models import BrokerSession, Decision, Instrument, Order, Signal
from orders.quotes import load_instruments
from orders.session_hours import group_of, is_in_session, market_of, tell_of_the_calendar
from orders.tracker import Tracker
from risk import calendar
from risk.engine.facts import OrderType
from risk.models import CalendarYear, Incident, Mode, SessionRule

pytestmark = pytest.mark.django_db

HOLIDAY = "2026-11-24 11:00:00"
MORNING, AUCTION = "2026-11-23 11:00:00", "2026-11-23 15:16:00"
MARKET: dict[str, Any] = {"order_type": OrderType.MARKET, "limit_price": None}


def ist(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=IST)


@pytest.fixture
def nse(desk: Desk) -> Callable[[str], Desk]:
    """Return the paper desk as `PAPER_MARKET_HOURS=nse` wires it, at a moment in Mumbai at which its clock stands."""
    rules = replace(desk.rules, paper_keeps_market_hours=True)

    def at(moment: str) -> Desk:
        BrokerSession.objects.filter(mode=desk.mode).update(reconciled_at=ist(moment))
        return replace(desk, clock=lambda: ist(moment), rules=rules)

    return at


@pytest.fixture
def year_2030(db: None) -> None:
    CalendarYear.objects.create(year=2030, complete=True, entered_by="rita", entered_at=ist(MORNING))


@pytest.fixture
def told(message: Callable[..., bytes]) -> Callable[..., Signal]:
    """Record a signal that comes at the desk's very moment."""

    def receive(desk: Desk, **changes: Any) -> Signal:
        raw = message(timestamp=desk.clock().isoformat(), signal_id="s-1", **changes)
        record(desk, [Received(raw=raw, source=Signal.Source.CHANNEL)])
        return Signal.objects.get(signal_id="s-1")

    return receive


def instrument(symbol: str, exchange: str = "NSE") -> Instrument:
    return Instrument.objects.get(exchange=exchange, symbol=symbol)


def refusals(denial: pytest.ExceptionInfo[OrderDenied]) -> set[str]:
    return {verdict["control"] for verdict in denial.value.decision.verdicts if not verdict["passed"]}


# --- Which hours an instrument keeps ----------------------------------------------------------------------------------


def test_a_share_with_futures_in_the_dump_is_told_from_one_without(desk):
    load_instruments(desk, "BSE")

    assert instrument("RELIANCE").underlies_futures is True
    assert instrument("ABFRL").underlies_futures is False
    assert instrument("RELIANCE", "BSE").underlies_futures is True
    assert (group_of(instrument("RELIANCE")), group_of(instrument("ABFRL"))) == ("EQ_FNO_UNDERLYING", "EQ_NO_FNO")


@dataclass
class ListOfFutures:
    """A broker whose list of futures is what the test says, or cannot be read."""

    desk: Desk
    futures: list[Any] | None

    def instruments(self, exchange: str) -> list[Any]:
        if exchange != "NFO":
            return self.desk.gateway.instruments(exchange)
        if self.futures is None:
            raise BrokerUnreachable("too long")
        return self.futures


@pytest.mark.parametrize("futures", [[], None], ids=["empty", "not read"])
def test_without_a_list_of_futures_a_new_share_keeps_the_shorter_day_and_an_old_one_its_own(desk, wired, futures):
    Instrument.objects.filter(symbol="ACC").delete()

    load_instruments(wired(desk, gateway=ListOfFutures(desk, futures)), "NSE")

    assert (instrument("RELIANCE").underlies_futures, instrument("ABFRL").underlies_futures) == (True, False)
    assert instrument("ACC").underlies_futures is None
    assert group_of(instrument("ACC")) == "EQ_FNO_UNDERLYING"


def test_options_alone_make_no_share_one_with_futures(desk, wired):
    options = [replace(row, instrument_type="CE", name="ABFRL") for row in desk.gateway.instruments("NFO")[:1]]

    load_instruments(wired(desk, gateway=ListOfFutures(desk, desk.gateway.instruments("NFO") + options)), "NSE")

    assert instrument("ABFRL").underlies_futures is False


def test_a_share_that_loses_its_futures_keeps_the_other_hours_from_then_on(desk):
    Instrument.objects.filter(symbol="ABFRL").update(underlies_futures=True)

    load_instruments(desk, "NSE")

    assert instrument("ABFRL").underlies_futures is False


def test_futures_and_options_have_hours_of_their_own():
    assert group_of(Instrument(exchange="NFO", symbol="RELIANCE26NOVFUT")) == "FO"


# --- Whether an outage is one -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moment", "in_session"),
    [
        ("2026-11-23 09:14:59", False),
        ("2026-11-23 09:15:00", True),
        ("2026-11-23 15:29:59", True),
        ("2026-11-23 15:34:59", True),  # the closing auction
        ("2026-11-23 15:35:00", False),
        (HOLIDAY, False),
        ("2026-11-28 11:00:00", False),
        ("2026-02-01 11:00:00", True),  # a Sunday on which it traded
        ("2030-01-07 11:00:00", True),  # nobody knows that it is a holiday: an outage is told
    ],
)
def test_a_broker_that_is_away_is_an_outage_while_shares_trade(nse, moment, in_session):
    assert is_in_session(nse(moment)) is in_session
    assert is_in_session(replace(nse(moment), mode=Mode.LIVE, rules=replace(nse(moment).rules))) is in_session


def test_live_keeps_the_exchanges_hours_whatever_paper_does(desk):
    live = replace(desk, mode=Mode.LIVE, clock=lambda: ist(HOLIDAY))

    assert not is_in_session(live)
    assert market_of(live, instrument("RELIANCE"), now=ist(HOLIDAY)).phase == "CLOSED"


def test_on_paper_the_market_is_open_round_the_clock(desk):
    sunday = replace(desk, clock=lambda: ist("2026-11-29 03:00:00"))

    assert is_in_session(sunday)
    assert not market_of(sunday, instrument("RELIANCE"), now=ist(HOLIDAY)).keeps_hours


# --- The next year ----------------------------------------------------------------------------------------------------


@pytest.fixture
def confirmed(db):
    SessionRule.objects.update(confirmed=True)


def test_from_december_on_a_year_that_is_not_complete_is_told_once(nse, confirmed):
    tell_of_the_calendar(nse("2026-11-30 23:59:59"))
    assert not Incident.objects.exists()

    tell_of_the_calendar(nse("2026-12-01 00:00:00"))
    Incident.objects.get().resolve(by="rita", note="in mid-December", now=ist(MORNING))
    tell_of_the_calendar(nse("2026-12-02 09:00:00"))

    told = Incident.objects.get()
    assert (told.kind, told.title) == ("CALENDAR_INCOMPLETE", "The exchange's calendar of 2027 is not complete")
    assert not told.stops_opening
    assert "load_calendar" in told.what_to_do


def test_a_complete_year_is_not_told_of_nor_is_one_that_no_hours_are_kept_in(nse, desk, confirmed):
    tell_of_the_calendar(replace(desk, clock=lambda: ist("2026-12-01 09:00:00")))
    CalendarYear.objects.create(year=2027, complete=True, entered_by="rita", entered_at=ist(MORNING))
    tell_of_the_calendar(nse("2026-12-01 09:00:00"))

    assert not Incident.objects.exists()


def test_hours_of_one_source_are_told_once_from_a_week_before_they_begin_until_confirmed(nse):
    tell_of_the_calendar(nse("2026-11-29 23:59:59"))
    assert not Incident.objects.exists()

    calendar.confirm_hours(
        SessionRule.objects.get(group="FO", confirmed=False).pk, by="r", reason="x", now=ist(MORNING)
    )
    tell_of_the_calendar(nse("2026-11-30 00:00:00"))
    told = Incident.objects.get()
    told.resolve(by="rita", note="asked the exchange", now=ist(MORNING))
    tell_of_the_calendar(nse("2026-11-30 12:00:00"))

    assert (Incident.objects.count(), told.kind, told.stops_opening) == (1, "HOURS_NOT_CONFIRMED", False)
    assert told.title == "The hours of Shares with derivatives from 07 Dec 2026 are not confirmed"
    assert "SINGLE-SOURCE" in told.detail


def test_the_tracker_tells_of_it_when_it_prepares_the_day(nse, confirmed):
    tracker = Tracker(nse("2026-12-01 09:00:00"), ready=threading.Event())

    tracker._prepare()
    tracker._prepare()

    assert (Incident.objects.get().kind, Incident.objects.get().count) == ("CALENDAR_INCOMPLETE", 1)


# --- Decisions --------------------------------------------------------------------------------------------------------


def test_in_the_morning_a_signal_becomes_an_order(nse, told, paper):
    desk = nse(MORNING)

    order = decide(desk, told(desk))
    submit(desk, order)

    assert paper.accepted() == [order.broker_order_id]
    market = Decision.objects.get().facts["portfolio"]["market"]
    assert (market["phase"], market["group"]) == ("CONTINUOUS", "EQ_FNO_UNDERLYING")
    assert datetime.fromisoformat(market["closes_at"]) == ist("2026-11-23 15:15:00")


@pytest.mark.parametrize(
    ("moment", "control", "reason"),
    [
        (
            HOLIDAY,
            "MARKET_CLOSED",
            "(Prakash Gurpurb Sri Guru Nanak Dev): the market opens next at 09:15:00 on Wed 25 Nov 2026",
        ),
        ("2026-11-23 09:14:59", "MARKET_CLOSED", "the market opens next at 09:15:00 on Mon 23 Nov 2026"),
        ("2026-11-23 09:19:59", "OPENING_WINDOW", "it begins at 09:20:00"),
        ("2026-11-23 15:00:00", "OPENING_WINDOW", "the market opens next at 09:15:00 on Wed 25 Nov 2026"),
        (AUCTION, "NOT_CONTINUOUS", "the closing auction runs until 15:35:00"),
        ("2026-11-08 18:30:00", "MARKET_CLOSED", "the hours of Muhurat trading (Sunday) are not in the calendar"),
        ("2027-01-04 11:00:00", "MARKET_CLOSED", "the calendar of 2027 is not complete: nothing is opened"),
    ],
)
def test_out_of_hours_a_signal_is_denied_by_name_and_the_broker_is_asked_nothing(
    nse, told, wired, moment, control, reason
):
    desk = wired(nse(moment), gateway=None)  # to ask it anything would be a defect

    assert decide(desk, told(desk)) is None

    signal = Signal.objects.get()
    assert (signal.status, signal.reason.partition(":")[0]) == ("DENIED", control)
    assert reason in signal.reason


def test_in_the_auction_a_person_may_buy_what_has_none_and_not_what_has_one(nse, wish):
    desk = nse(AUCTION)

    with pytest.raises(OrderDenied) as denial:
        decide_manual(desk, wish())
    order = decide_manual(desk, wish(symbol="ABFRL", **MARKET))

    assert refusals(denial) == {"NOT_CONTINUOUS"}
    assert order.status == "PENDING"


def test_from_the_seventh_of_december_both_trade_at_that_time(nse, wish):
    desk = nse("2026-12-07 15:16:00")

    orders = [decide_manual(desk, wish()), decide_manual(desk, wish(symbol="ABFRL", **MARKET))]

    assert [order.status for order in orders] == ["PENDING", "PENDING"]


def test_a_position_is_closed_by_a_signal_until_the_continuous_session_ends(nse, told, held, year_2030):
    held(3)
    desk = nse("2030-01-07 15:29:59")

    order = decide(desk, told(desk, signal_type="SELL", cms_score=-75.0))

    assert (order.side, order.quantity) == ("SELL", 3)


def test_in_a_year_that_is_not_complete_a_position_is_closed_and_nothing_opened(nse, told, held, wish):
    held(3)
    desk = nse("2030-01-07 11:00:00")

    order = decide(desk, told(desk, signal_type="SELL", cms_score=-75.0))
    with pytest.raises(OrderDenied) as denial:
        decide_manual(desk, wish(symbol="INFY", limit_price=Decimal("1500.00")))

    assert (order.side, order.quantity) == ("SELL", 3)
    assert "MARKET_CLOSED" in refusals(denial)


def test_an_order_decided_in_the_session_is_not_sent_into_the_auction(nse, wish, paper):
    order = decide_manual(nse("2026-11-23 15:14:59"), wish())

    submit(nse("2026-11-23 15:15:00"), order)

    assert (order.status, paper.accepted()) == ("WITHDRAWN", [])
    assert order.status_reason == "the market was CONTINUOUS when it was decided and is AUCTION now"


def test_the_setting_wires_the_desk(settings, paper):
    settings.PAPER_KITE_URL = paper.root
    settings.PAPER_MARKET_HOURS = "nse"
    assert Desk.from_settings().keeps_market_hours

    settings.PAPER_MARKET_HOURS = "always"
    assert not Desk.from_settings().keeps_market_hours
    assert Order.objects.count() == 0
