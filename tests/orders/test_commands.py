"""The commands: what they say, what they leave behind, and what they refuse."""

from __future__ import annotations

import json
from decimal import Decimal
from io import StringIO

import pytest
import redis
from django.core.management import CommandError, call_command

from orders import by_hand
from orders.deciding import ManualOrder
from orders.models import Decision, Fill, Order, OrderEvent, Position, Signal
from orders.reconciliation import reconcile
from risk.engine.facts import OrderType, Side
from risk.models import RiskSettings, RiskSettingsVersion, TradingControl, TradingControlEvent


def run(*arguments: str, **options: object) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out, stderr=out, **options)
    return out.getvalue()


@pytest.fixture
def resting_bid(desk) -> Order:
    wish = ManualOrder(
        token="form-1",
        side=Side.BUY,
        exchange="NSE",
        symbol="RELIANCE",
        quantity=1,
        order_type=OrderType.LIMIT,
        limit_price=Decimal("1390.00"),
        by="priya",
    )
    order = by_hand.place(desk, wish)
    reconcile(desk)
    return order


@pytest.fixture
def valkey(settings):
    client = redis.Redis.from_url(settings.REDIS_URL)
    client.flushall()
    yield client
    client.close()


def fills_at_once() -> ManualOrder:
    return ManualOrder(
        token="form-2",
        side=Side.BUY,
        exchange="NSE",
        symbol="RELIANCE",
        quantity=1,
        order_type=OrderType.LIMIT,
        limit_price=Decimal("1405.00"),
        by="priya",
    )


def test_halting_says_what_became_of_each_order(desk, resting_bid):
    said = run("halt_trading", "--reason", "a strange afternoon")

    assert "PAPER trading is HALTED" in said
    assert f"{resting_bid.client_order_id} BUY 1 RELIANCE: cancel asked for" in said
    assert TradingControl.objects.get(mode="PAPER").state == "HALTED"


def test_halting_lists_what_still_works_and_how_else_the_broker_is_reached(desk, resting_bid, paper):
    paper.fault("cancel", "error_503")

    said = run("halt_trading", "--reason", "a strange afternoon")

    assert "Still working: 1" in said
    assert resting_bid.broker_order_id in said
    assert "sent 1 ×" in said
    assert "https://kite.zerodha.com/orders" in said


def test_reducing_cancels_entries_and_says_so(desk, resting_bid):
    said = run("reduce_only", "--reason", "big news")

    resting_bid.refresh_from_db()
    assert TradingControl.objects.get(mode="PAPER").state == "REDUCE_ONLY"
    assert resting_bid.cancel_reason == "reduce only: big news"
    assert "cancels asked for: 1" in said


def test_flattening_needs_its_word_and_does_the_whole_of_it_alone(desk, resting_bid):
    resting_bid.refresh_from_db()
    by_hand.place(desk, fills_at_once())
    reconcile(desk)
    with pytest.raises(CommandError, match="add --confirm FLATTEN"):
        run("flatten", "--reason", "a rumour")
    assert TradingControl.objects.get(mode="PAPER").state == "ACTIVE"

    said = run("flatten", "--reason", "a rumour", "--confirm", "FLATTEN")

    assert "everything is closed. flat: RELIANCE" in said
    assert Position.objects.get().quantity == 0
    assert "Still working: nothing" in said


def test_halting_works_with_the_broker_down(desk, resting_bid, paper):
    paper.fault("any", "drop_before", times=20)

    run("halt_trading", "--reason", "the broker is down")

    resting_bid.refresh_from_db()
    assert TradingControl.objects.get(mode="PAPER").state == "HALTED"
    assert resting_bid.cancel_reason == "trading halted: the broker is down"


def test_halting_works_without_a_broker_to_cancel_at(desk, settings):
    settings.PAPER_KITE_URL = ""

    with pytest.raises(CommandError, match="HALTED; nothing could be cancelled"):
        run("halt_trading", "--reason", "now")

    assert TradingControl.objects.get(mode="PAPER").state == "HALTED"


def test_stopping_does_not_fail_for_what_a_terminal_makes_of_the_reason(desk, resting_bid):
    latin = b"d\xe9faut".decode(errors="surrogateescape")

    run("auto_trading", "off", "--reason", latin)
    run("halt_trading", "--reason", latin)

    control = TradingControl.objects.get(mode="PAPER")
    assert (control.state, control.auto_trading, control.reason) == ("HALTED", False, "d?faut")
    resting_bid.refresh_from_db()
    assert resting_bid.cancel_requested_at is not None


def test_auto_trading_is_turned_off_and_on_with_a_reason(desk):
    assert "auto-trading off" in run("auto_trading", "off", "--reason", "lunch")
    assert "auto-trading on" in run("auto_trading", "on", "--reason", "back")

    last = TradingControlEvent.objects.filter(mode="PAPER").first()
    assert (last.reason, last.actor.startswith("command line")) == ("back", True)


def test_auto_trading_is_not_turned_on_while_trading_is_halted(desk):
    run("halt_trading", "--reason", "stop")

    with pytest.raises(CommandError, match="trading is HALTED: resume it first"):
        run("auto_trading", "on", "--reason", "go")


def test_reconciling_says_what_changed(desk, resting_bid, paper):
    paper.set_price("NSE:RELIANCE", "1380.00")

    assert "1 of our orders changed" in run("reconcile_orders")

    resting_bid.refresh_from_db()
    assert resting_bid.status == "FILLED"


def test_reconciling_says_that_the_broker_cannot_be_read(desk, paper):
    paper.fault("orders", "error_503")

    with pytest.raises(CommandError, match="the broker's book could not be read"):
        run("reconcile_orders")


def test_a_published_signal_that_nobody_hears_is_said_to_be_lost(db, valkey):
    assert "nobody listened, so it is lost" in run("publish_signal", "BUY", "RELIANCE", "--cms", "75")


def test_a_signal_for_the_stream_is_kept_there(db, valkey):
    run("publish_signal", "sell", "NSE:RELIANCE", "--cms=-75", "--stream", "--id", "mine")

    ((_, fields),) = valkey.xrange("signals:stream")
    sent = json.loads(fields[b"signal"])
    assert (sent["signal_type"], sent["symbol"], sent["signal_id"]) == ("SELL", "NSE:RELIANCE", "mine")


@pytest.mark.parametrize("arguments", [("--cms", "101"), ("--cms", "strong"), ("--cms", "75", "--at", "yesterday")])
def test_what_is_no_signal_is_not_published(db, valkey, arguments):
    with pytest.raises(CommandError, match="not sent: "):
        run("publish_signal", "BUY", "RELIANCE", *arguments)


def test_a_reset_forgets_the_paper_book_on_both_sides_and_keeps_the_limits(desk, received, paper):
    order = by_hand.place(
        desk,
        ManualOrder(
            token="form-1",
            side=Side.BUY,
            exchange="NSE",
            symbol="INFY",
            quantity=1,
            order_type=OrderType.MARKET,
            limit_price=None,
            by="priya",
        ),
    )
    reconcile(desk)
    received()

    run("paper_reset", yes=True)

    for rows in (Order, OrderEvent, Fill, Decision, Signal, Position):
        assert not rows.objects.exists()
    assert paper.accepted() == []
    assert RiskSettings.objects.exists()
    assert RiskSettingsVersion.objects.exists()
    assert TradingControlEvent.objects.exists()
    again = by_hand.place(
        desk,
        ManualOrder(
            token="form-2",
            side=Side.BUY,
            exchange="NSE",
            symbol="INFY",
            quantity=1,
            order_type=OrderType.MARKET,
            limit_price=None,
            by="priya",
        ),
    )
    assert again.broker_order_id > order.broker_order_id  # an id never comes back


def test_a_reset_of_a_paper_server_that_is_away_changes_nothing(desk, resting_bid, settings):
    settings.PAPER_KITE_URL = "http://127.0.0.1:9"

    with pytest.raises(CommandError, match="nothing was changed"):
        run("paper_reset", yes=True)

    assert Order.objects.count() == 1


def test_the_login_is_for_live_only(desk):
    with pytest.raises(CommandError, match="this is PAPER, which needs no login"):
        run("kite_login")
