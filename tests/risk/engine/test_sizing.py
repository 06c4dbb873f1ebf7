"""Ticks, lots, prices and the size of an entry, all in exact Decimal."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from risk.engine.facts import Holding, PriceBand, Quote, Side
from risk.engine.sizing import floor_to_lot, into_band, is_on_tick, marketable_limit, size_entry, to_tick, worst_price
from tests.risk.engine.cast import LIMITS, NOW

D = Decimal
FLAT = Holding()
# 1,000 INR an entry, at most 5,000 an order and 10,000 a symbol: the first values of a new installation.
FIRST = replace(LIMITS, order_value_max=D(5000), position_value_max=D(10_000))


def entry(price: str, *, lot_size: int = 1, own: int = 0, working_buys: int = 0, **changes: Any) -> tuple[int, str]:
    return size_entry(
        price=D(price),
        lot_size=lot_size,
        holding=Holding(own=own, working_buys=working_buys),
        limits=replace(FIRST, **changes),
    )


@pytest.mark.parametrize(
    ("price", "tick_size", "side", "on_tick"),
    [
        ("101.00", "0.05", Side.BUY, "101.00"),
        ("101.00", "0.05", Side.SELL, "101.00"),
        ("101.01", "0.05", Side.BUY, "101.00"),
        ("101.01", "0.05", Side.SELL, "101.05"),
        ("101.049", "0.05", Side.BUY, "101.00"),
        ("101.049", "0.05", Side.SELL, "101.05"),
        ("2543.35", "0.05", Side.BUY, "2543.35"),
        ("2543.35", "0.05", Side.SELL, "2543.35"),
        ("0.29", "0.01", Side.BUY, "0.29"),
        ("0.29", "0.01", Side.SELL, "0.29"),
        ("4.355", "0.01", Side.BUY, "4.35"),
        ("4.355", "0.01", Side.SELL, "4.36"),
        ("0.04", "0.05", Side.BUY, "0.00"),
        ("0.04", "0.05", Side.SELL, "0.05"),
        ("20003.99", "5", Side.BUY, "20000"),
        ("20000.01", "5", Side.SELL, "20005"),
    ],
)
def test_a_buy_is_rounded_down_and_a_sell_up_to_the_tick(price: str, tick_size: str, side: Side, on_tick: str) -> None:
    rounded = to_tick(D(price), D(tick_size), side)

    assert rounded == D(on_tick)
    assert is_on_tick(rounded, D(tick_size))


# The ticks of NSE's cash market by price, on the grid and one part beside it (NSE, since April 2025).
@pytest.mark.parametrize(
    ("tick_size", "on_grid", "part"),
    [
        ("0.01", "249.99", "0.001"),
        ("0.05", "250.00", "0.01"),
        ("0.05", "1000.00", "0.04"),
        ("0.10", "1000.10", "0.05"),
        ("0.10", "5000.00", "0.09"),
        ("0.50", "5000.50", "0.05"),
        ("0.50", "10000.00", "0.49"),
        ("1.00", "10001.00", "0.01"),
        ("1.00", "20000.00", "0.99"),
        ("5.00", "20005.00", "0.05"),
        ("5.00", "100000.00", "4.95"),
    ],
)
def test_a_price_beside_the_grid_goes_to_the_tick_that_is_no_worse(tick_size: str, on_grid: str, part: str) -> None:
    tick, grid = D(tick_size), D(on_grid)

    assert to_tick(grid, tick, Side.BUY) == to_tick(grid, tick, Side.SELL) == grid
    assert to_tick(grid + D(part), tick, Side.BUY) == grid
    assert to_tick(grid + D(part), tick, Side.SELL) == grid + tick
    assert to_tick(grid - D(part), tick, Side.BUY) == grid - tick
    assert to_tick(grid - D(part), tick, Side.SELL) == grid


BAND = PriceBand(lower=D("1260.05"), upper=D("1539.95"), as_of=NOW)


@pytest.mark.parametrize(
    ("side", "price", "inside"),
    [
        (Side.SELL, "1200.00", "1260.10"),  # the first tick inside
        (Side.SELL, "1260.00", "1260.10"),
        (Side.SELL, "1260.10", "1260.10"),
        (Side.SELL, "1400.00", "1400.00"),
        (Side.SELL, "1600.00", "1600.00"),  # nobody may sell for less than was said
        (Side.BUY, "1600.00", "1539.90"),
        (Side.BUY, "1540.00", "1539.90"),
        (Side.BUY, "1539.90", "1539.90"),
        (Side.BUY, "1200.00", "1200.00"),
    ],
)
def test_a_closing_price_is_brought_inside_the_band_where_that_is_no_worse(side: Side, price: str, inside: str) -> None:
    assert into_band(D(price), BAND, None, side, D("0.10")) == D(inside)


@pytest.mark.parametrize(
    ("last", "seconds", "inside"),
    [
        ("1260.05", 1, "1260.10"),  # the band's own end
        ("1260.00", 1, "1250.00"),
        ("1540.00", 1, "1250.00"),
        ("1539.95", 1, "1260.10"),
        ("1260.00", 0, "1260.10"),  # told with the band
        ("1260.00", -1, "1260.10"),
    ],
)
def test_a_later_price_outside_the_band_says_that_it_is_not_in_force(last: str, seconds: int, inside: str) -> None:
    quote = Quote(price=D(last), as_of=BAND.as_of + timedelta(seconds=seconds))

    assert into_band(D("1250.00"), BAND, quote, Side.SELL, D("0.10")) == D(inside)


def test_without_a_band_a_price_stays() -> None:
    assert into_band(D("1.00"), None, None, Side.SELL, D("0.10")) == 1


@pytest.mark.parametrize(
    ("price", "tick_size", "valid"),
    [
        ("2543.35", "0.05", True),
        ("2543.36", "0.05", False),
        ("0.29", "0.01", True),
        ("0.295", "0.01", False),
        ("4.35", "0.10", False),
    ],
)
def test_a_price_is_on_tick_only_when_it_is_an_exact_multiple(price: str, tick_size: str, valid: bool) -> None:
    assert is_on_tick(D(price), D(tick_size)) == valid


@pytest.mark.parametrize(
    ("last", "side", "percent", "tick_size", "limit"),
    [
        ("1400.00", Side.BUY, "0.5", "0.10", "1407.00"),
        ("1400.00", Side.SELL, "0.5", "0.10", "1393.00"),
        ("1401.00", Side.BUY, "0.5", "0.10", "1408.00"),  # 1,408.005
        ("1401.00", Side.SELL, "0.5", "0.10", "1394.00"),  # 1,393.995
        ("249.95", Side.BUY, "0.5", "0.05", "251.15"),  # 251.19975
        ("249.95", Side.SELL, "0.5", "0.05", "248.75"),  # 248.70025
        ("249.95", Side.BUY, "0", "0.05", "249.95"),
    ],
)
def test_a_marketable_limit_is_never_worse_than_the_slippage_allows(
    last: str, side: Side, percent: str, tick_size: str, limit: str
) -> None:
    quote = Quote(price=D(last), as_of=NOW)

    price = marketable_limit(quote, side, percent=D(percent), tick_size=D(tick_size))

    assert price == D(limit)


@pytest.mark.parametrize(
    ("side", "limit_price", "last", "collar", "worst"),
    [
        (Side.BUY, "1407.00", "1400.00", "3", "1407.00"),
        (Side.BUY, "1407.00", None, None, "1407.00"),
        (Side.SELL, "1393.00", "1400.00", "3", "1400.00"),
        (Side.SELL, "1407.00", "1400.00", "3", "1407.00"),
        (Side.SELL, "1393.00", None, "3", "1393.00"),
        (Side.BUY, None, "1400.00", "3", "1442.00"),
        (Side.SELL, None, "1400.00", "3", "1442.00"),
        (Side.BUY, None, "1400.00", "0", "1400.00"),
        (Side.BUY, None, None, "3", None),
        (Side.BUY, None, "1400.00", None, None),
    ],
)
def test_an_order_is_valued_at_its_worst_price_or_at_none(
    side: Side, limit_price: str | None, last: str | None, collar: str | None, worst: str | None
) -> None:
    quote = None if last is None else Quote(price=D(last), as_of=NOW)

    price = worst_price(side, limit_price and D(limit_price), quote, collar and D(collar))

    assert price == (worst and D(worst))


@pytest.mark.parametrize(
    ("amount", "price", "lot_size", "quantity"),
    [
        ("1000", "249.95", 1, 4),
        ("1000", "1000", 1, 1),
        ("1000", "1000.05", 1, 0),
        ("1000", "3.33", 1, 300),
        ("999.99", "1000", 1, 0),
        ("1000", "10", 25, 100),
        ("999.99", "10", 25, 75),
        ("0.87", "0.29", 1, 3),  # 3.0000000000000004 in binary
        ("0", "1", 1, 0),
        ("-1", "1", 1, 0),
        ("97500", "1300", 75, 75),
        ("97499.99", "1300", 75, 0),
        ("194999.99", "1300", 75, 75),
        ("195000", "1300", 75, 150),
        ("1500000", "20000.05", 75, 0),
        ("1500003.75", "20000.05", 75, 75),
    ],
)
def test_an_amount_buys_whole_lots_rounded_down(amount: str, price: str, lot_size: int, quantity: int) -> None:
    assert floor_to_lot(D(amount), D(price), lot_size) == quantity


@pytest.mark.parametrize(("price", "quantity"), [("249.95", 4), ("1000", 1), ("3.33", 300)])
def test_a_position_size_of_1000_buys_what_it_can(price: str, quantity: int) -> None:
    assert entry(price) == (quantity, "")


def test_just_past_the_position_size_one_lot_is_taken_when_the_settings_say_so() -> None:
    assert entry("1000.05", round_up_to_one_lot=True) == (1, "rounded up to one lot: 1000 INR buys less")


def test_just_past_the_position_size_nothing_is_taken_when_the_settings_do_not_say_so() -> None:
    assert entry("1000.05", round_up_to_one_lot=False) == (
        0,
        "one lot costs 1000.05 INR, the position size is 1000 INR",
    )


@pytest.mark.parametrize(
    ("order_value_max", "quantity"), [(D("1400.01"), 1), (D(1400), 1), (D("1399.99"), 0), (D(0), 0), (None, 0)]
)
def test_one_lot_is_taken_up_to_the_order_value_limit(order_value_max: Decimal | None, quantity: int) -> None:
    assert entry("1400", order_value_max=order_value_max)[0] == quantity


def test_the_smallest_position_size_is_rounded_up_too() -> None:
    assert entry("1400", position_size=D("0.01"))[0] == 1


def test_the_lot_that_is_rounded_up_to_is_a_whole_one() -> None:
    assert entry("100", lot_size=25)[0] == 25
    assert entry("200.04", lot_size=25)[0] == 0


@pytest.mark.parametrize("position_size", [D(0), None])
def test_without_a_position_size_nothing_is_bought(position_size: Decimal | None) -> None:
    quantity, note = entry("10", position_size=position_size)

    assert quantity == 0
    assert note


@pytest.mark.parametrize(
    ("held", "quantity"),
    [
        ({"own": 90}, 10),
        ({"own": 91}, 9),
        ({"working_buys": 91}, 9),
        ({"own": 50, "working_buys": 41}, 9),
        ({"own": 99}, 1),
        ({"own": -50, "working_buys": 91}, 9),
    ],
)
def test_an_entry_is_clipped_to_the_room_in_the_position(held: dict[str, int], quantity: int) -> None:
    # At 100 INR the position limit of 10,000 INR is 100 shares and an entry is 10.
    assert entry("100", **held)[0] == quantity


@pytest.mark.parametrize(
    ("last", "working", "quantity"),
    [
        ("100", {}, 10),
        ("105.26", {}, 5),  # 90 at 105.26 leave 526.60 INR
        ("99", {}, 10),
        ("100", {"highest_working_bid": D(100)}, 10),
        ("100", {"highest_working_bid": D("105.26")}, 5),
        ("100", {"market_buys_work": True}, 7),  # 90 at 103.00 leave 730.00 INR
    ],
)
def test_the_room_is_measured_at_the_worst_price_that_is_known(
    last: str, working: dict[str, Any], quantity: int
) -> None:
    holding = Holding(own=90, **working)

    sized, _ = size_entry(
        price=D(100), lot_size=1, holding=holding, limits=FIRST, quote=Quote(price=D(last), as_of=NOW)
    )

    assert sized == quantity


def test_a_clipped_entry_says_so() -> None:
    assert entry("100", own=95) == (5, "clipped from 10 to 5 by the room that the limits leave")


@pytest.mark.parametrize(
    ("changes", "quantity"),
    [
        ({"order_value_max": D(1000)}, 10),
        ({"order_value_max": D("999.99")}, 9),
        ({"order_quantity_max": 10}, 10),
        ({"order_quantity_max": 9}, 9),
        ({"order_value_max": D(400), "order_quantity_max": 3, "position_value_max": D(500)}, 3),
    ],
)
def test_an_entry_is_clipped_to_the_tightest_limit_of_an_order(changes: dict[str, Any], quantity: int) -> None:
    assert entry("100", **changes)[0] == quantity


def test_an_entry_is_clipped_in_whole_lots() -> None:
    # 1,000 INR buys four lots of 25 at 10 INR; 74 shares are two whole lots.
    assert entry("10", lot_size=25, order_quantity_max=74)[0] == 50


@pytest.mark.parametrize(
    ("elsewhere", "quantity"),
    [("47000", 10), ("49000", 10), ("49000.01", 9), ("49900", 1), ("50000", 1), (None, 10)],
)
def test_an_entry_is_clipped_to_the_room_in_the_book(elsewhere: str | None, quantity: int) -> None:
    sized, _ = size_entry(
        price=D(100),
        lot_size=1,
        holding=FLAT,
        limits=replace(FIRST, gross_exposure_max=D(50_000)),
        elsewhere=elsewhere and D(elsewhere),
    )

    assert sized == quantity


def test_the_room_in_the_book_is_less_what_is_held_of_the_symbol() -> None:
    limits = replace(FIRST, gross_exposure_max=D(50_000))

    sized, _ = size_entry(
        price=D(100), lot_size=1, holding=Holding(own=3, working_buys=2), limits=limits, elsewhere=D(49_000)
    )

    assert sized == 5


@pytest.mark.parametrize(
    ("spendable", "quantity"), [("1001.50", 10), ("1001.49", 9), ("100.15", 1), ("0", 1), ("-5", 1), (None, 10)]
)
def test_an_entry_is_clipped_to_the_money_with_its_charges(spendable: str | None, quantity: int) -> None:
    sized, _ = size_entry(price=D(100), lot_size=1, holding=FLAT, limits=FIRST, spendable=spendable and D(spendable))

    assert sized == quantity


@pytest.mark.parametrize("own", [100, 101, 1000])
def test_where_no_room_is_left_one_lot_is_proposed_for_the_controls_to_deny_by_name(own: int) -> None:
    assert entry("100", own=own)[0] == 1


def test_limits_that_are_not_set_leave_no_room() -> None:
    unset = {"order_value_max": None, "order_quantity_max": None, "position_value_max": None}

    assert entry("100", **unset)[0] == 1


def test_an_entry_that_is_not_made_smaller_is_not_called_clipped() -> None:
    # One share of 1,400 INR is rounded up to; the position has no room, which the controls will say.
    quantity, note = entry("1400", own=7)

    assert (quantity, note) == (1, "rounded up to one lot: 1000 INR buys less")


@pytest.mark.parametrize(("price", "lot_size"), [("0", 1), ("-1", 1), ("1", 0)])
def test_an_entry_is_not_sized_by_a_price_or_a_lot_that_cannot_be(price: str, lot_size: int) -> None:
    with pytest.raises(AssertionError, match="is checked before an order is sized"):
        entry(price, lot_size=lot_size)
