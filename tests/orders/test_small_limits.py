"""Limits for the first days with real money: held small at once, and lifted by a person under the house's rule."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission, User
from django.utils import timezone

from orders import by_hand
from orders.deciding import ManualOrder, OrderDenied
from orders.models import GoingLiveStep, Instrument
from orders.small_limits import SMALL, Wished, held_small, hold_small, lift, still_held
from risk import approvals, limit_versions
from risk.engine.facts import OrderType, Side
from risk.four_eyes import ChangeRefused, House
from risk.limit_versions import LimitsChanged
from risk.models import LimitChange, Mode, RiskSettings, RiskSettingsVersion

pytestmark = pytest.mark.django_db

NOW = timezone.now()
BEFORE = {"daily_trades_max": 10, "positions_max": 1000, "allowed_instruments": "NSE:EQ, BSE:EQ"}


def wished(**changes) -> Wished:
    author, _ = User.objects.get_or_create(username="rita", is_staff=True)
    author.user_permissions.add(Permission.objects.get(codename="change_risksettings"))
    usual = {
        "author": author,
        "reason": "the first days",
        "now": NOW,
        "house": House.of(needs="confirmation", mode=Mode.PAPER, ceilings={}),
        "version_shown": RiskSettings.objects.get().version,
    }
    return Wished(**{**usual, **changes})


def changed_by(row: GoingLiveStep) -> set[str]:
    return {name for name, text in row.facts["after"].items() if text != row.facts["before"][name]}


def in_force(now=NOW) -> RiskSettings:
    return limit_versions.in_force(now=now)


def test_they_are_in_force_at_once_as_one_version_with_its_author(desk):
    row = hold_small("NSE", "RELIANCE", wished())

    now = in_force()
    version = RiskSettingsVersion.objects.first()
    assert {name: getattr(now, name) for name in SMALL} == SMALL
    assert now.allowed_instruments == "NSE:EQ:RELIANCE"
    assert (version.author, version.reason, set(version.changed)) == ("rita", "the first days", changed_by(row))
    assert row.facts["before"]["allowed_instruments"] == "NSE:EQ, BSE:EQ"
    assert LimitChange.objects.count() == 0


def test_a_limit_that_is_tighter_already_stays(desk):
    RiskSettings.objects.update(daily_trades_max=2, daily_loss_max=Decimal(100))

    row = hold_small("NSE", "RELIANCE", wished())

    assert (in_force().daily_trades_max, in_force().daily_loss_max) == (2, Decimal(100))
    assert not {"daily_trades_max", "daily_loss_max"} & changed_by(row)
    assert row.facts["after"]["daily_trades_max"] == "2", "and is held there"


def test_where_nothing_is_rounded_up_the_size_of_an_entry_stays(desk):
    RiskSettings.objects.update(round_up_to_one_lot=False)

    hold_small("NSE", "RELIANCE", wished())

    assert in_force().position_size == Decimal(1000)


@pytest.mark.parametrize(
    ("symbol", "allowed", "words"),
    [
        ("NOWHERE", "NSE:EQ", "is not a share in the broker's list"),
        ("LOTS", "NSE:EQ", "is not a share in the broker's list"),
        ("RELIANCE", "BSE:EQ", "NSE:EQ:RELIANCE is not among the allowed instruments"),
        ("RELIANCE", "NSE:EQ:INFY", "NSE:EQ:RELIANCE is not among the allowed instruments"),
    ],
)
def test_only_an_allowed_share_can_be_the_one(desk, symbol, allowed, words):
    Instrument.objects.filter(exchange="NSE", symbol="TCS").update(symbol="LOTS", lot_size=25)
    RiskSettings.objects.update(allowed_instruments=allowed)

    with pytest.raises(ChangeRefused, match=words):
        hold_small("NSE", symbol, wished())

    assert not GoingLiveStep.objects.exists()


def test_a_second_time_there_is_nothing_to_hold(desk):
    hold_small("NSE", "RELIANCE", wished())

    with pytest.raises(ChangeRefused, match="as small already"):
        hold_small("NSE", "RELIANCE", wished())


def test_held_small_again_all_of_it_is_watched_and_goes_back_to_what_it_was_first(desk):
    hold_small("NSE", "RELIANCE", wished())
    RiskSettings.objects.update(daily_trades_max=10)  # a person lets one of them go

    row = hold_small("NSE", "RELIANCE", wished(version_shown=RiskSettings.objects.get().version))

    assert changed_by(row) == set(SMALL) | {"allowed_instruments"}
    RiskSettings.objects.update(order_quantity_max=100)
    assert "order_quantity_max" not in still_held(in_force(), held_small())
    RiskSettings.objects.update(order_quantity_max=1)
    lift(wished(version_shown=RiskSettings.objects.get().version))
    assert {name: getattr(in_force(), name) for name in BEFORE} == BEFORE


def test_a_page_that_was_opened_before_another_change_is_refused(desk):
    with pytest.raises(LimitsChanged):
        hold_small("NSE", "RELIANCE", wished(version_shown=0))


# --- What may be traded then ------------------------------------------------------------------------------------------


def buy(symbol: str, quantity: int, token: str) -> ManualOrder:
    return ManualOrder(
        token=token,
        side=Side.BUY,
        exchange="NSE",
        symbol=symbol,
        quantity=quantity,
        order_type=OrderType.MARKET,
        limit_price=None,
        by="rita",
    )


def refused(desk, wish: ManualOrder) -> set[str]:
    try:
        by_hand.place(desk, wish)
    except OrderDenied as denial:
        return {verdict["control"] for verdict in denial.decision.verdicts if not verdict["passed"]}
    return set()


@pytest.mark.parametrize(
    ("symbol", "quantity", "controls"),
    [
        ("RELIANCE", 1, set()),
        ("RELIANCE", 2, {"ORDER_QTY_EXCEEDED"}),
        ("INFY", 1, {"INSTRUMENT_RESTRICTED"}),
    ],
)
def test_one_share_of_the_one_symbol_may_be_bought(desk, symbol, quantity, controls):
    hold_small("NSE", "RELIANCE", wished())

    assert refused(desk, buy(symbol, quantity, "form-1")) == controls


def test_what_is_held_is_not_added_to_and_can_be_sold(desk, follow, received):
    hold_small("NSE", "RELIANCE", wished())
    bought = follow(received())
    assert (bought.status, bought.quantity) == ("FILLED", 1)

    assert refused(desk, buy("RELIANCE", 1, "form-2")) >= {"ADDING_NOT_ALLOWED"}
    sold = follow(received(signal_type="SELL", cms_score=-75))

    assert (sold.status, sold.quantity) == ("FILLED", 1)


# --- Lifting ----------------------------------------------------------------------------------------------------------


def house(needs: str, mode: str) -> House:
    return House.of(needs=needs, mode=mode, ceilings={})


@pytest.mark.parametrize(
    ("needs", "mode", "at_once", "after_a_minute"),
    [
        ("confirmation", Mode.PAPER, True, True),
        ("confirmation", Mode.LIVE, False, True),
        ("second_person", Mode.LIVE, False, False),
        ("second_person", Mode.PAPER, False, False),
    ],
)
def test_to_lift_them_is_a_loosening_like_any_other(desk, needs, mode, at_once, after_a_minute):
    hold_small("NSE", "RELIANCE", wished())

    row = lift(wished(house=house(needs, mode), reason="three good days"))

    assert (row.said, row.reason) == ("LIFTED", "three good days")
    assert bool(row.facts["waiting"]) is not at_once
    for moment, lifted in ((NOW, at_once), (NOW + timedelta(seconds=61), after_a_minute)):
        now = in_force(moment)
        assert {name: getattr(now, name) == value for name, value in BEFORE.items()} == dict.fromkeys(BEFORE, lifted)


def test_a_second_person_answers_each_and_never_who_wished(desk):
    hold_small("NSE", "RELIANCE", wished())
    by_two = house("second_person", Mode.LIVE)
    approving = Permission.objects.get(codename="approve_limits")
    rita = User.objects.get(username="rita")
    rita.user_permissions.add(approving)
    ravi = User.objects.create_user("ravi", is_staff=True)
    ravi.user_permissions.add(approving)
    lift(wished(house=by_two))
    wish = LimitChange.objects.pending().get(limit="allowed_instruments")

    with pytest.raises(ChangeRefused, match="you asked for it yourself"):
        approvals.approve(wish.pk, by=User.objects.get(pk=rita.pk), reason="", now=NOW, house=by_two)
    approvals.approve(wish.pk, by=User.objects.get(pk=ravi.pk), reason="seen", now=NOW, house=by_two)

    assert in_force().allowed_instruments == "NSE:EQ, BSE:EQ"
    assert in_force().daily_trades_max == 4


def test_what_was_tightened_further_meanwhile_is_not_lifted(desk):
    hold_small("NSE", "RELIANCE", wished())
    edited = in_force()
    edited.daily_trades_max = 2
    limit_versions.save(edited, ["daily_trades_max"], by="rita", reason="fewer", now=NOW)

    row = lift(wished())

    assert "daily_trades_max" not in row.facts["wished"]
    assert in_force().daily_trades_max == 2
    assert in_force().positions_max == 1000


def test_what_is_not_held_cannot_be_lifted(desk):
    with pytest.raises(ChangeRefused, match="no limit is held small"):
        lift(wished())
    hold_small("NSE", "RELIANCE", wished())
    lift(wished())

    with pytest.raises(ChangeRefused, match="no limit is held small"):
        lift(wished())


def test_a_ceiling_is_not_passed_by_lifting(desk):
    hold_small("NSE", "RELIANCE", wished())
    lowered = House.of(needs="confirmation", mode=Mode.PAPER, ceilings={"daily_trades_max": 5})

    with pytest.raises(ChangeRefused, match="the settings of this installation allow 5"):
        lift(wished(house=lowered))

    assert still_held(in_force(), held_small())
    assert not GoingLiveStep.objects.filter(said="LIFTED").exists()
