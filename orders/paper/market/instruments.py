"""What can be traded on paper: large companies of the NSE, under their real symbols and exchange tokens."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

NSE_SEGMENT = 1
EXCHANGES = ("NSE", "BSE", "NFO", "BFO", "CDS", "BCD", "MCX")

# Ticks of the NSE cash market since 2025-04-15: prices up to the bound move in this step.
TICKS = (
    (Decimal(250), Decimal("0.01")),
    (Decimal(1000), Decimal("0.05")),
    (Decimal(5000), Decimal("0.10")),
    (Decimal(10000), Decimal("0.50")),
    (Decimal(20000), Decimal("1.00")),
)
TICK_ABOVE = Decimal("5.00")

CSV_HEADER = (
    "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,"
    "instrument_type,segment,exchange\n"
)


@dataclass(frozen=True, kw_only=True)
class Instrument:
    exchange: str
    tradingsymbol: str
    name: str
    exchange_token: int
    base_price: Decimal  # INR; the market wanders around it
    tick_size: Decimal  # INR
    lot_size: int = 1

    @property
    def key(self) -> str:
        """Return the name by which quotes are asked for, such as NSE:INFY."""
        return f"{self.exchange}:{self.tradingsymbol}"

    @property
    def instrument_token(self) -> int:
        return self.exchange_token * 256 + NSE_SEGMENT


def tick_size(price: Decimal) -> Decimal:
    """Return the step of prices for a share that costs about this much."""
    for bound, tick in TICKS:
        if price <= bound:
            return tick
    return TICK_ABOVE


def share(exchange_token: int, tradingsymbol: str, base_price: str, name: str) -> Instrument:
    price = Decimal(base_price)
    return Instrument(
        exchange="NSE",
        tradingsymbol=tradingsymbol,
        name=name,
        exchange_token=exchange_token,
        base_price=price,
        tick_size=tick_size(price),
    )


INSTRUMENTS = {
    instrument.key: instrument
    for instrument in (
        share(25, "ADANIENT", "2420.00", "ADANI ENTERPRISES"),
        share(15083, "ADANIPORTS", "1480.00", "ADANI PORT & SEZ"),
        share(157, "APOLLOHOSP", "7450.00", "APOLLO HOSPITALS ENTER."),
        share(236, "ASIANPAINT", "2860.00", "ASIAN PAINTS"),
        share(5900, "AXISBANK", "1270.00", "AXIS BANK"),
        share(16669, "BAJAJ-AUTO", "9050.00", "BAJAJ AUTO"),
        share(16675, "BAJAJFINSV", "2080.00", "BAJAJ FINSERV"),
        share(317, "BAJFINANCE", "1010.00", "BAJAJ FINANCE"),
        share(383, "BEL", "418.00", "BHARAT ELECTRONICS"),
        share(526, "BPCL", "362.00", "BHARAT PETROLEUM CORP"),
        share(10604, "BHARTIARTL", "2110.00", "BHARTI AIRTEL"),
        share(547, "BRITANNIA", "5840.00", "BRITANNIA INDUSTRIES"),
        share(694, "CIPLA", "1525.00", "CIPLA"),
        share(20374, "COALINDIA", "378.00", "COAL INDIA"),
        share(10940, "DIVISLAB", "6480.00", "DIVI'S LABORATORIES"),
        share(14732, "DLF", "742.00", "DLF"),
        share(881, "DRREDDY", "1250.00", "DR. REDDY'S LABORATORIES"),
        share(910, "EICHERMOT", "7120.00", "EICHER MOTORS"),
        share(5097, "ETERNAL", "304.00", "ETERNAL"),
        share(4717, "GAIL", "184.00", "GAIL (INDIA)"),
        share(1232, "GRASIM", "2740.00", "GRASIM INDUSTRIES"),
        share(7229, "HCLTECH", "1620.00", "HCL TECHNOLOGIES"),
        share(1333, "HDFCBANK", "998.00", "HDFC BANK"),
        share(467, "HDFCLIFE", "765.00", "HDFC LIFE INSURANCE COMPANY"),
        share(1348, "HEROMOTOCO", "5960.00", "HERO MOTOCORP"),
        share(1363, "HINDALCO", "805.00", "HINDALCO INDUSTRIES"),
        share(1394, "HINDUNILVR", "2430.00", "HINDUSTAN UNILEVER"),
        share(4963, "ICICIBANK", "1375.00", "ICICI BANK"),
        share(14366, "IDEA", "10.40", "VODAFONE IDEA"),
        share(11195, "INDIGO", "5860.00", "INTERGLOBE AVIATION"),
        share(5258, "INDUSINDBK", "840.00", "INDUSIND BANK"),
        share(1594, "INFY", "1540.00", "INFOSYS"),
        share(1660, "ITC", "404.00", "ITC"),
        share(18143, "JIOFIN", "302.00", "JIO FINANCIAL SERVICES"),
        share(11723, "JSWSTEEL", "1165.00", "JSW STEEL"),
        share(1922, "KOTAKBANK", "2090.00", "KOTAK MAHINDRA BANK"),
        share(11483, "LT", "4020.00", "LARSEN & TOUBRO"),
        share(2031, "M&M", "3720.00", "MAHINDRA & MAHINDRA"),
        share(10999, "MARUTI", "15900.00", "MARUTI SUZUKI INDIA"),
        share(17963, "NESTLEIND", "1265.00", "NESTLE INDIA"),
        share(11630, "NTPC", "326.00", "NTPC"),
        share(2475, "ONGC", "247.00", "OIL AND NATURAL GAS CORP."),
        share(14977, "POWERGRID", "276.00", "POWER GRID CORP. OF INDIA"),
        share(2885, "RELIANCE", "1540.00", "RELIANCE INDUSTRIES"),
        share(21808, "SBILIFE", "2010.00", "SBI LIFE INSURANCE COMPANY"),
        share(3045, "SBIN", "972.00", "STATE BANK OF INDIA"),
        share(4306, "SHRIRAMFIN", "825.00", "SHRIRAM FINANCE"),
        share(3351, "SUNPHARMA", "1780.00", "SUN PHARMACEUTICAL IND"),
        share(3432, "TATACONSUM", "1180.00", "TATA CONSUMER PRODUCTS"),
        share(3456, "TATAMOTORS", "362.00", "TATA MOTORS"),
        share(3499, "TATASTEEL", "172.00", "TATA STEEL"),
        share(11536, "TCS", "3150.00", "TATA CONSULTANCY SERVICES"),
        share(13538, "TECHM", "1450.00", "TECH MAHINDRA"),
        share(3506, "TITAN", "3900.00", "TITAN COMPANY"),
        share(1964, "TRENT", "4400.00", "TRENT"),
        share(11532, "ULTRACEMCO", "11700.00", "ULTRATECH CEMENT"),
        share(3787, "WIPRO", "246.00", "WIPRO"),
        share(11915, "YESBANK", "22.60", "YES BANK"),
    )
}
BY_TOKEN = {str(instrument.instrument_token): instrument for instrument in INSTRUMENTS.values()}


def instrument_dump(instruments: Iterable[Instrument]) -> str:
    """Return Kite's CSV of instruments; prices in it are zero, as Zerodha's are outside the session."""
    text = io.StringIO(CSV_HEADER)
    text.seek(0, io.SEEK_END)
    csv.writer(text, lineterminator="\n").writerows(dump_row(one) for one in instruments)
    return text.getvalue()


def dump_row(one: Instrument) -> tuple[object, ...]:
    names = (one.instrument_token, one.exchange_token, one.tradingsymbol, one.name)
    no_expiry_no_strike = ("0", "", "0")
    return (*names, *no_expiry_no_strike, one.tick_size, one.lot_size, "EQ", one.exchange, one.exchange)
