"""The steps to live money: what is green at its limit and not just before it, who goes on, and what is kept of it."""

from __future__ import annotations

import itertools
from datetime import date, datetime, timedelta
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, transaction
from django.utils import timezone

from orders import going_live, small_limits
from orders.backup_files import named
from orders.broker.sessions import TokenVault
from orders.desk import Desk, trading_date
from orders.going_live import StepRefused, arm, begin_anew, go_past, pass_step, present_step, steps
from orders.going_live_checks import CHECKS, Standing, _days_in_a_row
from orders.models import EndOfDay, GoingLiveStep, LineProof, Order, ShadowQuote, Signal
from orders.session_hours import SHARES
from orders.small_limits import hold_small
from orders.start_of_day import State
from risk import calendar
from risk.control import LooseningRefused
from risk.engine.sessions import MUMBAI
from risk.models import Incident, Mode, RiskSettings, SessionRule, TradingControl, TradingControlEvent
from tests.conftest import keep_the_market_open
from tests.orders.test_small_limits import wished

pytestmark = pytest.mark.django_db

NOW = timezone.now()
TODAY = trading_date(NOW)
NUMBERS = itertools.count(1)
Step = GoingLiveStep.Step


def order(mode: str, **changes) -> Order:
    number = next(NUMBERS)
    usual = {
        "mode": mode,
        "client_order_id": f"TEST{number:016}",
        "broker_order_id": f"SIM{number}",
        "origin": "AUTO",
        "exchange": "NSE",
        "symbol": "RELIANCE",
        "side": "BUY",
        "product": "CNC",
        "order_type": "LIMIT",
        "quantity": 1,
        "price": Decimal(1400),
        "status": "FILLED",
        "filled_quantity": 1,
        "trading_date": TODAY,
        "created_at": NOW,
    }
    made = Order.objects.create(**{**usual, **changes})
    if mode == Mode.SHADOW and made.filled_quantity:
        quote(client_order_id=made.client_order_id)
    return made


def quote(**changes) -> ShadowQuote:
    usual = {"moment": "ORDER", "exchange": "NSE", "symbol": "RELIANCE", "trading_date": TODAY, "at": NOW}
    return ShadowQuote.objects.create(**{**usual, "last_price": Decimal(1400), **changes})


def signals(mode: str, count: int, status: str = "APPROVED") -> None:
    for _ in range(count):
        number = next(NUMBERS)
        Signal.objects.create(
            mode=mode,
            signal_id=f"s{number}",
            digest=f"{number}",
            source="CHANNEL",
            raw=b"",
            received_at=NOW,
            status=status,
        )


def exchange_days() -> list[date]:
    """Return the days on which shares trade, the newest first. Where the database was emptied, they are made."""
    if not SessionRule.objects.exists():
        keep_the_market_open(NOW)
    known, days = calendar.load(), [TODAY - timedelta(days=ago) for ago in range(30)]
    return [each for each in days if any(known.trading_day(group, each) for group in SHARES)]


def day(mode: str, ago: int, **changes) -> EndOfDay:
    """Keep the report of that many of the exchange's days ago."""
    usual = {"mode": mode, "taken_at": NOW, "taken_by": "executor", "book_as_of": NOW, "breaks": 0, "orders": 1}
    on = changes.get("trading_date") or exchange_days()[ago]
    return EndOfDay.objects.create(
        **{**usual, "fills": 1, "figures": {}, "sections": [], "trading_date": on, **changes}
    )


def switched(mode: str, *states: str) -> None:
    for state in states:
        TradingControlEvent.objects.create(
            mode=mode, at=NOW, actor="rita", state=state, auto_trading=False, version=1000 + next(NUMBERS)
        )


def proof(mode: str, verdict: str = "PROVED", **changes) -> LineProof:
    usual = {"exchange": "NSE", "symbol": "ITC", "begun_at": NOW, "begun_by": "rita", "ended_at": NOW}
    return LineProof.objects.create(mode=mode, token=f"t{next(NUMBERS)}", verdict=verdict, **{**usual, **changes})


def rehearsed(**less: int) -> None:
    """Make the rehearsal green, or just so much less."""
    signals(Mode.PAPER, less.get("signals", 20))
    for _ in range(less.get("fills", 4)):
        order(Mode.PAPER)
    for _ in range(less.get("exits", 1)):
        order(Mode.PAPER, is_exit=True, side="SELL")
    if less.get("walks", 1):
        order(Mode.PAPER, created_by="demo", status="CANCELLED", filled_quantity=0)
    switched(Mode.PAPER, *(["HALTED", "ACTIVE"][: less.get("switches", 2)]))
    for _ in range(less.get("proofs", 1)):
        proof(Mode.PAPER)
    for ago in range(less.get("days", 2)):
        day(Mode.PAPER, ago)


def shadowed(**less: int) -> None:
    signals(Mode.SHADOW, less.get("signals", 10))
    for _ in range(less.get("fills", 3)):
        order(Mode.SHADOW)
    for ago in range(less.get("closes", 3)):
        quote(moment="CLOSE", trading_date=TODAY - timedelta(days=ago))
    for ago in range(less.get("days", 3)):
        day(Mode.SHADOW, ago)


def lacking(step: Step, now=NOW) -> list[str]:
    return [check.title for check in CHECKS[step](Standing(now=now)) if check.state == State.BAD]


@pytest.mark.parametrize(
    ("less", "title"),
    [
        ({}, None),
        ({"signals": 19}, "Signals decided"),
        ({"fills": 3}, "Orders filled"),
        ({"exits": 0, "fills": 5}, "Exits"),
        ({"walks": 0}, "Walks of manage.py demo"),
        ({"switches": 1}, "A halt and a resume"),
        ({"switches": 0}, "A halt and a resume"),
        ({"proofs": 0}, "Proofs of the line, rehearsed"),
        ({"days": 1}, "Days in a row whose books agreed"),
    ],
)
def test_the_rehearsal_is_green_at_its_limits_and_not_below(less, title):
    rehearsed(**less)

    assert lacking(Step.REHEARSE) == ([title] if title else [])


@pytest.mark.parametrize(
    ("less", "title"),
    [
        ({}, None),
        ({"signals": 9}, "Signals decided"),
        ({"fills": 2}, "Orders filled"),
        ({"closes": 2}, "Days with closing prices"),
        ({"days": 2}, "Days in a row whose books agreed"),
    ],
)
def test_the_shadow_is_green_at_its_limits_and_not_below(less, title):
    shadowed(**less)

    assert lacking(Step.SHADOW) == ([title] if title else [])


MONDAY = datetime(2026, 11, 30, 9, 0, tzinfo=MUMBAI)  # Tuesday 24 November was a holiday
IN_A_ROW = "Days in a row whose books agreed"


def in_a_row(*days: int, now: datetime = MONDAY, **newest) -> str:
    """Return what is measured with a report on each of these days of November 2026, the newest with its changes."""
    for number in days:
        changes = newest if number == days[-1] else {}
        day(Mode.SHADOW, 0, trading_date=date(2026, 11, number), **changes)
    return measured(now)


def measured(now: datetime) -> str:
    (found,) = [check for check in CHECKS[Step.SHADOW](Standing(now=now)) if check.title == IN_A_ROW]
    assert (found.state == State.GOOD) == found.measured.startswith("3 of 3")
    return found.measured


@pytest.mark.parametrize(
    ("days", "told"),
    [
        ((25, 26, 27), "3 of 3"),  # the weekend since is no gap, and Monday's is still to come
        ((23, 25, 26, 27), "3 of 3"),
        ((23, 26, 27), "2 of 3; before them 25 Nov 2026: no report"),
        ((20, 25, 26, 27, 30), "3 of 3"),
        ((23, 25, 30), "1 of 3; before them 27 Nov 2026: no report"),
        ((23, 25, 26), "0 of 3; before them 27 Nov 2026: no report"),
        ((26, 27, 28), "2 of 3; before them 25 Nov 2026: no report"),  # Saturday counts for nothing
        ((26, 27, 28, 29, 30), "3 of 3"),
        ((), "0 of 3"),
    ],
)
def test_days_in_a_row_are_the_exchanges(days, told):
    assert in_a_row(*days) == told


def test_over_a_holiday_two_days_are_in_a_row():
    """Monday the 23rd and Wednesday the 25th."""
    assert in_a_row(20, 23, 25, now=datetime(2026, 11, 25, 18, 0, tzinfo=MUMBAI)) == "3 of 3"


def test_the_days_of_another_mode_are_not_in_the_row():
    """Two of the shadow's, and before them one on paper."""
    day(Mode.PAPER, 0, trading_date=date(2026, 11, 25))

    assert in_a_row(26, 27) == "2 of 3; before them 25 Nov 2026: no report"


@pytest.mark.parametrize(("since", "count"), [(25, 3), (26, 2)])
def test_the_row_begins_with_the_day_it_is_counted_from(since, count):
    for number in (25, 26, 27):
        day(Mode.LIVE, 0, trading_date=date(2026, 11, number))

    assert _days_in_a_row(Mode.LIVE, 3, MONDAY.date(), date(2026, 11, since)) == (count, "")


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"breaks": 2}, "2 differences"), ({"is_late": True, "book_as_of": None}, "taken late")],
)
@pytest.mark.parametrize("newest", [27, 28])  # a Friday, and a Saturday without a session
def test_a_difference_ends_them_on_a_day_without_a_session_too(changes, why, newest):
    told = in_a_row(23, 25, 26, *range(27, newest + 1), **changes)

    assert told == f"0 of 3; before them {newest} Nov 2026: {why}"


@pytest.mark.parametrize("hour", [0, 23])
def test_today_is_the_date_in_mumbai(hour):
    """Until midnight there the report of the 27th is still to come, and then it is lacking."""
    moment = datetime(2026, 11, 27, hour, 59, 59, tzinfo=MUMBAI)
    assert in_a_row(25, 26, now=moment).startswith("2 of 3; before them 23 Nov 2026")

    assert measured(moment.replace(hour=23) + timedelta(seconds=1)) == "0 of 3; before them 27 Nov 2026: no report"


def test_signals_that_were_not_decided_do_not_count():
    rehearsed(signals=19)
    for status in ("RECEIVED", "MALFORMED", "FAILED"):
        signals(Mode.PAPER, 1, status)

    assert lacking(Step.REHEARSE) == ["Signals decided"]


def test_what_happened_in_one_mode_is_nothing_in_another():
    rehearsed()

    assert "Orders filled" in lacking(Step.SHADOW)
    assert lacking(Step.LINE) == ["The line to the broker"]


def test_a_fill_in_the_shadow_without_the_real_market_proves_nothing():
    shadowed()
    ShadowQuote.objects.filter(moment="ORDER")
    made = order(Mode.SHADOW, status="PARTIALLY_FILLED", filled_quantity=0)
    Order.objects.filter(pk=made.pk).update(filled_quantity=1)

    assert "Fills without the real market beside them" in lacking(Step.SHADOW)


@pytest.mark.parametrize(
    ("newest", "broken"), [({"breaks": 1}, True), ({"is_late": True, "book_as_of": None}, True), ({}, False)]
)
def test_the_newest_day_ends_the_row_of_good_ones(newest, broken):
    rehearsed(days=0)
    day(Mode.PAPER, 2), day(Mode.PAPER, 1), day(Mode.PAPER, 0, **newest)

    assert lacking(Step.REHEARSE) == (["Days in a row whose books agreed"] if broken else [])


@pytest.mark.parametrize(
    ("left", "title"),
    [
        (lambda mode: order(mode, status="IN_DOUBT", filled_quantity=0), "Orders in doubt"),
        (
            lambda mode: order(mode, status="OPEN", filled_quantity=0, trading_date=TODAY - timedelta(days=1)),
            "Unfinished orders of past days",
        ),
        (
            lambda mode: Incident.objects.open("OVERFILL", mode=mode, title="x", now=NOW, stops_opening=True),
            "Incidents that stop new exposure",
        ),
    ],
)
@pytest.mark.parametrize("step", [Step.REHEARSE, Step.SHADOW, Step.LINE])
def test_what_is_left_open_keeps_any_step_from_green(step, left, title):
    mode = {Step.REHEARSE: Mode.PAPER, Step.SHADOW: Mode.SHADOW, Step.LINE: Mode.LIVE}[step]
    rehearsed(), shadowed(), proof(Mode.LIVE)
    assert lacking(step) == []

    left(mode)

    assert lacking(step) == [title]


def test_what_is_resting_today_or_stops_nothing_is_in_nobodys_way():
    proof(Mode.LIVE)
    order(Mode.LIVE, status="OPEN", filled_quantity=0)
    Incident.objects.open("SIGNAL_GAP", mode=Mode.LIVE, title="x", now=NOW)

    assert lacking(Step.LINE) == []


@pytest.mark.parametrize(
    ("proofs", "green"),
    [
        ([], False),
        ([(Mode.PAPER, "PROVED")], False),
        ([(Mode.LIVE, "PROVED")], True),
        ([(Mode.LIVE, "ADDRESS")], False),
        ([(Mode.LIVE, "ADDRESS"), (Mode.LIVE, "PROVED")], True),
        ([(Mode.LIVE, "PROVED"), (Mode.LIVE, "LOGIN")], False),
    ],
)
def test_the_line_is_as_its_newest_live_proof_found_it(proofs, green):
    for mode, verdict in proofs:
        proof(mode, verdict)

    assert (lacking(Step.LINE) == []) is green


# --- One share, one symbol --------------------------------------------------------------------------------------------


def small_days(desk: Desk, orders: int = 3, days: int = 3, **changes) -> None:
    held = hold_small("NSE", "RELIANCE", wished(now=NOW - timedelta(days=10)))
    assert held.step == Step.ONE_SHARE
    for _ in range(orders):
        order(Mode.LIVE, **changes)
    for ago in range(days):
        day(Mode.LIVE, ago)


@pytest.mark.parametrize(
    ("given", "titles"),
    [
        ({}, []),
        ({"orders": 2}, ["Orders filled and ended since"]),
        ({"days": 2}, ["Days in a row whose books agreed"]),
        ({"symbol": "INFY"}, ["Fills of other symbols since"]),
        ({"created_at": NOW - timedelta(days=11)}, ["Orders filled and ended since"]),
        ({"status": "PARTIALLY_FILLED", "quantity": 2}, ["Orders filled and ended since"]),
    ],
)
def test_the_small_days_are_green_at_their_limits_and_not_below(desk, given, titles):
    small_days(desk, **given)

    assert lacking(Step.ONE_SHARE) == titles


def test_without_small_limits_no_day_counts(desk):
    for ago in range(5):
        day(Mode.LIVE, ago)

    assert lacking(Step.ONE_SHARE) == ["Limits held small"]


def test_a_day_before_the_limits_were_small_does_not_count(desk):
    hold_small("NSE", "RELIANCE", wished(now=NOW))
    for ago in range(4):
        day(Mode.LIVE, ago)

    assert "Days in a row whose books agreed" in lacking(Step.ONE_SHARE)


@pytest.mark.parametrize(("trades", "titles"), [(3, []), (4, []), (5, ["Limits held small"])])
def test_a_limit_that_was_loosened_meanwhile_is_named_and_a_tighter_one_is_not(desk, trades, titles):
    small_days(desk)
    RiskSettings.objects.update(daily_trades_max=trades)

    assert lacking(Step.ONE_SHARE) == titles


# --- Full -------------------------------------------------------------------------------------------------------------

OF_THE_DESK = {"ALERT_URLS": "json://x", "REQUIRE_SECOND_FACTOR": True}


def lay_backup(folder, taken_at):
    for file in named(folder, taken_at).files:
        file.write_bytes(b"x")


@pytest.fixture
def ready(settings, monkeypatch, tmp_path):
    settings.BACKUP_DIR = tmp_path / "backups"
    settings.BACKUP_DIR.mkdir()
    lay_backup(settings.BACKUP_DIR, NOW)
    for name, value in OF_THE_DESK.items():
        setattr(settings, name, value)
    monkeypatch.setattr("orders.going_live_checks.system_checks.run_checks", lambda **_: [])
    proof(Mode.LIVE)


@pytest.mark.parametrize(
    ("missing", "title"),
    [
        (None, None),
        ("ALERT_URLS", "Alerts"),
        ("REQUIRE_SECOND_FACTOR", "Second factor"),
    ],
)
def test_the_last_step_names_what_a_desk_needs_and_has_not(ready, settings, missing, title):
    if missing:
        setattr(settings, missing, type(OF_THE_DESK[missing])())

    assert lacking(Step.FULL) == ([title] if title else [])


@pytest.mark.parametrize(("hours", "titles"), [(47, []), (49, ["Backups"]), (None, ["Backups"])])
def test_a_backup_of_the_last_two_days_must_be_there(ready, settings, tmp_path, hours, titles):
    settings.BACKUP_DIR = tmp_path
    if hours is not None:
        lay_backup(tmp_path, NOW - timedelta(hours=hours))

    assert lacking(Step.FULL) == titles


def test_the_last_step_asks_djangos_own_checks(ready, monkeypatch):
    from django.core.checks import Warning as Found

    monkeypatch.setattr(
        "orders.going_live_checks.system_checks.run_checks", lambda **_: [Found("x", id="security.W008")]
    )

    assert lacking(Step.FULL) == ["manage.py check --deploy"]


def test_the_last_step_waits_for_the_limits_to_be_lifted(ready, desk):
    hold_small("NSE", "RELIANCE", wished(now=NOW))
    assert lacking(Step.FULL) == ["The small limits"]

    small_limits.lift(wished(now=NOW))

    assert lacking(Step.FULL) == []


# --- Going on ---------------------------------------------------------------------------------------------------------


def said(**changes) -> dict:
    return {"by": "rita", "reason": "", "now": NOW, **changes}


def test_a_green_step_is_passed_and_what_was_measured_is_kept():
    rehearsed()

    row = pass_step(Step.REHEARSE, **said())

    assert (row.said, row.by, row.reason) == ("PASSED", "rita", "")
    assert row.facts["Signals decided"] == {"state": "good", "measured": "20 of 20"}
    assert present_step() == Step.SHADOW


@pytest.mark.parametrize(
    ("use_case", "step", "reason", "prepared", "words"),
    [
        (pass_step, Step.REHEARSE, "", False, "Rehearse is not green: Signals decided"),
        (pass_step, Step.SHADOW, "", True, "Shadow is not the present step: the present step is Rehearse"),
        (go_past, Step.SHADOW, "no time", False, "Shadow is not the present step"),
        (go_past, Step.REHEARSE, " ", False, "say why"),
        (go_past, Step.REHEARSE, "no time", True, "Rehearse is green: pass it"),
        (begin_anew, Step.REHEARSE, "a new strategy", False, "Rehearse is not over"),
    ],
)
def test_no_step_is_skipped_silently(use_case, step, reason, prepared, words):
    if prepared:
        rehearsed()

    with pytest.raises(StepRefused, match=words):
        use_case(step, **said(reason=reason))

    assert not GoingLiveStep.objects.exists()


def test_a_step_is_gone_past_with_a_reason_that_is_kept():
    row = go_past(Step.REHEARSE, **said(reason="rehearsed on another machine"))

    assert (row.said, row.reason) == ("OVERRIDDEN", "rehearsed on another machine")
    assert row.facts["Signals decided"]["state"] == "bad"
    assert present_step() == Step.SHADOW


def test_of_two_people_who_pass_a_step_the_second_is_told():
    rehearsed()
    pass_step(Step.REHEARSE, **said())

    with pytest.raises(StepRefused, match="the present step is Shadow"):
        pass_step(Step.REHEARSE, **said(by="priya"))


def test_a_step_that_is_begun_anew_takes_those_after_it_along():
    for step in (Step.REHEARSE, Step.SHADOW, Step.LINE):
        go_past(step, **said(reason="elsewhere"))

    begin_anew(Step.SHADOW, **said(reason="a new strategy"))

    assert present_step() == Step.SHADOW
    assert [each.is_over for each in steps(NOW)] == [True, False, False, False, False]
    assert GoingLiveStep.objects.filter(said="REOPENED").count() == 2


def test_after_the_last_step_there_is_none_to_go_on_with():
    for step in Step:
        go_past(step, **said(reason="elsewhere"))

    assert present_step() is None
    with pytest.raises(StepRefused, match="every step is over"):
        go_past(Step.FULL, **said(reason="again"))


def test_what_was_said_is_never_changed():
    go_past(Step.REHEARSE, **said(reason="elsewhere"))

    with pytest.raises(ProgrammingError, match="Cannot update"), transaction.atomic():
        GoingLiveStep.objects.update(reason="all was well")


def test_limits_held_small_are_no_word_about_the_step(desk):
    hold_small("NSE", "RELIANCE", wished(now=NOW))

    assert present_step() == Step.REHEARSE
    assert [each.is_over for each in steps(NOW)] == [False] * 5


# --- Arming -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def logged_in(desk) -> Desk:
    vault = TokenVault(Mode.LIVE, secret_key="a secret of the suite")
    vault.keep("token", user_id="AB1234", now=desk.clock())
    return Desk(mode=Mode.LIVE, gateway=desk.gateway, vault=vault, clock=desk.clock)


def shown() -> int:
    return TradingControl.objects.get(mode=Mode.LIVE).version


def armed(desk, reason: str, user_id: str = "AB1234") -> str:
    return arm(desk, user_id=user_id, by="asha", reason=reason, version_shown=shown()).armed_user_id


def test_arming_before_the_steps_asks_why_and_keeps_it(logged_in):
    with pytest.raises(LooseningRefused, match="not passed before live: Rehearse and Shadow"):
        armed(logged_in, " ")
    assert not GoingLiveStep.objects.exists()

    assert armed(logged_in, "tried for years on another system") == "AB1234"

    rows = list(GoingLiveStep.objects.order_by("id").values_list("step", "said", "by", "reason"))
    why = "armed live: tried for years on another system"
    assert rows == [("REHEARSE", "OVERRIDDEN", "asha", why), ("SHADOW", "OVERRIDDEN", "asha", why)]
    assert present_step() == Step.LINE


def test_arming_after_the_steps_asks_nothing(logged_in):
    for step in (Step.REHEARSE, Step.SHADOW):
        go_past(step, **said(reason="elsewhere"))

    assert armed(logged_in, "") == "AB1234"
    assert GoingLiveStep.objects.count() == 2


def test_an_arming_that_is_refused_keeps_nothing(logged_in):
    with pytest.raises(LooseningRefused, match="you typed SOMEBODY"):
        armed(logged_in, "in a hurry", user_id="SOMEBODY")

    assert not GoingLiveStep.objects.exists()


# --- The command ------------------------------------------------------------------------------------------------------


def test_the_command_ends_with_1_while_the_present_step_is_not_green():
    out = StringIO()

    with pytest.raises(CommandError, match="Rehearse is not green: "):
        call_command("going_live", stdout=out)

    assert "1. Rehearse: the present step" in out.getvalue()
    assert "BAD     Signals decided" in out.getvalue()
    assert "2. Shadow: not reached" in out.getvalue()


def test_the_command_ends_well_when_the_present_step_is_green():
    go_past(Step.REHEARSE, **said(reason="elsewhere"))
    shadowed()
    out = StringIO()

    call_command("going_live", stdout=out)

    assert "1. Rehearse: gone past by rita" in out.getvalue()
    assert "2. Shadow: the present step, green: a person passes it" in out.getvalue()


def test_every_step_says_what_it_is_about():
    assert set(going_live.ABOUT) == set(CHECKS) == set(Step)
