"""
Every row of every list has Kite's keys with Kite's JSON types, and no others.

The tables are those of the Kite Connect v3 documentation and of zerodha/kiteconnect-mocks. They are held against the
JSON on the wire, since the SDK turns texts into times; what a number is worth is tested elsewhere.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator

import pytest

from .paper_process import PaperProcess

HEADERS = {"Authorization": "token paper:paper", "Content-Type": "application/x-www-form-urlencoded"}
MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
TIME = re.compile(r"\d\d:\d\d:\d\d")


def text(value: object) -> bool:
    return isinstance(value, str)


def whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def number(value: object) -> bool:
    return whole(value) or isinstance(value, float)


def flag(value: object) -> bool:
    return isinstance(value, bool)


def mapping(value: object) -> bool:
    return isinstance(value, dict)


def moment(value: object) -> bool:
    return text(value) and MOMENT.fullmatch(value) is not None


def time_of_day(value: object) -> bool:
    return text(value) and TIME.fullmatch(value) is not None


def digits(value: object) -> bool:
    return text(value) and value.removeprefix("SIM").isdigit()


def texts(value: object) -> bool:
    return isinstance(value, list) and all(map(text, value))


def or_null(kind: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or kind(value)


def table(**kinds: str) -> dict[str, Callable[[object], bool]]:
    """Return the kind by the key, from the keys by the name of their kind."""
    named = {
        "texts": text,
        "whole": whole,
        "numbers": number,
        "flags": flag,
        "mappings": mapping,
        "moments": moment,
        "times": time_of_day,
        "ids": digits,
        "lists": texts,
        "text_or_null": or_null(text),
        "moment_or_null": or_null(moment),
        "id_or_null": or_null(digits),
    }
    return {key: named[kind] for kind, keys in kinds.items() for key in keys.split()}


ORDER = table(
    ids="order_id",
    id_or_null="exchange_order_id parent_order_id",
    texts="placed_by status variety exchange tradingsymbol order_type transaction_type validity product",
    text_or_null="status_message status_message_raw tag guid",
    moments="order_timestamp",
    moment_or_null="exchange_timestamp exchange_update_timestamp",
    whole="quantity disclosed_quantity filled_quantity pending_quantity cancelled_quantity instrument_token",
    numbers="price trigger_price average_price market_protection",
    flags="modified",
    mappings="meta",
)
SOMETIMES = table(lists="tags", whole="validity_ttl")
NOT_IN_HISTORY = {"status_message_raw", "exchange_update_timestamp", "market_protection", "meta", "guid"}
HISTORY = {key: kind for key, kind in ORDER.items() if key not in NOT_IN_HISTORY}
TRADE = table(
    ids="trade_id order_id exchange_order_id",
    texts="exchange tradingsymbol product transaction_type",
    whole="instrument_token quantity",
    numbers="average_price",
    moments="fill_timestamp exchange_timestamp",
    times="order_timestamp",
)
POSITION = table(
    texts="tradingsymbol exchange product",
    whole="instrument_token quantity overnight_quantity buy_quantity sell_quantity day_buy_quantity day_sell_quantity",
    numbers="multiplier average_price close_price last_price value pnl m2m unrealised realised buy_price buy_value "
    "buy_m2m sell_price sell_value sell_m2m day_buy_price day_buy_value day_sell_price day_sell_value",
)
HOLDING = table(
    texts="tradingsymbol exchange isin product",
    text_or_null="collateral_type",
    whole="instrument_token quantity used_quantity t1_quantity realised_quantity authorised_quantity "
    "opening_quantity short_quantity collateral_quantity",
    numbers="price average_price last_price close_price pnl day_change day_change_percentage",
    moments="authorised_date",
    mappings="authorisation mtf",
    flags="discrepancy",
)
MTF = table(whole="quantity used_quantity", numbers="average_price value initial_margin")
SEGMENT = table(flags="enabled", numbers="net", mappings="available utilised")
AVAILABLE = table(numbers="adhoc_margin cash opening_balance live_balance collateral intraday_payin")
UTILISED = table(
    numbers="debits exposure m2m_realised m2m_unrealised option_premium payout span holding_sales turnover "
    "liquid_collateral stock_collateral delivery"
)
PROFILE = table(
    texts="user_id user_type email user_name user_shortname broker",
    lists="exchanges products order_types",
    text_or_null="avatar_url",
    mappings="meta",
)
SESSION = PROFILE | table(texts="api_key access_token public_token enctoken refresh_token silo", moments="login_time")
MARGIN = table(
    texts="type tradingsymbol exchange",
    numbers="span exposure option_premium additional bo cash var leverage total",
    mappings="pnl charges",
)
PNL = table(numbers="realised unrealised")
CHARGES = table(
    numbers="transaction_tax exchange_turnover_charge sebi_turnover_charge brokerage stamp_duty total",
    texts="transaction_tax_type",
    mappings="gst",
)
GST = table(numbers="igst cgst sgst total")
NOTE = table(
    texts="transaction_type tradingsymbol exchange variety product order_type",
    whole="quantity",
    numbers="price",
    mappings="charges",
)
QUOTE = table(
    whole="instrument_token last_quantity buy_quantity sell_quantity volume",
    numbers="last_price net_change average_price oi oi_day_high oi_day_low lower_circuit_limit upper_circuit_limit",
    moments="timestamp last_trade_time",
    mappings="ohlc depth",
)
OHLC = table(numbers="open high low close")
LEVEL = table(numbers="price", whole="quantity orders")
GTT = table(
    whole="id",
    texts="user_id type status",
    moments="created_at updated_at expires_at",
    mappings="condition meta",
)


def assert_is(row: dict, kinds: dict, sometimes: dict | None = None) -> None:
    """Check that the row has these keys, of these kinds, and none but perhaps those more."""
    more = {key: kind for key, kind in (sometimes or {}).items() if key in row}
    assert set(row) == {*kinds, *more}
    wrong = {key: row[key] for key, kind in (kinds | more).items() if not kind(row[key])}
    assert wrong == {}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaperProcess]:
    """An account with an order of every kind and state, a holding, and positions both ways."""
    server = PaperProcess(tmp_path_factory.mktemp("types"), "--cash", "100000000")
    server.set_price("NSE:INFY", "1500.00")
    server.control("POST", "holdings/NSE/SBIN", {"quantity": 10, "average_price": "812.34"})
    kite = server.kite()
    usual = {"exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "quantity": 10, "product": "MIS"}
    limit = usual | {"order_type": "LIMIT", "price": 1490.0}
    market = usual | {"order_type": "MARKET", "market_protection": -1}
    kite.place_order("regular", **market, tag="filled")
    kite.place_order("regular", **market | {"product": "CNC", "transaction_type": "SELL", "tradingsymbol": "SBIN"})
    kite.place_order("regular", **market | {"product": "NRML", "transaction_type": "SELL", "market_protection": 2.5})
    resting = kite.place_order("regular", **limit, validity="TTL", validity_ttl=5)
    kite.modify_order("regular", resting, price=1480.0)
    kite.cancel_order("regular", kite.place_order("regular", **limit))
    kite.place_order("regular", **usual, order_type="SL", price=1520.0, trigger_price=1510.0)
    kite.place_order("co", **market, trigger_price=1490.0)
    kite.place_order("iceberg", **limit, iceberg_legs=2, iceberg_quantity=5)
    kite.place_order("regular", **limit | {"quantity": 10_000_000, "product": "CNC"})
    kite.place_gtt("single", "INFY", "NSE", [1400.0], 1500.0, [limit | {"product": "CNC", "price": 1400.0}])
    yield server
    server.stop()


@pytest.fixture
def read(server):
    def get(path: str, method: str = "GET", **how: object) -> object:
        answer = server.http.request(method, server.root + path, headers=HEADERS, timeout=5, **how)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("application/json")
        content = answer.json()
        assert (set(content), content["status"]) == ({"status", "data"}, "success")
        return content["data"]

    return get


def test_orders_of_every_state_have_31_keys(read):
    rows = read("/orders")

    assert len(ORDER) == 31
    assert {row["status"] for row in rows} == {"COMPLETE", "OPEN", "CANCELLED", "TRIGGER PENDING", "REJECTED"}
    for row in rows:
        assert_is(row, ORDER, SOMETIMES)
    assert [row["meta"]["iceberg"] for row in rows if row["meta"]] == [
        {"leg": 1, "legs": 2, "leg_quantity": 5, "total_quantity": 10, "remaining_quantity": 5}
    ]


def test_histories_have_26(read):
    assert len(HISTORY) == 26
    for order in read("/orders"):
        for row in read(f"/orders/{order['order_id']}"):
            assert_is(row, HISTORY)


def test_trades_have_13(read):
    assert len(TRADE) == 13
    rows = read("/trades")
    assert len(rows) >= 4
    for row in rows:
        assert_is(row, TRADE)
        assert row in read(f"/orders/{row['order_id']}/trades")


def test_positions_have_29_and_holdings_25(read):
    positions, (holding,) = read("/portfolio/positions"), read("/portfolio/holdings")

    assert (len(POSITION), len(HOLDING), set(positions)) == (29, 25, {"net", "day"})
    for row in (*positions["net"], *positions["day"]):
        assert_is(row, POSITION)
    assert_is(holding, HOLDING)
    assert_is(holding["mtf"], MTF)


def test_margins_profile_and_session(read, server):
    margins = read("/user/margins")

    assert set(margins) == {"equity", "commodity"}
    for segment in (*margins.values(), read("/user/margins/equity"), read("/user/margins/commodity")):
        assert_is(segment, SEGMENT)
        assert_is(segment["available"], AVAILABLE)
        assert_is(segment["utilised"], UTILISED)
    assert_is(read("/user/profile"), PROFILE)
    checksum = hashlib.sha256(f"app{(token := server.request_token('app'))}paper".encode()).hexdigest()
    form = {"api_key": "app", "request_token": token, "checksum": checksum}
    assert_is(read("/session/token", "POST", data=form), SESSION)


@pytest.mark.parametrize("transaction_type", ["BUY", "SELL"])
@pytest.mark.parametrize("product", ["CNC", "MIS"])
def test_the_calculators(read, transaction_type, product):
    order = {"exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": transaction_type, "variety": "regular"}
    order |= {"product": product, "order_type": "LIMIT", "quantity": 10, "price": 1490, "average_price": 1490}

    (margin,), (note,) = (read(path, "POST", json=[order]) for path in ("/margins/orders", "/charges/orders"))
    basket = read("/margins/basket", "POST", json=[order])

    assert_is(note, NOTE)
    assert set(basket) == {"initial", "final", "orders", "charges"}
    for row in (margin, basket["initial"], basket["final"], *basket["orders"]):
        assert_is(row, MARGIN)
        assert_is(row["pnl"], PNL)
    for charges in (margin["charges"], note["charges"], basket["charges"]):
        assert_is(charges, CHARGES)
        assert_is(charges["gst"], GST)


def test_quotes_and_triggers(read):
    (quote,) = read("/quote?i=NSE:INFY").values()
    (gtt,) = read("/gtt/triggers")

    assert_is(quote, QUOTE)
    assert_is(quote["ohlc"], OHLC)
    for level in (*quote["depth"]["buy"], *quote["depth"]["sell"]):
        assert_is(level, LEVEL)
    assert_is({key: gtt[key] for key in GTT}, GTT)
    assert set(gtt) - set(GTT) == {"parent_trigger", "orders"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/orders/1", 404),
        ("POST", "/orders/regular", 400),
        ("GET", "/quote", 400),
        ("GET", "/nowhere", 404),
        ("PATCH", "/orders", 405),
    ],
)
def test_an_error_has_four_keys(server, method, path, status):
    answer = server.http.request(method, server.root + path, headers=HEADERS, timeout=5)

    assert answer.status_code == status
    assert_is(answer.json() | {"data": ""}, table(texts="status message data error_type"))
    assert answer.json()["data"] is None
