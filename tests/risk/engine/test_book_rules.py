"""The controls about the whole book, the money, orders beside each other, and what is traded: around each limit."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from risk.engine.exposure_rules import money_left, value_elsewhere
from risk.engine.facts import Elsewhere, OrderType, Origin
from risk.engine.instrument_rules import kind_of
from risk.engine.limits import InstrumentLimits, listed
from tests.risk.engine.cast import BUY, FUNDS, INFY, LIMITS, PORTFOLIO, Scene, ago, buy, sell, signal_sell

D = Decimal
MARKET: dict[str, Any] = {"order_type": OrderType.MARKET, "limit_price": None}
BY_HAND: dict[str, Any] = {"origin": Origin.MANUAL, "signal": None}
TCS = replace(INFY, symbol="TCS", own=0, working_buys=1, price=D(3000))
THEIRS = replace(INFY, external=3, external_buys=2)  # 15 shares, 22,500 INR
SHORT = replace(INFY, own=2, external=-10, external_sells=4)  # 8 short and 4 being sold: 18,000 INR
UNPRICED = replace(INFY, price=None)
AT_MARKET = replace(INFY, own=0, working_buys=10, market_buys_work=True)  # 15,450 INR at the end of the collar
# The BUY and its charges are 9,863.7735 INR; with a MARKET order, at the collar, 10,109.141.
ENOUGH, A_PAISA_LESS = D("10065.08"), D("10065.07")

# The control, what is special, the scene, and whether the control lets it pass.
ROWS: list[tuple[str, str, Scene, bool]] = [
    ("GROSS_EXPOSURE_EXCEEDED", "just below", buy(gross_exposure_max=D("29070.01")), True),
    ("GROSS_EXPOSURE_EXCEEDED", "at the limit", buy(gross_exposure_max=D("29070.00")), True),
    ("GROSS_EXPOSURE_EXCEEDED", "just past", buy(gross_exposure_max=D("29069.99")), False),
    ("GROSS_EXPOSURE_EXCEEDED", "not set", buy(gross_exposure_max=None), False),
    ("GROSS_EXPOSURE_EXCEEDED", "0 allows nothing", buy(gross_exposure_max=D(0), own=0, others=()), False),
    ("GROSS_EXPOSURE_EXCEEDED", "the price of another is unknown", buy(others=(UNPRICED,)), False),
    ("GROSS_EXPOSURE_EXCEEDED", "the price of this one is unknown", buy(quote=None, **MARKET), False),
    ("GROSS_EXPOSURE_EXCEEDED", "working elsewhere", buy(others=(INFY, TCS), gross_exposure_max=D(32_070)), True),
    ("GROSS_EXPOSURE_EXCEEDED", "just past", buy(others=(INFY, TCS), gross_exposure_max=D("32069.99")), False),
    ("GROSS_EXPOSURE_EXCEEDED", "MARKET elsewhere", buy(others=(AT_MARKET,), gross_exposure_max=D(29_520)), True),
    ("GROSS_EXPOSURE_EXCEEDED", "just past", buy(others=(AT_MARKET,), gross_exposure_max=D("29519.99")), False),
    (
        "GROSS_EXPOSURE_EXCEEDED",
        "MARKET elsewhere without a collar",
        buy(others=(AT_MARKET,), collar_percent=None),
        False,
    ),
    (
        "GROSS_EXPOSURE_EXCEEDED",
        "short elsewhere is worth as much",
        buy(others=(replace(INFY, own=-10),), gross_exposure_max=D("29069.99")),
        False,
    ),
    (
        "GROSS_EXPOSURE_EXCEEDED",
        "what is being sold elsewhere may not fill",
        buy(others=(replace(INFY, working_sells=10),), gross_exposure_max=D("29069.99")),
        False,
    ),
    ("POSITION_VALUE_EXCEEDED", "external, at the limit", buy(external=4, position_value_max=D("19698.00")), True),
    ("POSITION_VALUE_EXCEEDED", "external, just past", buy(external=4, position_value_max=D("19697.99")), False),
    ("POSITION_VALUE_EXCEEDED", "bought by others", buy(external_buys=4, position_value_max=D("19698.00")), True),
    ("POSITION_VALUE_EXCEEDED", "just past", buy(external_buys=4, position_value_max=D("19697.99")), False),
    ("POSITION_VALUE_EXCEEDED", "sold by others", buy(external=-3, position_value_max=D("14069.99")), False),
    ("POSITION_VALUE_EXCEEDED", "external, unknown", buy(external=None), False),
    ("POSITION_VALUE_EXCEEDED", "a closing SELL", sell(external=None, position_value_max=D(0)), True),
    ("GROSS_EXPOSURE_EXCEEDED", "external, unknown", buy(external=None), False),
    ("GROSS_EXPOSURE_EXCEEDED", "external here", buy(external=4, gross_exposure_max=D("34698.00")), True),
    ("GROSS_EXPOSURE_EXCEEDED", "just past", buy(external=4, gross_exposure_max=D("34697.99")), False),
    ("GROSS_EXPOSURE_EXCEEDED", "external elsewhere", buy(others=(THEIRS,), gross_exposure_max=D(36_570)), True),
    ("GROSS_EXPOSURE_EXCEEDED", "just past", buy(others=(THEIRS,), gross_exposure_max=D("36569.99")), False),
    ("GROSS_EXPOSURE_EXCEEDED", "shorts of others", buy(others=(SHORT,), gross_exposure_max=D(32_070)), True),
    ("GROSS_EXPOSURE_EXCEEDED", "just past", buy(others=(SHORT,), gross_exposure_max=D("32069.99")), False),
    #
    ("MAX_POSITIONS_EXCEEDED", "just below", buy(positions_max=3), True),
    ("MAX_POSITIONS_EXCEEDED", "at the limit", buy(positions_max=2), True),
    ("MAX_POSITIONS_EXCEEDED", "just past", buy(positions_max=1), False),
    ("MAX_POSITIONS_EXCEEDED", "not set", buy(positions_max=None), False),
    ("MAX_POSITIONS_EXCEEDED", "0 allows nothing", buy(positions_max=0, others=()), False),
    ("MAX_POSITIONS_EXCEEDED", "the first of one", buy(positions_max=1, own=0, others=()), True),
    ("MAX_POSITIONS_EXCEEDED", "what is being bought counts", buy(others=(INFY, TCS), positions_max=2), False),
    #
    ("ADDING_NOT_ALLOWED", "on", buy(), True),
    ("ADDING_NOT_ALLOWED", "off, held", buy(adding_allowed=False), False),
    ("ADDING_NOT_ALLOWED", "off, nothing held", buy(adding_allowed=False, own=0), True),
    ("ADDING_NOT_ALLOWED", "off, being bought", buy(adding_allowed=False, own=0, working_buys=1), False),
    ("ADDING_NOT_ALLOWED", "not set", buy(adding_allowed=None, own=0), False),
    ("ADDING_NOT_ALLOWED", "off, a SELL", sell(adding_allowed=False, quantity=4), True),
    #
    ("INSUFFICIENT_FUNDS", "just below", buy(funds=replace(FUNDS, available=ENOUGH)), True),
    (
        "INSUFFICIENT_FUNDS",
        "at the limit",
        buy(
            quantity=1000,
            limit_price=D(1),
            funds_use_percent=D("10.015"),
            funds=replace(FUNDS, available=D(10_000)),
        ),
        True,
    ),
    ("INSUFFICIENT_FUNDS", "just past", buy(funds=replace(FUNDS, available=A_PAISA_LESS)), False),
    ("INSUFFICIENT_FUNDS", "not set", buy(funds_use_percent=None), False),
    ("INSUFFICIENT_FUNDS", "0 allows nothing", buy(funds_use_percent=D(0)), False),
    ("INSUFFICIENT_FUNDS", "unknown", buy(funds=None), False),
    ("INSUFFICIENT_FUNDS", "a debt", buy(funds=replace(FUNDS, available=D(-1))), False),
    ("INSUFFICIENT_FUNDS", "read just lately enough", buy(funds=replace(FUNDS, as_of=ago(seconds=10))), True),
    ("INSUFFICIENT_FUNDS", "stale", buy(funds=replace(FUNDS, as_of=ago(seconds=10.001))), False),
    ("INSUFFICIENT_FUNDS", "beside another buy", buy(funds=replace(FUNDS, committed=D("1893.38"))), True),
    ("INSUFFICIENT_FUNDS", "just past", buy(funds=replace(FUNDS, committed=D("1893.39"))), False),
    ("INSUFFICIENT_FUNDS", "beside one at market", buy(funds=replace(FUNDS, committed_at_market=D("1838.23"))), True),
    ("INSUFFICIENT_FUNDS", "just past", buy(funds=replace(FUNDS, committed_at_market=D("1838.24"))), False),
    (
        "INSUFFICIENT_FUNDS",
        "beside one at market without a collar",
        buy(funds=replace(FUNDS, committed_at_market=D(1)), collar_percent=None),
        False,
    ),
    ("INSUFFICIENT_FUNDS", "beside one of unknown price", buy(funds=replace(FUNDS, committed=None)), False),
    ("INSUFFICIENT_FUNDS", "MARKET at the collar", buy(funds=replace(FUNDS, available=D("10315.45")), **MARKET), True),
    ("INSUFFICIENT_FUNDS", "MARKET just past it", buy(funds=replace(FUNDS, available=D("10315.44")), **MARKET), False),
    ("INSUFFICIENT_FUNDS", "MARKET without a price", buy(quote=None, **MARKET), False),
    #
    ("DUPLICATE_ORDER", "just below", buy(last_buy_at=ago(seconds=60.001)), True),
    ("DUPLICATE_ORDER", "at the limit", buy(last_buy_at=ago(seconds=60)), True),
    ("DUPLICATE_ORDER", "just past", buy(last_buy_at=ago(seconds=59.999)), False),
    ("DUPLICATE_ORDER", "the first", buy(last_buy_at=None), True),
    ("DUPLICATE_ORDER", "the other side is no duplicate", buy(last_sell_at=ago(seconds=1)), True),
    ("DUPLICATE_ORDER", "by hand", buy(last_buy_at=ago(seconds=59.999), **BY_HAND), False),
    ("DUPLICATE_ORDER", "not set", buy(duplicate_window_seconds=None), False),
    ("DUPLICATE_ORDER", "0 looks back no time", buy(duplicate_window_seconds=0, last_buy_at=ago(seconds=0)), True),
    ("DUPLICATE_ORDER", "one works, however old", buy(last_buy_at=ago(hours=1), buy_orders=1), False),
    ("DUPLICATE_ORDER", "one works, by hand", buy(last_buy_at=ago(hours=1), buy_orders=1, **BY_HAND), True),
    ("DUPLICATE_ORDER", "one works the other way", buy(sell_orders=1), True),
    ("DUPLICATE_ORDER", "a SELL that opens", sell(quantity=4, last_sell_at=ago(seconds=1)), False),
    #
    ("SELF_MATCH", "none", buy(buy_orders=1), True),
    ("SELF_MATCH", "one the other way", buy(sell_orders=1), False),
    ("SELF_MATCH", "one the other way, allowed", buy(sell_orders=1, opposite_orders_allowed=True), True),
    ("SELF_MATCH", "not set", buy(opposite_orders_allowed=None), False),
    ("SELF_MATCH", "a SELL that opens", sell(quantity=4, buy_orders=1), False),
    ("SELF_MATCH", "a SELL that closes", sell(buy_orders=1), True),
    #
    ("OPEN_ORDERS_EXCEEDED", "just below", buy(open_orders=1), True),
    ("OPEN_ORDERS_EXCEEDED", "at the limit", buy(open_orders=2), True),
    ("OPEN_ORDERS_EXCEEDED", "just past", buy(open_orders=3), False),
    ("OPEN_ORDERS_EXCEEDED", "of the symbol, at the limit", buy(buy_orders=1, **BY_HAND), True),
    ("OPEN_ORDERS_EXCEEDED", "of the symbol, just past", buy(buy_orders=2, **BY_HAND), False),
    ("OPEN_ORDERS_EXCEEDED", "of the symbol, the other side", buy(sell_orders=2), True),
    ("OPEN_ORDERS_EXCEEDED", "not set", buy(open_orders_max=None), False),
    ("OPEN_ORDERS_EXCEEDED", "of the symbol, not set", buy(symbol_open_orders_max=None), False),
    ("OPEN_ORDERS_EXCEEDED", "0 allows nothing", buy(open_orders=0, open_orders_max=0), False),
    #
    ("REJECT_STREAK", "just below", buy(rejections_in_a_row=1, rejections_lately=3), True),
    ("REJECT_STREAK", "at the limit", buy(rejections_in_a_row=2, rejections_lately=4), True),
    ("REJECT_STREAK", "in a row, just past", buy(rejections_in_a_row=3), False),
    ("REJECT_STREAK", "lately, just past", buy(rejections_lately=5), False),
    ("REJECT_STREAK", "in a row, not set", buy(reject_streak_max=None), False),
    ("REJECT_STREAK", "lately, not set", buy(rejections_max=None), False),
    ("REJECT_STREAK", "0 allows nothing", buy(reject_streak_max=0), False),
    #
    ("INSTRUMENT_RESTRICTED", "a share of NSE", buy(), True),
    ("INSTRUMENT_RESTRICTED", "a share of BSE", buy(exchange="BSE"), True),
    ("INSTRUMENT_RESTRICTED", "trade for trade", buy(symbol="XYZ-BE"), False),
    ("INSTRUMENT_RESTRICTED", "trade for trade, allowed", buy(symbol="XYZ-BE", allowed_instruments="nse:be"), True),
    ("INSTRUMENT_RESTRICTED", "a name with a dash", buy(symbol="BAJAJ-AUTO"), True),
    ("INSTRUMENT_RESTRICTED", "an index", buy(segment="INDICES"), False),
    ("INSTRUMENT_RESTRICTED", "a future", buy(exchange="NFO", instrument_type="FUT"), False),
    ("INSTRUMENT_RESTRICTED", "nobody says what it is", buy(instrument_type=""), False),
    ("INSTRUMENT_RESTRICTED", "the one symbol", buy(symbol="INFY", allowed_instruments="nse:eq:infy"), True),
    ("INSTRUMENT_RESTRICTED", "another symbol", buy(symbol="INFY", allowed_instruments="NSE:EQ:INF"), False),
    ("INSTRUMENT_RESTRICTED", "its series alone", buy(symbol="XYZ-BE", allowed_instruments="NSE:EQ:XYZ-BE"), False),
    ("INSTRUMENT_RESTRICTED", "on the other exchange", buy(symbol="INFY", allowed_instruments="BSE:EQ:INFY"), False),
    ("INSTRUMENT_RESTRICTED", "not set", buy(allowed_instruments=None), False),
    ("INSTRUMENT_RESTRICTED", "empty allows nothing", buy(allowed_instruments=""), False),
    ("INSTRUMENT_RESTRICTED", "closing", signal_sell(symbol="XYZ-BE"), True),
    #
    ("INSTRUMENT_BLOCKED", "not blocked", buy(), True),
    ("INSTRUMENT_BLOCKED", "blocked", buy(instrument_blocked=True), False),
    ("INSTRUMENT_BLOCKED", "blocked, closing", sell(instrument_blocked=True), True),
    #
    ("PRODUCT_NOT_ALLOWED", "any", buy(), True),
    ("PRODUCT_NOT_ALLOWED", "the one", buy(only_product="CNC"), True),
    ("PRODUCT_NOT_ALLOWED", "another", buy(only_product="MIS"), False),
    ("PRODUCT_NOT_ALLOWED", "another, closing", sell(only_product="MIS"), True),
]


@pytest.mark.parametrize(
    ("code", "scene", "passes"),
    [pytest.param(code, scene, passes, id=f"{code}: {what}") for code, what, scene, passes in ROWS],
)
def test_a_control_passes_up_to_its_limit_and_not_beyond(code: str, scene: Scene, passes: bool) -> None:
    verdict = scene.verdict(code)

    assert verdict.passed == passes
    assert bool(verdict.reason) != passes


@pytest.mark.parametrize(
    ("scene", "code", "reason"),
    [
        (buy(last_buy_at=ago(seconds=12)), "DUPLICATE_ORDER", "a BUY of RELIANCE was made 12.0 s ago"),
        (buy(buy_orders=1), "DUPLICATE_ORDER", "a BUY of RELIANCE is working already"),
        (buy(sell_orders=2), "SELF_MATCH", "2 the other way may meet it"),
        (
            buy(open_orders=3),
            "OPEN_ORDERS_EXCEEDED",
            "4 orders, 1 of RELIANCE BUY would be open, the limit is 3 orders, 2 of a symbol and side",
        ),
        (buy(positions_max=1), "MAX_POSITIONS_EXCEEDED", "2 symbols would be open, the limit is 1"),
        (buy(adding_allowed=False), "ADDING_NOT_ALLOWED", "3 held or being bought: nothing is added"),
        (
            buy(funds=replace(FUNDS, available=D(10_000))),
            "INSUFFICIENT_FUNDS",
            "it needs 9863.77 INR, and 9800.00 may be spent",
        ),
        (buy(funds=None), "INSUFFICIENT_FUNDS", "what may be spent at the broker is not known"),
        (
            buy(gross_exposure_max=D(20_000)),
            "GROSS_EXPOSURE_EXCEEDED",
            "gross exposure 29070.00 INR, the limit is 20000 INR",
        ),
        (
            buy(rejections_in_a_row=3, rejections_lately=4),
            "REJECT_STREAK",
            "the broker refused 3 orders in a row, 4 in 10 min",
        ),
        (buy(symbol="XYZ-BE"), "INSTRUMENT_RESTRICTED", "XYZ-BE is NSE:BE, allowed are NSE:EQ, BSE:EQ"),
        (buy(instrument_blocked=True), "INSTRUMENT_BLOCKED", "RELIANCE is blocked by its instrument limit"),
        (buy(only_product="MIS"), "PRODUCT_NOT_ALLOWED", "only MIS may be opened in RELIANCE, not CNC"),
        (buy(band=None), "OUTSIDE_PRICE_BAND", "the price band of RELIANCE is not known"),
        (
            buy(signal_price=D(1300)),
            "SIGNAL_PRICE_DRIFT",
            "the last price 1400 is 7.69 % from the 1300 of the signal",
        ),
    ],
)
def test_a_refusal_says_what_stands_in_the_way(scene: Scene, code: str, reason: str) -> None:
    assert scene.verdict(code).reason == reason


def test_an_order_without_a_type_is_of_an_unknown_kind() -> None:
    assert kind_of(replace(BUY, instrument_type="")) == ""


def test_nothing_elsewhere_is_worth_nothing() -> None:
    assert value_elsewhere(replace(PORTFOLIO, others=()), LIMITS) == 0


def test_a_short_position_elsewhere_is_worth_what_buying_it_back_may_cost() -> None:
    sold = Elsewhere(symbol="TCS", own=-2, working_buys=1, working_sells=3, price=D(100))

    assert value_elsewhere(replace(PORTFOLIO, others=(sold,)), LIMITS) == 500  # 2 short and 3 being sold


def test_what_is_being_sold_of_a_holding_opens_no_short_position() -> None:
    held = Elsewhere(symbol="TCS", own=3, working_buys=0, working_sells=3, price=D(100))
    too_many = replace(held, working_sells=8)

    assert value_elsewhere(replace(PORTFOLIO, others=(held,)), LIMITS) == 300
    assert value_elsewhere(replace(PORTFOLIO, others=(too_many,)), LIMITS) == 500


def test_what_may_be_spent_is_a_part_of_the_funds_less_what_is_committed() -> None:
    portfolio = replace(PORTFOLIO, funds=replace(FUNDS, available=D(1000), committed=D(100)))

    assert money_left(portfolio, LIMITS) == D("980.000") - D("100.15")
    assert money_left(replace(portfolio, funds=None), LIMITS) is None


@pytest.mark.parametrize(
    ("own", "tighter"),
    [
        (InstrumentLimits(), {}),
        (InstrumentLimits(blocked=True), {"instrument_blocked": True}),
        (InstrumentLimits(order_value_max=D(500)), {"order_value_max": D(500)}),
        (InstrumentLimits(order_value_max=D(10_001)), {}),
        (InstrumentLimits(order_quantity_max=0), {"order_quantity_max": 0}),
        (InstrumentLimits(order_quantity_max=1001), {}),
        (InstrumentLimits(position_value_max=D(0)), {"position_value_max": D(0)}),
        (InstrumentLimits(position_value_max=D(20_001)), {}),
        (InstrumentLimits(product="MIS"), {"only_product": "MIS"}),
    ],
)
def test_of_the_general_limit_and_the_instruments_own_the_tighter_holds(
    own: InstrumentLimits, tighter: dict[str, Any]
) -> None:
    assert LIMITS.within(own) == replace(LIMITS, **tighter)


@pytest.mark.parametrize("name", ["order_value_max", "order_quantity_max", "position_value_max"])
def test_a_limit_of_the_instrument_does_not_stand_in_for_a_general_one_that_is_not_set(name: str) -> None:
    unset = replace(LIMITS, **{name: None})

    assert getattr(unset.within(InstrumentLimits(**{name: 1})), name) is None


def test_a_list_is_read_as_people_write_it() -> None:
    assert listed(" nse:eq ,BSE:EQ,, ") == {"NSE:EQ", "BSE:EQ"}
    assert listed("") == frozenset()
