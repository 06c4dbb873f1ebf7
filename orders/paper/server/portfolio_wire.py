"""Positions, holdings, funds, margins and charges in Kite's shapes."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from orders.paper.indian_time import midnight, timestamp
from orders.paper.money.account import Funds
from orders.paper.money.charges import Charges
from orders.paper.money.holdings import Holding
from orders.paper.money.margins import LEVERAGE, Wanted
from orders.paper.money.positions import Position
from orders.paper.server.wire import Row, number, numbers

NOTHING = Decimal(0)
PERCENT = 100
UTILISED = (
    "debits exposure m2m_realised m2m_unrealised option_premium payout span holding_sales turnover "
    "liquid_collateral stock_collateral delivery"
)


def position_row(position: Position, last_price: Decimal, previous_close: Decimal) -> Row:
    """Return Kite's 29 keys."""
    bought, sold = position.bought(position.overnight_price), position.sold(position.overnight_price)
    bought_m2m, sold_m2m = position.bought(previous_close), position.sold(previous_close)
    quantity = position.quantity
    profit, realised = position.profit(last_price), position.realised
    amounts = {
        "average_price": position.average_price,
        "close_price": previous_close,
        "last_price": last_price,
        "value": sold.value - bought.value,
        "pnl": profit,
        "m2m": sold_m2m.value - bought_m2m.value + quantity * last_price,
        "unrealised": profit - realised,
        "realised": realised,
        "buy_price": bought.price,
        "buy_value": bought.value,
        "buy_m2m": bought_m2m.value,
        "sell_price": sold.price,
        "sell_value": sold.value,
        "sell_m2m": sold_m2m.value,
        "day_buy_price": position.bought_today.price,
        "day_buy_value": position.bought_today.value,
        "day_sell_price": position.sold_today.price,
        "day_sell_value": position.sold_today.value,
    }
    return {
        "tradingsymbol": position.instrument.tradingsymbol,
        "exchange": position.instrument.exchange,
        "instrument_token": position.instrument.instrument_token,
        "product": str(position.product),
        "quantity": quantity,
        "overnight_quantity": position.overnight_quantity,
        "multiplier": 1,
        "buy_quantity": bought.quantity,
        "sell_quantity": sold.quantity,
        "day_buy_quantity": position.bought_today.quantity,
        "day_sell_quantity": position.sold_today.quantity,
    } | numbers(amounts)


def holding_row(holding: Holding, last_price: Decimal, previous_close: Decimal, now: datetime) -> Row:
    """
    Return Kite's 25 keys.

    As in the rows of zerodha/kiteconnect-mocks, `quantity` is what has settled and `opening_quantity` all that was
    carried over night. What was sold today is in `used_quantity`, and is a negative position.
    """
    held, average = holding.opening_quantity, holding.average_price
    change = last_price - previous_close
    return {
        "tradingsymbol": holding.instrument.tradingsymbol,
        "exchange": holding.instrument.exchange,
        "instrument_token": holding.instrument.instrument_token,
        "isin": holding.instrument.isin,
        "product": "CNC",
        "price": 0,
        "quantity": holding.settled_quantity,
        "used_quantity": holding.used_quantity,
        "t1_quantity": holding.t1_quantity,
        "realised_quantity": holding.settled_quantity,
        "authorised_quantity": 0,
        "authorised_date": timestamp(midnight(now)),
        "authorisation": {},
        "opening_quantity": held,
        "short_quantity": 0,
        "collateral_quantity": 0,
        "collateral_type": "",
        "discrepancy": False,
        "mtf": {"quantity": 0, "used_quantity": 0, "average_price": 0, "value": 0, "initial_margin": 0},
    } | numbers(
        {
            "average_price": average,
            "last_price": last_price,
            "close_price": previous_close,
            "pnl": (last_price - average) * held,
            "day_change": change,
            "day_change_percentage": change * PERCENT / previous_close if previous_close else NOTHING,
        }
    )


def holdings_summary_row(*, cost: Decimal, value: Decimal, before: Decimal) -> Row:
    """Return the sums over all holdings; `before` is what they were worth at the previous close, INR."""
    return numbers(
        {
            "total_pnl": value - cost,
            "total_pnl_percent": (value - cost) * PERCENT / cost if cost else NOTHING,
            "today_pnl": value - before,
            "today_pnl_percent": (value - before) * PERCENT / before if before else NOTHING,
            "invested_amount": cost,
            "current_value": value,
        }
    )


def margins_row(funds: Funds) -> Row:
    """Return both segments of /user/margins; nothing is traded in commodities."""
    return {"equity": segment_row(funds), "commodity": segment_row(NO_FUNDS)}


def segment_row(funds: Funds) -> Row:
    used = dict.fromkeys(UTILISED.split(), NOTHING) | {
        "debits": funds.debits,
        "exposure": funds.exposure + funds.blocked,
        "m2m_realised": funds.realised_loss,
        "m2m_unrealised": funds.unrealised_loss,
        "delivery": funds.delivery,
        "holding_sales": funds.sales,
    }
    return {
        "enabled": True,
        "net": number(funds.available),
        "available": numbers(
            {
                "adhoc_margin": NOTHING,
                "cash": funds.opening + funds.payin,
                "opening_balance": funds.opening,
                "live_balance": funds.available,
                "collateral": NOTHING,
                "intraday_payin": funds.payin,
            }
        ),
        "utilised": numbers(used),
    }


NO_FUNDS = Funds(
    opening=NOTHING,
    payin=NOTHING,
    blocked=NOTHING,
    exposure=NOTHING,
    delivery=NOTHING,
    sales=NOTHING,
    realised_loss=NOTHING,
    unrealised_loss=NOTHING,
    charges=NOTHING,
)


def charges_row(charges: Charges) -> Row:
    return {
        "transaction_tax": number(charges.transaction_tax),
        "transaction_tax_type": "stt",
        "exchange_turnover_charge": number(charges.exchange_turnover_charge),
        "sebi_turnover_charge": number(charges.sebi_turnover_charge),
        "brokerage": number(charges.brokerage),
        "stamp_duty": number(charges.stamp_duty),
        "gst": {"igst": number(charges.gst), "cgst": 0, "sgst": 0, "total": number(charges.gst)},
        "total": number(charges.total),
    }


def order_margin_row(wanted: Wanted, margin: Decimal, charges: Charges) -> Row:
    """Return one element of /margins/orders: `total` is what the order blocks, charges beside it."""
    delivery = LEVERAGE[wanted.product] == 1
    return {
        "type": "equity",
        "tradingsymbol": wanted.instrument.tradingsymbol,
        "exchange": wanted.instrument.exchange,
        "span": 0,
        "exposure": 0,
        "option_premium": 0,
        "additional": 0,
        "bo": 0,
        "cash": number(margin) if delivery else 0,
        "var": 0 if delivery else number(margin),
        "pnl": {"realised": 0, "unrealised": 0},
        "leverage": LEVERAGE[wanted.product],
        "charges": charges_row(charges),
        "total": number(margin),
    }
