"""
The account's arithmetic against worked examples, each with its source.

Rates: zerodha.com/charges as of November 2026 — STT 0.1 % delivery, 0.025 % intraday sales; NSE 0.00307 %, BSE
0.00375 %; SEBI 10 INR per crore; stamp duty 0.015 % delivery, 0.003 % intraday purchases; GST 18 % on brokerage,
exchange and SEBI charges; brokerage nothing for delivery, the lesser of 0.03 % and 20 INR intraday.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from orders.paper.indian_time import IST
from orders.paper.market.instruments import INSTRUMENTS
from orders.paper.money.account import Account
from orders.paper.money.charges import ChargeMeter, charges_of, depository_charges, rounded
from orders.paper.money.fills import Fill
from orders.paper.money.holdings import Holding
from orders.paper.money.margins import Wanted, basket_margin, margin_of
from orders.paper.money.positions import Position
from orders.paper.server.portfolio_wire import charges_row, holding_row, position_row
from orders.paper.terms import Product, Side

INFY, SBIN = INSTRUMENTS["NSE:INFY"], INSTRUMENTS["NSE:SBIN"]
MONDAY = datetime(2026, 11, 23, 10, 0, tzinfo=IST)
CASH = Decimal(1_000_000)


def paise(charges) -> dict[str, Decimal]:
    whole = charges.in_paise()
    return {
        "brokerage": whole.brokerage,
        "stt": whole.transaction_tax,
        "exchange": whole.exchange_turnover_charge,
        "sebi": whole.sebi_turnover_charge,
        "stamp": whole.stamp_duty,
        "gst": whole.gst,
        "total": whole.total,
    }


def amounts(**texts: str) -> dict[str, Decimal]:
    return {name: Decimal(text) for name, text in texts.items()}


def test_buying_a_lakh_for_delivery():
    """
    100 shares at 1,000: turnover 1,00,000. Worked by hand from the rates.

    STT 0.1 % = 100.00 · exchange 0.00307 % = 3.07 · SEBI 0.0001 % = 0.10 · stamp 0.015 % = 15.00 ·
    GST 18 % of 3.17 = 0.5706 → 0.57
    """
    cost = charges_of(exchange="NSE", product=Product.CNC, side=Side.BUY, quantity=100, price=Decimal(1000))

    assert paise(cost) == amounts(
        brokerage="0.00", stt="100.00", exchange="3.07", sebi="0.10", stamp="15.00", gst="0.57", total="118.74"
    )


def test_selling_a_lakh_of_delivery_on_the_bse():
    """
    Turnover 1,00,000. Worked by hand: STT 100.00 · exchange 0.00375 % = 3.75 · SEBI 0.10 · no stamp duty on sales ·
    GST 18 % of 3.85 = 0.693 → 0.69
    """
    cost = charges_of(exchange="BSE", product=Product.CNC, side=Side.SELL, quantity=100, price=Decimal(1000))

    assert paise(cost) == amounts(
        brokerage="0.00", stt="100.00", exchange="3.75", sebi="0.10", stamp="0.00", gst="0.69", total="104.54"
    )


def test_a_round_trip_of_a_day():
    """
    400 shares bought at 1,000 and sold at 1,100, intraday. Worked by hand, as the brokerage calculator does it:

    buy 4,00,000: brokerage min(120, 20) = 20.00 · exchange 12.28 · SEBI 0.40 · stamp 0.003 % = 12.00 ·
    GST 18 % of 32.68 = 5.8824 → 5.88
    sell 4,40,000: brokerage 20.00 · STT 0.025 % = 110.00 · exchange 13.508 → 13.51 · SEBI 0.44 ·
    GST 18 % of 33.948 = 6.11064 → 6.11
    """
    bought = charges_of(exchange="NSE", product=Product.MIS, side=Side.BUY, quantity=400, price=Decimal(1000))
    sold = charges_of(exchange="NSE", product=Product.MIS, side=Side.SELL, quantity=400, price=Decimal(1100))

    assert paise(bought) == amounts(
        brokerage="20.00", stt="0.00", exchange="12.28", sebi="0.40", stamp="12.00", gst="5.88", total="50.56"
    )
    assert paise(sold) == amounts(
        brokerage="20.00", stt="110.00", exchange="13.51", sebi="0.44", stamp="0.00", gst="6.11", total="150.06"
    )


@pytest.mark.parametrize(
    ("turnover", "brokerage"), [("66666.66", "20.00"), ("66666.67", "20.00"), ("66600", "19.98"), ("1000000", "20.00")]
)
def test_brokerage_stops_growing_at_twenty_rupees(turnover, brokerage):
    cost = charges_of(exchange="NSE", product=Product.MIS, side=Side.BUY, quantity=1, price=Decimal(turnover))

    assert cost.in_paise().brokerage == Decimal(brokerage)


def test_a_square_off_costs_fifty_rupees_and_the_tax_on_them():
    """support.zerodha.com: 50 INR + 18 % GST for each order by which Zerodha closes an intraday position."""
    usual, forced = (
        charges_of(
            exchange="NSE", product=Product.MIS, side=Side.SELL, quantity=1, price=Decimal(100), squared_off=squared_off
        )
        for squared_off in (False, True)
    )

    assert forced.total - usual.total == Decimal("59.00")


def test_the_virtual_contract_note_of_the_documentation():
    """
    Kite Connect v3, "Virtual contract note": one SBIN bought at 560 for delivery.

    Its STT 0.56 and SEBI charge 0.00056 are today's; its exchange charge 0.01876 is of the older rate of 0.00335 %,
    and its GST, 18 % of that alone, is from before the SEBI charge was taxed: at today's rates 0.017192 and
    18 % of 0.017752 = 0.00319536. Stamp duty, 0.084, is left out of the sample.
    """
    row = charges_row(charges_of(exchange="NSE", product=Product.CNC, side=Side.BUY, quantity=1, price=Decimal(560)))

    assert (row["transaction_tax"], row["sebi_turnover_charge"], row["brokerage"]) == (0.56, 0.0006, 0)
    assert (row["exchange_turnover_charge"], row["gst"]["total"], row["stamp_duty"]) == (0.0172, 0.0032, 0.084)


def test_the_order_margins_of_the_documentation_and_the_mocks():
    """
    Kite Connect v3, "Margin calculation", and zerodha/kiteconnect-mocks, order_margins.json: one INFY at 1,498, CNC.

    STT 1.498 and SEBI 0.001498 are today's. The exchange charge of 0.051681 is of the older rate of 0.00345 %: today
    0.0459886. GST is 18 % of exchange, SEBI and brokerage, there 18 % of 0.063179 = 0.01137222, with the token
    brokerage of one paisa that a contract note of delivery had; here 18 % of 0.0474866. Stamp duty 0.2247 is shown
    there in whole paise.
    """
    row = charges_row(charges_of(exchange="NSE", product=Product.CNC, side=Side.BUY, quantity=1, price=Decimal(1498)))

    assert (row["transaction_tax"], row["sebi_turnover_charge"], row["brokerage"]) == (1.498, 0.0015, 0)
    assert (row["exchange_turnover_charge"], row["gst"]["total"]) == (0.046, 0.0085)
    assert round(row["stamp_duty"], 2) == 0.22


def test_the_example_of_the_brokerage_calculator():
    """
    zerodha.com/brokerage-calculator, as it opens: 400 intraday bought at 1,000 and sold at 1,100, turnover 8,40,000.

    It showed brokerage 40 · STT 110 · exchange 28.98 (0.00345 %) · GST 12.42 · SEBI 0.99 with its GST · stamp 12 ·
    total 204.39 while the exchange took 0.00345 %; with today's 0.00307 % that is 25.788 · 11.84184 · 0.9912, and the
    total 200.62. The two orders, each rounded by itself, come to the same: 50.56 + 150.06.
    """
    sides = {Side.BUY: Decimal(1000), Side.SELL: Decimal(1100)}
    both = [
        charges_of(exchange="NSE", product=Product.MIS, side=side, quantity=400, price=price)
        for side, price in sides.items()
    ]

    assert sum(one.in_paise().total for one in both) == Decimal("200.62")
    assert round(sum(one.total for one in both), 2) == Decimal("200.62")


@pytest.mark.parametrize(("amount", "paise"), [("0.004999", "0.00"), ("0.005", "0.01"), ("0.015", "0.02")])
def test_half_a_paisa_is_rounded_up(amount, paise):
    assert rounded(Decimal(amount)) == Decimal(paise)


def test_holdings_sold_cost_the_depositorys_fee_once_a_day_and_company():
    """
    support.zerodha.com, "DP charges for BTST trades": 13 INR + 18 % GST = 15.34 "per stock per day, regardless of
    quantity sold", also for shares that were bought the day before; levied on the ledger, in no contract note.
    """
    account = account_of(CASH)
    for instrument in (INFY, SBIN):
        account.apply(fill(Side.BUY, 10, "1000", product=Product.CNC, instrument=instrument))

    fees = []
    for instrument, price, day in (
        (INFY, "1001", 1),
        (INFY, "1002", 1),
        (SBIN, "1003", 1),
        (INFY, "1004", 2),
    ):
        account.apply(fill(Side.SELL, 2, price, product=Product.CNC, instrument=instrument, day=day))
        fees.append(account.charged.depository_fee)

    assert fees == [13, 13, 26, 13]
    fee = depository_charges()
    assert fee.total == Decimal("15.34")


def test_shares_bought_and_sold_on_a_day_never_meet_the_depository():
    account = account_of(CASH)
    account.give_holding(INFY, 10, Decimal(900), MONDAY)
    account.apply(fill(Side.BUY, 5, "1000", product=Product.CNC))

    account.apply(fill(Side.SELL, 5, "1001", product=Product.CNC))
    assert account.charged.depository_fee == 0

    account.apply(fill(Side.SELL, 1, "1002", product=Product.CNC))
    assert account.charged.depository_fee == 13


def test_an_order_filled_in_parts_costs_what_it_would_have_cost_at_once():
    """Three fills of 33.33 each would round to 0.01 of exchange charge three times; the order's 99.99 rounds once."""
    meter = ChargeMeter()
    parts = [
        meter.add(exchange="NSE", product=Product.CNC, side=Side.BUY, value=Decimal("333.33"), squared_off=False)
        for _ in range(30)
    ]

    whole = charges_of(exchange="NSE", product=Product.CNC, side=Side.BUY, quantity=30, price=Decimal("333.33"))
    assert sum(part.total for part in parts) == whole.in_paise().total
    assert all(part.total == round(part.total, 2) for part in parts)


def test_a_carried_short_position_as_in_the_documentations_sample():
    """
    Kite Connect v3, "Positions", LEADMINI17DECFUT in equity terms: short 1 over night at 161.05, closed at 161.85.

    m2m counts from the previous close, 161.55: 161.55 − 161.85 = −0.30; P&L from the cost: 161.05 − 161.85 = −0.80.
    """
    position = Position(instrument=SBIN, product=Product.NRML, overnight_quantity=-1, overnight_price=Decimal("161.05"))
    position.trade(fill(Side.BUY, 1, "161.85", instrument=SBIN))

    row = position_row(position, Decimal("161.85"), Decimal("161.55"))

    assert (row["quantity"], row["overnight_quantity"], row["day_buy_quantity"]) == (0, -1, 1)
    assert (row["pnl"], row["m2m"], row["realised"], row["unrealised"]) == (-0.8, -0.3, -0.8, 0)
    assert (row["sell_value"], row["sell_m2m"], row["buy_value"]) == (161.05, 161.55, 161.85)


def test_profit_is_what_was_closed_and_what_is_open():
    """Bought 10 at 1,500 and 10 at 1,520, sold 5 at 1,540, last 1,530: realised 5 × 30, unrealised 15 × 20."""
    position = Position(instrument=INFY, product=Product.MIS)
    for one in (fill(Side.BUY, 10, "1500"), fill(Side.BUY, 10, "1520"), fill(Side.SELL, 5, "1540")):
        position.trade(one)

    row = position_row(position, Decimal(1530), Decimal(1490))

    assert (row["average_price"], row["quantity"]) == (1510.0, 15)
    assert (row["realised"], row["unrealised"], row["pnl"]) == (150.0, 300.0, 450.0)
    assert row["value"] + row["quantity"] * row["last_price"] == row["pnl"]
    assert len(row) == 29


@pytest.mark.parametrize(
    ("settled", "unsettled", "average", "last", "close", "pnl", "change"),
    [
        (1, 0, "261.5", "313", "308.8", 51.5, 1.3601),  # AXTEL
        (11, 1, "56.35", "75.85", "77", 234.0, -1.4935),  # BHEL, of which one is still to be settled
        (0, 2, "2206.5", "2214", "2227.4", 15.0, -0.6016),  # RELIANCE
        (11, 7, "429", "426.9", "432.4", -37.8, -1.272),  # SBIN
    ],
)
def test_holdings_as_in_zerodhas_sample_rows(settled, unsettled, average, last, close, pnl, change):
    """zerodha/kiteconnect-mocks, holdings.json: profit counts what is still to be settled, `quantity` does not."""
    today = date(2026, 11, 23)
    holding = Holding(instrument=SBIN)
    if settled:
        holding.add(settled, Decimal(average), today)
    if unsettled:
        holding.add(unsettled, Decimal(average), today + timedelta(days=1))
    holding.settle(today)

    row = holding_row(holding, Decimal(last), Decimal(close), MONDAY)

    assert (row["quantity"], row["t1_quantity"], row["realised_quantity"]) == (settled, unsettled, settled)
    assert row["opening_quantity"] == settled + unsettled
    assert (row["pnl"], row["day_change_percentage"]) == (pnl, change)
    assert len(row) == 25


def test_what_was_bought_first_is_sold_first():
    """Zerodha reckons the average of holdings first in, first out (support.zerodha.com, "average price")."""
    holding = Holding(instrument=INFY)
    holding.add(10, Decimal(100), date(2026, 11, 20))
    holding.add(10, Decimal(130), date(2026, 11, 23))

    holding.remove(5)

    assert holding.average_price == Decimal(5 * 100 + 10 * 130) / 15


def test_a_week_of_the_account():
    """
    Monday: 10 INFY bought at 1,500 for delivery, 15,000.00; charges 15.00 + 0.46 + 0.02 + 2.25 + 0.09 = 17.82.
    Tuesday: they are a holding. 4 are sold at 1,600, 6,400.00; charges 6.40 + 0.20 + 0.01 + 0 + 0.04 = 6.65, and
    15.34 of the depository.
    Wednesday: 6 are left, and the account has 10,00,000 − 15,000 − 17.82 + 6,400 − 21.99 = 9,91,360.19.
    """
    account = account_of(CASH)
    account.apply(fill(Side.BUY, 10, "1500", product=Product.CNC))
    assert account.available(Decimal(0)) == CASH - 15_000 - Decimal("17.82")

    account.apply(fill(Side.SELL, 4, "1600", product=Product.CNC, day=1))
    (holding,), (position,) = account.holdings(), account.net_positions()
    assert (holding.opening_quantity, holding.used_quantity, position.quantity) == (10, 4, -4)
    assert account.sellable(INFY) == 6

    account.roll_to(date(2026, 11, 25))
    assert [one.opening_quantity for one in account.holdings()] == [6]
    assert account.net_positions() == []
    assert account.available(Decimal(0)) == Decimal("991360.19")


def test_shares_bought_before_a_weekend_settle_after_it():
    """Bought on a Friday: held from the next day on, settled from Tuesday on, whenever somebody looks."""
    account = Account(CASH, lambda day: day + timedelta(days=max(1, 7 - day.weekday() if day.weekday() > 3 else 1)))
    account.apply(fill(Side.BUY, 10, "1500", product=Product.CNC, day=-3))

    seen = []
    for day in (21, 22, 23, 24):
        account.roll_to(date(2026, 11, day))
        (holding,) = account.holdings()
        seen.append((holding.t1_quantity, holding.settled_quantity))

    assert seen == [(10, 0), (10, 0), (10, 0), (0, 10)]


@pytest.mark.parametrize(
    ("product", "side", "position", "needed"),
    [
        (Product.CNC, Side.BUY, 0, "15000"),
        (Product.CNC, Side.SELL, 0, "0"),
        (Product.MIS, Side.BUY, 0, "3000"),
        (Product.MIS, Side.SELL, 0, "3000"),
        (Product.MIS, Side.SELL, 10, "0"),
        (Product.MIS, Side.SELL, 4, "1800"),
        (Product.MIS, Side.BUY, -25, "0"),
        (Product.NRML, Side.BUY, 0, "15000"),
    ],
)
def test_only_what_opens_needs_a_margin(product, side, position, needed):
    """10 INFY at 1,500 are worth 15,000; intraday needs a fifth of that (peak margin rules, five times leverage)."""
    wanted = Wanted(instrument=INFY, product=product, side=side, quantity=10, price=Decimal(1500))

    assert margin_of(wanted, position) == Decimal(needed)


def test_a_basket_that_closes_itself_needs_nothing_in_the_end():
    """10 bought and 10 sold intraday at 1,500: 3,000 each by itself, nothing together."""
    legs = [Wanted(instrument=INFY, product=Product.MIS, side=side, quantity=10, price=Decimal(1500)) for side in Side]

    assert sum(margin_of(leg, 0) for leg in legs) == 6000
    assert basket_margin(legs, lambda _: 0) == 0
    assert basket_margin(legs[1:], lambda _: 10) == 0


def account_of(cash: Decimal) -> Account:
    return Account(cash, lambda day: day + timedelta(days=1))


def fill(side: Side, quantity: int, price: str, *, product=Product.MIS, instrument=INFY, day: int = 0) -> Fill:
    return Fill(
        order_id=f"{day}-{side}-{price}",
        instrument=instrument,
        product=product,
        side=side,
        quantity=quantity,
        price=Decimal(price),
        at=MONDAY + timedelta(days=day),
    )
