"""The wire form of a signal: what is understood, what is refused and why, and that nothing else can happen."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orders.inbox import Received, record
from orders.messages import MalformedSignal, SignalMessage, parse
from orders.models import Signal

IST = ZoneInfo("Asia/Kolkata")
NOW = datetime(2026, 11, 23, 10, 15, tzinfo=IST)
FIELDS: dict[str, Any] = {
    "signal_type": "BUY",
    "symbol": "RELIANCE",
    "cms_score": 75.0,
    "timestamp": "2026-11-23T10:15:00+05:30",
}


def read(raw: bytes | dict[str, Any], time_zone: ZoneInfo = IST) -> SignalMessage:
    data = raw if isinstance(raw, bytes) else json.dumps(raw).encode()
    return parse(data, now=NOW, time_zone=time_zone, default_exchange="NSE")


def changed(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in {**FIELDS, **changes}.items() if value is not None}


def test_a_plain_signal_is_read_field_by_field():
    message = read(changed(signal_id="a-1", price=1400.5, quantity=3, order_type="limit", strategy="cms", seq=7))

    assert (message.signal_type, message.exchange, message.symbol) == ("BUY", "NSE", "RELIANCE")
    assert (message.cms_score, message.timestamp) == (Decimal("75.0"), NOW)
    assert (message.signal_id, message.identity) == ("a-1", "a-1")
    assert (message.price, message.quantity, message.order_type) == (Decimal("1400.5"), 3, "LIMIT")
    assert (message.strategy, message.seq) == ("cms", 7)


@pytest.mark.parametrize(
    ("name", "alias"),
    [
        ("signal_type", "type"),
        ("signal_type", "action"),
        ("signal_type", "side"),
        ("symbol", "tradingsymbol"),
        ("symbol", "ticker"),
        ("timestamp", "signal_at"),
    ],
)
def test_a_field_may_go_by_its_other_names(name, alias):
    fields = changed(**{name: None, alias: FIELDS[name]})

    assert read(fields) == read(FIELDS)


def test_the_publishers_id_may_be_called_id_and_may_be_a_number():
    assert read(changed(id="a-1")).identity == "a-1"
    assert read(changed(signal_id=17)).identity == "17"


@pytest.mark.parametrize("written", ["BUY", "buy", " Buy ", "TradingSignalType.BUY", "tradingsignaltype.buy"])
def test_the_type_is_read_in_any_case_and_as_an_enum_prints_it(written):
    assert read(changed(signal_type=written)).signal_type == "BUY"


@pytest.mark.parametrize("kind", ["BUY", "SELL", "HOLD"])
def test_there_are_three_types(kind):
    assert read(changed(signal_type=kind)).signal_type == kind


@pytest.mark.parametrize(
    ("written", "exchange", "symbol"),
    [
        ("RELIANCE", "NSE", "RELIANCE"),
        ("reliance", "NSE", "RELIANCE"),
        ("NSE:RELIANCE", "NSE", "RELIANCE"),
        ("bse:reliance", "BSE", "RELIANCE"),
        ("M&M", "NSE", "M&M"),
        ("BAJAJ-AUTO", "NSE", "BAJAJ-AUTO"),
    ],
)
def test_a_symbol_names_its_exchange_or_takes_the_default(written, exchange, symbol):
    message = read(changed(symbol=written))

    assert (message.exchange, message.symbol) == (exchange, symbol)


@pytest.mark.parametrize("written", ["RELIANCE.NS", "TCS.INFY", "NSE:TCS.INFY"])
def test_a_symbol_with_a_dot_is_refused_and_not_cut_down_to_another_symbol(written):
    with pytest.raises(MalformedSignal, match="symbol"):
        read(changed(symbol=written))


@pytest.mark.parametrize(
    ("time_zone", "written", "utc"),
    [
        (IST, "2026-11-23T10:00:00", datetime(2026, 11, 23, 4, 30, tzinfo=UTC)),
        (ZoneInfo("UTC"), "2026-11-23T04:30:00", datetime(2026, 11, 23, 4, 30, tzinfo=UTC)),
        (ZoneInfo("UTC"), "2026-11-23T10:00:00+05:30", datetime(2026, 11, 23, 4, 30, tzinfo=UTC)),
        (IST, "2026-11-23T04:30:00Z", datetime(2026, 11, 23, 4, 30, tzinfo=UTC)),
    ],
)
def test_a_time_without_an_offset_is_in_the_signal_time_zone(time_zone, written, utc):
    assert read(changed(timestamp=written), time_zone).timestamp == utc


def test_a_time_30_s_ahead_is_accepted_and_31_s_is_not():
    at_the_limit = NOW + timedelta(seconds=30)
    past_it = NOW + timedelta(seconds=31)

    assert read(changed(timestamp=at_the_limit.isoformat())).timestamp == at_the_limit
    with pytest.raises(MalformedSignal, match="timestamp: 31 s ahead of our clock; up to 30 s is accepted"):
        read(changed(timestamp=past_it.isoformat()))


@pytest.mark.parametrize("score", [-100, -100.0, 0, "75.5", 100, "100.000"])
def test_scores_from_minus_100_to_100_are_scores(score):
    assert read(changed(cms_score=score)).cms_score == Decimal(str(score))


@pytest.mark.parametrize("optional", ["price", "quantity", "order_type", "seq", "strategy", "signal_id"])
def test_an_optional_field_that_is_null_counts_as_left_out(optional):
    assert read({**FIELDS, optional: None}) == read(FIELDS)


def test_what_is_not_known_is_passed_over():
    assert read(changed(colour="red", nested={"a": [1]})) == read(FIELDS)


@pytest.mark.parametrize(
    "same",
    [
        {"signal_type": "TradingSignalType.BUY"},
        {"signal_type": "buy"},
        {"symbol": "NSE:RELIANCE"},
        {"symbol": "reliance", "exchange": "nse"},
        {"cms_score": 75},
        {"cms_score": "75.000"},
        {"cms_score": "7.5E1"},
        {"timestamp": "2026-11-23T10:15:00"},
        {"timestamp": "2026-11-23T04:45:00Z"},
        {"signal_id": "another id"},
        {"unknown": 1},
        {"strategy": ""},
    ],
)
def test_the_digest_is_the_same_however_the_same_content_is_written(same):
    assert read(changed(**same)).digest() == read(FIELDS).digest()


@pytest.mark.parametrize(
    "other",
    [
        {"signal_type": "SELL"},
        {"symbol": "INFY"},
        {"symbol": "BSE:RELIANCE"},
        {"cms_score": 75.001},
        {"timestamp": "2026-11-23T10:14:59.999999+05:30"},
        {"price": 1400},
        {"quantity": 1},
        {"order_type": "MARKET"},
        {"strategy": "cms"},
        {"seq": 0},
    ],
)
def test_the_digest_differs_when_any_field_does(other):
    assert read(changed(**other)).digest() != read(FIELDS).digest()


def test_without_an_id_the_digest_is_the_identity():
    message = read(FIELDS)

    assert message.identity == message.digest()[:32]


NESTED = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not JSON"),
        (b"BUY RELIANCE", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b'{"signal_type": "BUY"', "not JSON"),
        (b"[1, 2]", "a JSON object is needed, not list"),
        (b'"BUY"', "a JSON object is needed, not str"),
        (b"null", "a JSON object is needed, not NoneType"),
        (NESTED[:60_000], "not JSON"),
        (b'{"cms_score": ' + b"9" * 5000 + b"}", "not JSON"),
        (b"x" * 1024 * 1024, "1048576 bytes: a signal has at most 65536"),
        (b" " * 65_537, "65537 bytes"),
    ],
)
def test_bytes_that_are_no_signal_say_why(raw, reason):
    with pytest.raises(MalformedSignal) as malformed:
        read(raw)

    assert reason in str(malformed.value)
    assert len(str(malformed.value)) <= 1000


def test_64_kib_is_the_most_a_signal_may_have():
    padded = json.dumps(FIELDS).encode()
    padded += b" " * (65_536 - len(padded))

    assert read(padded) == read(FIELDS)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"signal_type": "SHORT"}, "signal_type"),
        ({"signal_type": 1}, "signal_type"),
        ({"signal_type": ["BUY"]}, "signal_type"),
        ({"signal_type": ""}, "signal_type"),
        ({"symbol": ""}, "symbol"),
        ({"symbol": 2885}, "symbol"),
        ({"symbol": "A" * 41}, "symbol"),
        ({"symbol": "REL IANCE"}, "symbol"),
        ({"symbol": "REL\x00"}, "symbol"),
        ({"symbol": "\ud800"}, "symbol"),
        ({"symbol": "NYSE:IBM"}, "exchange"),
        ({"symbol": "NSE:"}, "symbol"),
        ({"cms_score": True}, "cms_score"),
        ({"cms_score": "strong"}, "cms_score"),
        ({"cms_score": float("nan")}, "cms_score"),
        ({"cms_score": float("inf")}, "cms_score"),
        ({"cms_score": float("-inf")}, "cms_score"),
        ({"cms_score": "sNaN"}, "cms_score"),
        ({"cms_score": 100.0001}, "cms_score"),
        ({"cms_score": -100.0001}, "cms_score"),
        ({"cms_score": [75]}, "cms_score"),
        ({"timestamp": 1763873100}, "timestamp"),
        ({"timestamp": True}, "timestamp"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"timestamp": "2026-13-01T00:00:00"}, "timestamp"),
        ({"timestamp": "9999-12-31T23:59:59-12:00"}, "timestamp"),
        ({"timestamp": "0001-01-01T00:00:00+14:00"}, "timestamp"),
        ({"signal_id": "a\x00b"}, "signal_id"),
        ({"signal_id": "a\nb"}, "signal_id"),
        ({"signal_id": "x" * 81}, "signal_id"),
        ({"signal_id": True}, "signal_id"),
        ({"signal_id": "\udfff"}, "signal_id"),
        ({"price": 0}, "price"),
        ({"price": -1}, "price"),
        ({"price": True}, "price"),
        ({"price": 1.00001}, "price"),
        ({"price": "1e30"}, "price"),
        ({"quantity": 0}, "quantity"),
        ({"quantity": 1.5}, "quantity"),
        ({"quantity": True}, "quantity"),
        ({"quantity": 10_000_001}, "quantity"),
        ({"order_type": "SL-M"}, "order_type"),
        ({"strategy": "a\x00"}, "strategy"),
        ({"strategy": "x" * 61}, "strategy"),
        ({"seq": -1}, "seq"),
        ({"seq": 2**63}, "seq"),
        ({"seq": False}, "seq"),
    ],
)
def test_a_field_that_is_wrong_is_named(changes, field):
    with pytest.raises(MalformedSignal) as malformed:
        read(changed(**changes))

    assert str(malformed.value).startswith(field)


@pytest.mark.parametrize("missing", FIELDS)
def test_a_required_field_that_is_missing_is_named(missing):
    with pytest.raises(MalformedSignal, match=f"{missing}: Field required"):
        read(changed(**{missing: None}))


def test_every_trouble_is_told_at_once():
    with pytest.raises(MalformedSignal) as malformed:
        read(changed(signal_type="SHORT", cms_score=101, seq=-1))

    assert [part.split(":")[0] for part in str(malformed.value).split("; ")] == ["signal_type", "cms_score", "seq"]


@pytest.mark.parametrize("score", ["1E-999999", "1E-99999999999", "-1E-999999", "0E+999999"])
def test_a_score_of_next_to_nothing_is_a_score(score):
    message = read(changed(cms_score=score))

    assert abs(message.cms_score) < 1
    assert message.digest()


@pytest.fixture
def desk(bare_desk, db):
    """Writing signals down needs nothing of the broker."""
    return bare_desk


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.decimals().map(str)
    | st.datetimes().map(lambda moment: moment.isoformat())
    | st.sampled_from(["BUY", "sell", "NSE:INFY", "RELIANCE", "LIMIT", "1E-999999", "2026-11-23T10:15:00+05:30"])
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)
NAMES = st.sampled_from(
    [*SignalMessage.model_fields, "type", "action", "side", "tradingsymbol", "ticker", "signal_at", "id"]
)
OBJECTS = st.dictionaries(NAMES | st.text(max_size=5), VALUES).map(lambda given: {**FIELDS, **given})
MESSAGES = st.binary() | OBJECTS.map(lambda fields: json.dumps(fields).encode())


@given(raw=MESSAGES)
def test_whatever_comes_is_a_signal_or_malformed_and_nothing_else(raw):
    try:
        message = read(raw)
    except MalformedSignal:
        return

    assert message.timestamp.tzinfo is not None
    assert -100 <= message.cms_score <= 100
    assert len(message.identity) <= 80


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raws=st.lists(MESSAGES, min_size=1, max_size=4))
def test_whatever_comes_is_recorded_as_a_row_or_a_count(desk, raws):
    before = Signal.objects.count()

    recorded = record(desk, [Received(raw=raw, source=Signal.Source.STREAM) for raw in raws])

    assert recorded.new + recorded.malformed + recorded.duplicates == len(raws)
    assert Signal.objects.count() == before + recorded.new + recorded.malformed
    assert all(signal.status for signal in Signal.objects.all())  # every row can be read again


@pytest.mark.parametrize("written", ["0001-01-01T00:00:00", "0001-01-01T05:29:59+05:30", "0001-01-02T00:00:00+05:30"])
def test_a_signal_from_the_beginning_of_time_can_be_read_again_after_it_was_recorded(desk, message, written):
    record(desk, [Received(raw=message(timestamp=written), source=Signal.Source.STREAM)])

    assert [signal.symbol in ("", "RELIANCE") for signal in Signal.objects.all()] == [True]
