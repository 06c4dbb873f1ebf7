"""Live: the same code at another address, which sends nothing before a person armed it. Zerodha is a paper server."""

from __future__ import annotations

import threading
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from orders import by_hand, execution
from orders.broker.kite import KiteGateway
from orders.broker.sessions import TokenVault
from orders.deciding import ManualOrder, OrderDenied
from orders.desk import Desk
from orders.models import BrokerSession, Order
from orders.quotes import load_instruments
from orders.reconciliation import reconcile
from orders.start import StartRefused, prepare_start
from orders.tracker import Tracker
from risk import control
from risk.engine.facts import OrderType, Side
from risk.models import Mode, TradingControl
from tests.conftest import keep_the_market_open
from tests.executor_process import manage
from tests.orders.paper.paper_process import API_SECRET

pytestmark = pytest.mark.django_db


@pytest.fixture
def zerodha(paper):
    return paper


@pytest.fixture
def live(zerodha, clock) -> Desk:
    vault = TokenVault(Mode.LIVE, secret_key="a secret of the suite")
    vault.keep(zerodha.log_in("live-key"), user_id="PAPER1", now=clock())
    gateway = KiteGateway(api_key="live-key", root=zerodha.root, access_token=vault.token)
    desk = Desk(mode=Mode.LIVE, gateway=gateway, vault=vault, clock=clock)
    load_instruments(desk, "NSE")
    reconcile(desk)
    keep_the_market_open(clock())
    return desk


@pytest.fixture
def buy() -> ManualOrder:
    return ManualOrder(
        token="form-1",
        side=Side.BUY,
        exchange="NSE",
        symbol="RELIANCE",
        quantity=1,
        order_type=OrderType.LIMIT,
        limit_price=Decimal("1400.00"),
        by="priya",
    )


def arm(user_id: str, desk: Desk) -> None:
    shown = TradingControl.objects.get(mode=Mode.LIVE).version
    control.arm_live(user_id=user_id, by="asha", now=desk.clock(), version_shown=shown)


def refusals(denial: pytest.ExceptionInfo[OrderDenied]) -> set[str]:
    return {verdict["control"] for verdict in denial.value.decision.verdicts if not verdict["passed"]}


def test_nothing_is_sent_before_live_is_armed(live, buy, zerodha):
    with pytest.raises(OrderDenied) as denial:
        by_hand.place(live, buy)

    assert refusals(denial) == {"LIVE_NOT_ARMED"}
    assert zerodha.accepted() == []


def test_armed_for_another_account_nothing_is_sent(live, buy, zerodha):
    arm("SOMEBODY", live)

    with pytest.raises(OrderDenied) as denial:
        by_hand.place(live, buy)

    assert refusals(denial) == {"LIVE_NOT_ARMED"}
    assert zerodha.accepted() == []


def test_armed_for_this_account_an_order_goes_out_as_live(live, buy, zerodha):
    arm("PAPER1", live)

    order = by_hand.place(live, buy)

    assert order.mode == Mode.LIVE
    assert zerodha.accepted() == [order.broker_order_id]


def test_auto_trading_cannot_be_turned_on_before_live_is_armed(live):
    shown = TradingControl.objects.get(mode=Mode.LIVE).version

    with pytest.raises(control.LooseningRefused, match="arm it for your Kite user id"):
        control.auto_trading_on(Mode.LIVE, by="priya", reason="go", now=live.clock(), version_shown=shown)


def test_after_six_in_the_morning_nothing_is_sent_without_a_new_login(live, buy, clock, zerodha):
    arm("PAPER1", live)
    clock.advance(days=1)
    BrokerSession.objects.filter(mode=Mode.LIVE).update(reconciled_at=clock())

    with pytest.raises(OrderDenied) as denial:
        by_hand.place(live, buy)

    assert refusals(denial) == {"BROKER_SESSION_INVALID"}
    assert zerodha.accepted() == []


def test_a_mistyped_account_at_arming_does_not_cost_the_login(live):
    arm("SOMEBODY", live)

    Tracker(live, ready=threading.Event(), busy_seconds=0).turn()

    session = BrokerSession.objects.get(mode=Mode.LIVE)
    assert session.refused_at is None
    assert "armed for SOMEBODY" in session.last_error


def test_live_does_not_start_over_unfinished_paper_orders(live, desk, zerodha, buy):
    zerodha.fault("place", "hold_fill")
    paper_order = by_hand.place(desk, buy)
    assert paper_order.is_unfinished

    with pytest.raises(StartRefused, match="1 PAPER orders are unfinished"):
        prepare_start(live)


@pytest.mark.django_db(transaction=True)
def test_the_daily_login_keeps_an_encrypted_token(zerodha, tmp_path: Path):
    live_settings = {
        "KITE_API_KEY": "live-key",
        "KITE_API_SECRET": API_SECRET,
        "KITE_ROOT_URL": zerodha.root,
        "SECRET_KEY": "a secret of the suite",
    }

    where = manage("kite_login", paper_url="", **live_settings)
    done = manage("kite_login", "--request-token", zerodha.request_token("live-key"), paper_url="", **live_settings)

    assert "api_key=live-key" in where.stdout
    assert "logged in as PAPER1" in done.stdout, done.stderr
    session = BrokerSession.objects.get(mode=Mode.LIVE)
    vault = TokenVault(Mode.LIVE, secret_key="a secret of the suite")
    assert vault.token()
    assert vault.token() not in session.access_token
    assert Order.objects.count() == 0


def test_once_disarmed_nothing_is_sent_and_cancels_are(live, buy, zerodha):
    arm("PAPER1", live)
    zerodha.fault("place", "hold_fill")
    resting = by_hand.place(live, buy)

    control.disarm_live(by="priya", reason="month end", now=live.clock())
    with pytest.raises(OrderDenied) as denial:
        by_hand.place(live, replace(buy, token="form-2"))
    execution.cancel(live, resting, by="priya", reason="month end")
    reconcile(live)

    resting.refresh_from_db()
    assert "LIVE_NOT_ARMED" in refusals(denial)
    assert zerodha.accepted() == [resting.broker_order_id]
    assert resting.status == "CANCELLED"
