"""In the shadow: real prices decide, the paper Kite trades, and nothing that is an order reaches Zerodha."""

from __future__ import annotations

import time
from dataclasses import replace
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command

from orders import by_hand, daily_login, execution
from orders.broker.deadline import ReadingRefused, boot_clock
from orders.broker.gateway import BrokerUnreachable, NotSent, OrderRefused, OrderRequest, SessionRefused, Terms
from orders.broker.kite import KiteGateway, KiteMarket
from orders.broker.paper_prices import PaperPrices
from orders.broker.shadow import ShadowGateway
from orders.daily_login import LoginNotKept
from orders.deciding import ManualOrder, decide
from orders.desk import Desk, DeskNotWired
from orders.execution import OtherMode, submit
from orders.inbox import Received, record
from orders.models import BrokerSession, EndOfDay, Order, Position, ShadowQuote, Signal
from orders.reconciliation import reconcile
from orders.shadowing import Closes, days, keep_closes, shadow_day
from orders.start import StartRefused, forget_paper_book, prepare_start
from risk.engine.facts import OrderType, Side
from risk.models import Mode, TradingControl
from tests.orders.paper.paper_process import API_SECRET
from tests.orders.shadow_cast import no_order_came, quoted

pytestmark = pytest.mark.django_db


@pytest.fixture
def publish(shadow, message):
    """Record a signal in the shadow, decide it and follow what comes of it."""

    def go(signal_id: str, **changes) -> Signal:
        record(shadow, [Received(raw=message(signal_id=signal_id, **changes), source=Signal.Source.CHANNEL)])
        signal = Signal.objects.get(signal_id=signal_id)
        if order := decide(shadow, signal):
            submit(shadow, order)
            reconcile(shadow)
        signal.refresh_from_db()
        return signal

    return go


def wish(**changes) -> ManualOrder:
    usual = {
        "token": "form-1",
        "side": Side.BUY,
        "exchange": "NSE",
        "symbol": "RELIANCE",
        "quantity": 1,
        "order_type": OrderType.LIMIT,
        "limit_price": Decimal("1490.00"),
        "by": "priya",
    }
    return ManualOrder(**{**usual, **changes})


def report_of(desk: Desk) -> None:
    EndOfDay.objects.create(
        mode=desk.mode,
        trading_date=desk.today(),
        taken_at=desk.clock(),
        taken_by="executor",
        book_as_of=desk.clock(),
        breaks=0,
        orders=2,
        fills=2,
        result=Decimal("9.00"),
        figures={},
        sections=[],
    )


def test_a_day_in_the_shadow_from_signals_to_its_report(shadow, publish, zerodha, wire, paper):
    bought = publish("buy-1")
    quoted(zerodha, "1512.00", "1511.00", "1513.00")
    sold = publish("sell-1", signal_type="SELL", cms_score=-75.0)
    weak = publish("weak-1", cms_score=10.0)
    report_of(shadow)
    quoted(zerodha, "1520.00", "1519.00", "1521.00")
    kept = keep_closes(shadow)

    buy, sell = bought.orders.get(), sold.orders.get()
    assert (buy.status, buy.average_price) == ("FILLED", Decimal("1500.50")), "at the real ask, not at the last price"
    assert (sell.status, sell.average_price) == ("FILLED", Decimal("1511.00")), "at the real bid"
    assert (buy.mode, buy.broker_order_id) == (Mode.SHADOW, paper.accepted()[0])
    assert weak.status == "IGNORED"
    assert kept == 1
    assert no_order_came(zerodha, wire)

    day = shadow_day(shadow.today(), now=shadow.clock())
    assert days() == [shadow.today()]
    assert [line.decided_at_price for line in day.lines[:2]] == [Decimal(1500), Decimal(1512)]
    assert [line.slippage for line in day.lines[:2]] == [Decimal("0.50"), Decimal(1)]
    assert [line.to_the_close for line in day.lines[:2]] == [Decimal("19.50"), Decimal("-9.00")]
    assert [line.market.ask for line in day.lines[:2]] == [Decimal("1500.50"), Decimal(1513)]
    assert day.charges == Decimal("3.61")  # 0.12 % of 3,011.50
    assert day.to_the_close == Decimal("10.50") - day.charges
    assert day.signals == {"APPROVED": 2, "IGNORED": 1}
    assert (day.orders, day.fills, day.report.result) == (2, 2, Decimal(9))


def test_a_denial_is_in_the_report_with_its_controls(shadow, publish):
    TradingControl.objects.filter(mode=Mode.SHADOW).update(state="HALTED")

    publish("buy-1")

    (line,) = shadow_day(shadow.today(), now=shadow.clock()).lines
    assert "TRADING_HALTED" in line.refused_by
    assert (line.order, line.slippage, line.to_the_close) == (None, None, None)


def test_what_rests_is_filled_when_the_real_market_comes_to_it(shadow, zerodha, wire):
    order = by_hand.place(shadow, wish())
    reconcile(shadow)
    order.refresh_from_db()
    assert order.status == "OPEN"

    quoted(zerodha, "1489.00", "1488.50", "1489.50")
    reconcile(shadow)

    order.refresh_from_db()
    assert (order.status, order.average_price) == ("FILLED", Decimal(1490)), "at its own limit, as what rests is"
    assert no_order_came(zerodha, wire)


def test_no_order_call_of_the_gateway_reaches_zerodha(shadow, zerodha, wire, paper):
    gateway, soon = shadow.gateway, boot_clock() + 5
    request = OrderRequest(
        tag="ABCD1",
        exchange="NSE",
        symbol="RELIANCE",
        side="BUY",
        product="CNC",
        order_type="LIMIT",
        quantity=1,
        price=Decimal(1450),
    )

    placed = gateway.place(request, send_by=soon)
    gateway.modify(placed, Terms(quantity=2, price=Decimal(1451)), send_by=soon)
    gateway.cancel(placed)
    gateway.book(shadow.clock())
    gateway.positions()
    gateway.available_funds()

    assert paper.accepted() == [placed]
    assert no_order_came(zerodha, wire)


@pytest.mark.parametrize("call", ["place", "modify", "cancel", "book", "positions", "available_funds"])
def test_the_half_at_zerodha_has_no_method_that_trades_or_tells_of_orders(shadow, call):
    assert not hasattr(shadow.gateway.market, call)


@pytest.mark.parametrize(
    "call",
    [
        lambda kite: kite.place_order("regular", "NSE", "RELIANCE", "BUY", 1, "CNC", "LIMIT", price=1),
        lambda kite: kite.modify_order("regular", "1", price=1),
        lambda kite: kite.cancel_order("regular", "1"),
        lambda kite: kite.delete_gtt(1),
        lambda kite: kite.convert_position("NSE", "RELIANCE", "BUY", "day", 1, "CNC", "MIS"),
    ],
    ids=["place", "modify", "cancel", "gtt", "convert"],
)
def test_even_the_sdk_of_that_half_lets_nothing_out_but_reading(shadow, zerodha, wire, call):
    before = len(wire.requests)

    with pytest.raises(ReadingRefused):
        call(shadow.gateway.market._client())

    assert len(wire.requests) == before
    assert no_order_came(zerodha, wire)


def test_a_gateway_that_trades_is_no_half_for_the_market(shadow, paper):
    trades = KiteGateway(api_key="paper", root=paper.root, access_token=lambda: "paper")

    with pytest.raises(AssertionError, match="must have no orders"):
        ShadowGateway(
            market=trades,
            orders=trades,
            prices=PaperPrices(paper.root),
            witness=lambda seen: None,
            clock=shadow.clock,
        )


def test_without_the_real_price_nothing_is_sent(shadow, zerodha, paper):
    request = OrderRequest(
        tag="ABCD1",
        exchange="NSE",
        symbol="INFY",
        side="BUY",
        product="CNC",
        order_type="MARKET",
        quantity=1,
        price=None,
    )
    zerodha.fault("quote", "error_503")

    with pytest.raises(NotSent, match="the real market cannot be shown"):
        shadow.gateway.place(request, send_by=boot_clock() + 5)

    assert paper.accepted() == []
    assert ShadowQuote.objects.count() == 0


def test_a_server_without_the_control_routes_takes_no_order(shadow, zerodha, paper):
    """Zerodha has none: were its address given as the paper server's, nothing would get as far as an order."""
    zerodha.control("DELETE", "faults")
    mistaken = replace(
        shadow,
        gateway=ShadowGateway(
            market=shadow.gateway.market,
            orders=KiteGateway(api_key="paper", root=zerodha.root, access_token=lambda: "paper"),
            prices=PaperPrices(f"{zerodha.root}/nowhere"),
            witness=lambda seen: None,
            clock=shadow.clock,
            quote_seconds=0,
        ),
    )

    order = by_hand.place(mistaken, wish())

    assert order.status == "WITHDRAWN"
    assert "the paper Kite did not take the price" in order.status_reason
    assert zerodha.accepted() == []


def test_a_witness_that_cannot_write_stops_the_order(shadow, paper):
    def fails(seen):
        raise RuntimeError("no room")

    shadow.gateway._witness = fails

    with pytest.raises(RuntimeError):
        by_hand.place(shadow, wish())

    assert paper.accepted() == []


def test_quotes_are_asked_for_no_oftener_than_kite_answers(shadow):
    paused = []
    gateway = shadow.gateway
    gateway._quote_seconds, gateway._pause = 1.0, paused.append
    gateway._asked_at = time.monotonic() - 5

    gateway.depths([("NSE", "RELIANCE")])
    gateway.depths([("NSE", "RELIANCE")])

    assert paused[0] == 0.0
    assert 0 < paused[1] <= 1.0


def test_a_session_that_the_paper_server_refuses_is_no_word_about_the_login(shadow, paper):
    paper.fault("orders", "token")
    with pytest.raises(BrokerUnreachable, match="the paper Kite refused its session"):
        shadow.gateway.book(shadow.clock())

    paper.fault("cancel", "token")
    with pytest.raises(OrderRefused, match="the paper Kite refused its session") as refusal:
        shadow.gateway.cancel("SIM1")

    assert not isinstance(refusal.value, SessionRefused)
    assert shadow.vault.is_valid(shadow.clock())


def test_the_instruments_are_those_of_both_with_the_larger_tick(shadow, monkeypatch):
    real = shadow.gateway.market.instruments("NSE")
    elsewhere = replace(real[0], symbol="NOWHERE")
    coarse = replace(next(each for each in real if each.symbol == "RELIANCE"), tick_size=Decimal("5.00"))
    monkeypatch.setattr(shadow.gateway.market, "instruments", lambda exchange: [elsewhere, coarse])

    listed = shadow.gateway.instruments("NSE")

    assert [(each.symbol, each.tick_size) for each in listed] == [("RELIANCE", Decimal("5.00"))]
    monkeypatch.setattr(
        shadow.gateway.market, "instruments", lambda exchange: [replace(coarse, tick_size=Decimal("0.01"))]
    )
    assert shadow.gateway.instruments("NSE")[0].tick_size == Decimal("0.10")


@pytest.mark.usefixtures("noon")
def test_closes_are_kept_once_the_day_has_its_report_and_once(shadow, publish, zerodha, clock):
    publish("buy-1")
    closes = Closes(shadow)
    closes.look()
    assert ShadowQuote.objects.filter(moment="CLOSE").count() == 0

    report_of(shadow)
    closes.look()  # looked a moment ago
    assert ShadowQuote.objects.filter(moment="CLOSE").count() == 0
    clock.advance(seconds=31)
    zerodha.fault("quote", "error_503")
    closes.look()  # not answered: it is asked again
    clock.advance(seconds=31)
    closes.look()
    clock.advance(seconds=31)
    closes.look()

    close = ShadowQuote.objects.get(moment="CLOSE")
    assert (close.symbol, close.last_price) == ("RELIANCE", Decimal(1500))


def test_on_paper_there_are_no_closes_to_keep(desk):
    report_of(desk)

    assert keep_closes(desk) == 0


# --- The mode ---------------------------------------------------------------------------------------------------------


def test_an_order_of_the_shadow_is_not_touched_from_another_mode(shadow, desk):
    order = by_hand.place(shadow, wish())

    with pytest.raises(OtherMode, match="belongs to SHADOW, and this is PAPER"):
        execution.cancel(desk, order, by="priya", reason="mixed up")


@pytest.mark.parametrize("other", [Mode.LIVE, Mode.PAPER])
def test_unfinished_orders_of_the_shadow_stop_the_start_of_another_mode(shadow, desk, other):
    by_hand.place(shadow, wish())

    with pytest.raises(StartRefused, match="1 SHADOW orders are unfinished"):
        prepare_start(replace(desk, mode=other))


def test_the_paper_book_is_forgotten_without_the_shadows(shadow, publish):
    publish("buy-1")

    forget_paper_book()

    assert Order.objects.get().mode == Mode.SHADOW
    assert Position.objects.get(mode=Mode.SHADOW).quantity == 1


def test_the_shadows_book_cannot_be_reset(settings):
    settings.TRADING_MODE = "SHADOW"

    with pytest.raises(CommandError, match="the book of SHADOW is kept"):
        call_command("paper_reset", yes=True)


@pytest.fixture
def as_shadow(settings, paper, wire):
    settings.TRADING_MODE, settings.PAPER_KITE_URL, settings.KITE_ROOT_URL = "SHADOW", paper.root, wire.root
    settings.KITE_API_KEY, settings.KITE_API_SECRET = "live-key", API_SECRET
    return settings


def test_the_settings_wire_two_halves(as_shadow, paper, wire):
    desk = Desk.from_settings()

    assert desk.mode == Mode.SHADOW
    assert (desk.is_live, desk.keeps_market_hours) == (False, True)
    assert type(desk.gateway.market) is KiteMarket
    assert (desk.gateway.market._root, desk.gateway._orders._root) == (wire.root, paper.root)
    assert desk.stream.url == as_shadow.KITE_STREAM_URL


def test_without_a_paper_server_there_is_no_shadow(as_shadow):
    as_shadow.PAPER_KITE_URL = ""

    with pytest.raises(DeskNotWired, match="there is no paper Kite server"):
        Desk.from_settings()


def test_the_login_is_zerodhas_and_kept_as_the_shadows(as_shadow, zerodha, wire):
    desk = Desk.from_settings()

    session = daily_login.log_in(desk, zerodha.request_token("live-key"), secret=API_SECRET)

    assert (session.mode, session.user_id) == (Mode.SHADOW, "PAPER1")
    assert not BrokerSession.objects.filter(mode=Mode.LIVE).exclude(access_token="").exists()
    assert ("POST", "/session/token") in wire.asked()
    assert desk.gateway.user_id() == "PAPER1"


def test_a_wrong_secret_gives_no_login(as_shadow, zerodha):
    with pytest.raises(LoginNotKept):
        daily_login.log_in(Desk.from_settings(), zerodha.request_token("live-key"), secret="wrong")


def test_in_the_shadow_nothing_is_sent_without_a_login(shadow, clock, zerodha, wire):
    clock.advance(days=1)

    with pytest.raises(Exception, match="login") as denial:
        by_hand.place(shadow, wish())

    assert "BROKER_SESSION_INVALID" in str(denial.value.decision.verdicts)
    assert no_order_came(zerodha, wire)
