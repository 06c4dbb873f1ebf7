"""What makes an alert and what does not, in which words, and once each."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import resolve

from orders.alerting.news import NEVER_QUIET, URGENT, CannotBeQuiet, Kind, quiet_kinds
from orders.alerting.wording import INCIDENT_KINDS, with_rupees
from orders.lifecycle import OrderStatus
from orders.models import Alert, Order
from risk import control
from risk.models import Incident, Mode, RiskSettings, TradingControl

from .conftest import Told, kinds

NO_END = ["PARTIALLY_FILLED", "CANCELLED"]
STOPS = {
    Incident.Kind.LATE_APPEARANCE,
    Incident.Kind.UNKNOWN_ORDER,
    Incident.Kind.OVERFILL,
    Incident.Kind.POSITION_DIFFERENCE,
    Incident.Kind.VANISHED_ORDER,
    Incident.Kind.DOUBLED_ORDER,
    Incident.Kind.UNREADABLE_ROW,
    Incident.Kind.RESTORED,
}
ASIDE = {
    Incident.Kind.UNFINISHED_OF_A_PAST_DAY,
    Incident.Kind.SIGNAL_FAILED,
    Incident.Kind.SIGNAL_CONFLICT,
    Incident.Kind.SIGNAL_GAP,
    Incident.Kind.CALENDAR_INCOMPLETE,
    Incident.Kind.HOURS_NOT_CONFIRMED,
    Incident.Kind.LIMITS_LOWERED,
}


# --- Orders -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("OPEN", "FILLED", ["ORDER_FILLED"]),
        ("PARTIALLY_FILLED", "FILLED", ["ORDER_FILLED"]),
        ("IN_DOUBT", "FILLED", ["ORDER_FILLED"]),
        ("SUBMITTING", "REJECTED", ["ORDER_REJECTED"]),
        ("OPEN", "REJECTED", ["ORDER_REJECTED"]),
        ("IN_DOUBT", "NOT_PLACED", ["DOUBT_ENDED"]),
        ("IN_DOUBT", "OPEN", ["DOUBT_ENDED"]),
        ("OPEN", "PARTIALLY_FILLED", []),
        ("OPEN", "CANCELLED", []),
        ("SUBMITTING", "OPEN", []),
        ("PENDING", "WITHDRAWN", []),
        ("SUBMITTING", "IN_DOUBT", []),  # its incident tells
    ],
)
def test_an_order_is_told_at_its_end_and_not_on_its_way(start, order, before, after, told):
    sender = start(hook=Told())
    row = order(status="")
    Order.objects.filter(pk=row.pk).update(status=before)
    row.refresh_from_db()

    row.advance(OrderStatus(after), at=row.created_at, note="x")
    sender.turns()

    assert kinds() == told


def test_a_note_on_a_filled_order_is_no_second_fill(start, order):
    sender = start(hook=Told())
    row = order("FILLED")
    sender.turns()

    row.note("note: well done", at=row.created_at, actor="priya")
    sender.turns()

    assert kinds() == ["ORDER_FILLED"]


@pytest.mark.parametrize("other", [{"origin": "EXTERNAL", "client_order_id": None}, {"mode": "LIVE"}])
def test_the_orders_of_others_and_of_the_other_mode_are_not_told(start, order, other):
    sender = start(hook=Told())

    order("FILLED", **other)
    sender.turns()

    assert kinds() == kinds("LIVE") == []


def test_a_fill_is_told_with_price_value_ids_time_and_the_next_step(start, order, clock):
    channel = Told()
    sender = start(hook=channel, base_url="https://desk.example.com")

    row = order("FILLED", quantity=100, price=None, order_type="MARKET")
    Order.objects.filter(pk=row.pk).update(filled_quantity=100, average_price="123456.5")
    sender.turns()

    (words,) = channel.words
    assert words.title == "PAPER: Order filled: BUY 100 RELIANCE at ₹1,23,456.50"
    assert "100 of 100 filled, ₹1,23,45,650.00 in all; our id TEST1, broker’s SIM1." in words.text
    assert f"{clock().astimezone(sender.sender._desk.rules.signal_time_zone):%d %b %Y, %H:%M:%S} IST" in words.text
    assert "Next: Nothing to do." in words.text
    assert words.text.endswith(f"https://desk.example.com/admin/orders/order/{row.pk}/change/")
    assert words.tone == "success"


def test_a_rejection_says_why_and_without_a_base_url_there_is_no_link(start, order):
    channel = Told()
    sender = start(hook=channel)

    order("REJECTED", note="margin of 250000.5 INR is short")
    sender.turns()

    (words,) = channel.words
    assert "margin of ₹2,50,000.50 is short" in words.text
    assert "http" not in words.text


# --- Incidents --------------------------------------------------------------------------------------------------------


def test_every_kind_of_incident_is_told_or_is_said_not_to_be():
    assert set(Incident.Kind) == STOPS | ASIDE | set(INCIDENT_KINDS)


@pytest.mark.parametrize("kind", sorted(INCIDENT_KINDS))
def test_an_incident_is_told_as_what_it_is_with_its_own_next_step(start, incident, kind):
    channel = Told()
    sender = start(hook=channel)

    incident(kind, title="₹10000 of ₹1234567.5", what_to_do="Do this.", detail="so it was")
    sender.turns()

    assert kinds() == [INCIDENT_KINDS[Incident.Kind(kind)]]
    assert "₹10,000.00 of ₹12,34,567.50" in channel.titles[0]
    assert "Next: Do this." in channel.words[0].text


@pytest.mark.parametrize("kind", sorted(STOPS | ASIDE))
@pytest.mark.parametrize(("stops", "told"), [(True, ["STOPS_OPENING"]), (False, [])])
def test_another_incident_is_told_when_it_stops_opening(start, incident, kind, stops, told):
    sender = start(hook=Told())

    incident(kind, stops_opening=stops, symbol="INFY")
    sender.turns()

    assert kinds() == told


@pytest.mark.parametrize(("level", "kind"), [(50, "LIMIT_WARNING"), (80, "LIMIT_WARNING"), (100, "BREAKER")])
def test_exposure_warns_on_the_way_and_at_the_limit_is_the_breaker(start, incident, level, kind):
    sender = start(hook=Told())

    incident(Incident.Kind.EXPOSURE, subject=f"2026-11-27:NSE:INFY:10000:{level}")
    sender.turns()

    assert kinds() == [kind]


def test_an_incident_that_is_seen_again_is_told_once_and_one_that_comes_anew_again(start, incident, clock):
    sender = start(hook=Told())
    first = incident(Incident.Kind.ORDER_IN_DOUBT)
    sender.turns()

    incident(Incident.Kind.ORDER_IN_DOUBT)
    sender.turns()
    assert kinds() == ["ORDER_IN_DOUBT"]

    first.resolve(by="rita", note="seen", now=clock())
    incident(Incident.Kind.ORDER_IN_DOUBT)
    sender.turns()
    assert kinds() == ["ORDER_IN_DOUBT"] * 2


# --- The switch -------------------------------------------------------------------------------------------------------


def test_a_halt_and_its_end_are_told_and_what_leaves_the_state_is_not(start, desk):
    channel = Told()
    sender = start(hook=channel)
    told: list[list[str]] = []

    def shown() -> dict[str, Any]:
        return {"now": desk.clock(), "version_shown": TradingControl.objects.get(mode=desk.mode).version}

    for act in (
        lambda: control.halt(desk.mode, by="priya", reason="odd fills", now=desk.clock()),
        lambda: control.halt(desk.mode, by="priya", reason="again", now=desk.clock()),
        lambda: control.resume(desk.mode, by="rita", reason="clear", **shown()),
        lambda: control.auto_trading_on(desk.mode, by="rita", reason="go", **shown()),
        lambda: control.auto_trading_off(desk.mode, by="rita", reason="lunch", now=desk.clock()),
        lambda: control.reduce_only(desk.mode, by="priya", reason="late", now=desk.clock()),
    ):
        before = len(kinds())
        act()
        sender.turns()
        told.append(kinds()[before:])

    assert told == [["HALTED"], [], ["RESUMED"], [], [], ["REDUCED"]]
    assert channel.words[0].title == "PAPER: Trading is halted, by priya"
    assert "Reason: odd fills" in channel.words[0].text


def test_the_executors_own_reduce_only_is_told_by_its_incident(start, desk, incident):
    sender = start(hook=Told())

    control.reduce_only(desk.mode, by="executor", reason="daily loss", now=desk.clock())
    incident(Incident.Kind.DAILY_LOSS)
    sender.turns()

    assert kinds() == ["BREAKER"]


def test_a_halt_of_the_other_mode_is_not_told(start, desk):
    sender = start(hook=Told())

    control.halt(Mode.LIVE, by="priya", reason="x", now=desk.clock())
    sender.turns()

    assert kinds() == kinds("LIVE") == []


# --- The day's trades -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trades", "limit", "told"),
    [
        (4, 10, []),
        (5, 10, ["LIMIT_WARNING"]),
        (7, 10, ["LIMIT_WARNING"]),
        (8, 10, ["LIMIT_WARNING"]),
        (10, 10, ["BREAKER"]),
        (3, 0, []),  # nothing may be opened at all: that is a choice
    ],
)
def test_the_days_trades_are_told_at_50_and_80_percent_and_at_their_limit(start, order, clock, trades, limit, told):
    RiskSettings.objects.update(daily_trades_max=limit)
    sender = start(hook=Told())

    for _ in range(trades):
        order()
    clock.advance(seconds=2)
    sender.turns()

    assert kinds() == told


def test_each_level_is_told_once_a_day(start, order, clock):
    RiskSettings.objects.update(daily_trades_max=10)
    sender = start(hook=Told())
    for count in (5, 1, 2):
        for _ in range(count):
            order()
        clock.advance(seconds=6)
        sender.turns()

    titles = list(Alert.objects.order_by("pk").values_list("title", flat=True))
    assert titles == ["Today's trades: 50 % of 10 are made", "Today's trades: 80 % of 10 are made"]


# --- All of them ------------------------------------------------------------------------------------------------------


def test_each_alert_leads_to_a_page_that_is_there(start, order, incident, desk, clock):
    sender = start(hook=Told())
    order("FILLED")
    incident(Incident.Kind.OVERFILL, stops_opening=True)
    control.halt(desk.mode, by="priya", reason="x", now=desk.clock())
    RiskSettings.objects.update(daily_trades_max=1)
    clock.advance(seconds=2)
    sender.turns()

    paths = set(Alert.objects.values_list("path", flat=True))
    paths |= {"/admin/orders/brokersession/", "/admin/start-of-day/", "/admin/orders/executorheartbeat/"}
    paths |= {"/admin/risk/risksettings/", "/admin/risk/incident/", "/admin/orders/alert/"}
    assert len(paths) >= 9
    for path in paths:
        assert resolve(path).url_name != "catch_all", path


def test_a_new_install_does_not_tell_of_history(start, order, incident, desk):
    order("FILLED")
    incident(Incident.Kind.ORDER_IN_DOUBT)
    control.halt(desk.mode, by="priya", reason="x", now=desk.clock())

    start(hook=Told()).turns()

    assert kinds() == []


def test_a_secret_in_a_reason_leaves_neither_in_a_row_nor_in_a_message(start, order):
    channel = Told()
    sender = start(hook=channel)

    order("REJECTED", note="access_token=abcdef0123456789 was refused")
    sender.turns()

    assert "abcdef0123456789" not in channel.words[0].text + Alert.objects.get().text
    assert "access_token=…" in channel.words[0].text


def test_a_quiet_kind_is_kept_and_not_sent(start, order, incident):
    channel = Told()
    sender = start(hook=channel, quiet=quiet_kinds(["ORDER_FILLED"]))

    order("FILLED")
    order("REJECTED")
    sender.turns()

    assert kinds() == ["ORDER_FILLED", "ORDER_REJECTED"]
    assert channel.titles == ["PAPER: Order rejected: BUY 10 RELIANCE"]


@pytest.mark.parametrize("kind", sorted(NEVER_QUIET))
def test_what_nobody_may_miss_cannot_be_quiet(kind):
    assert kind in URGENT
    with pytest.raises(CannotBeQuiet, match=f"names {kind}, which is always sent"):
        quiet_kinds(["RESUMED", kind])


def test_a_kind_that_does_not_exist_is_refused_by_name():
    with pytest.raises(CannotBeQuiet, match="'FILLS'"):
        quiet_kinds(["FILLS"])
    assert quiet_kinds([" resumed "]) == {Kind.RESUMED}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("₹10000.00 is used", "₹10,000.00 is used"),
        ("1234567.5 INR lost, the limit is 2000 INR", "₹12,34,567.50 lost, the limit is ₹2,000.00"),
        ("₹12,34,567.50 stays", "₹12,34,567.50 stays"),
        ("order 2611270001 of 10000 shares", "order 2611270001 of 10000 shares"),
    ],
)
def test_amounts_have_indian_grouping(text, told):
    assert with_rupees(text) == told


@pytest.mark.parametrize("beside", [None, "SIGNAL_GAP", "LOSS_WARNING"])
def test_an_outage_that_comes_again_before_it_was_resolved_is_told_again(start, incident, desk, clock, beside):
    """The incident only counts: what is told is that the executor turned auto-trading off once more."""
    sender = start(hook=Told())
    for _ in range(2):
        shown = TradingControl.objects.get(mode=desk.mode).version
        control.auto_trading_on(desk.mode, by="rita", reason="clear", now=desk.clock(), version_shown=shown)
        control.auto_trading_off(desk.mode, by="executor", reason="the broker cannot be read", now=desk.clock())
        incident("BROKER_UNREACHABLE")
        sender.turns()
        clock.advance(hours=4)
        if beside:  # in the moment of the second one, and about something else
            incident(beside)

    assert kinds().count("ATTENTION") == 2
    again = Alert.objects.filter(kind="ATTENTION").order_by("pk").last()
    assert again.title == "Auto-trading was turned off once more"
    assert "the broker cannot be read" in again.text
