"""Bytes from Redis become a SignalMessage, or a MalformedSignal that says everything that is wrong with them."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from risk.engine.facts import OrderType, TradingSignalType
from risk.engine.limits import SIGNAL_AHEAD_MAX_SECONDS

MESSAGE_BYTES_MAX = 64 * 1024
RAW_BYTES_KEPT = 4 * 1024
REASON_CHARACTERS_MAX = 1000

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)  # an older time is a mistake, and the database knows no year 0

SYMBOL = r"^[A-Z0-9][A-Z0-9&\-_]{0,39}$"
EXCHANGE = r"^(NSE|BSE|NFO|BFO|CDS|BCD|MCX)$"


class MalformedSignal(Exception):
    """The bytes are not a signal. The text says what is wrong, for the row that keeps them."""


def _word(value: Any) -> Any:
    """Take any case, and the text of an enum member: TradingSignalType.BUY is BUY."""
    return value.strip().upper().rpartition(".")[2] if isinstance(value, str) else value


def _upper(value: Any) -> Any:
    return value.strip().upper() if isinstance(value, str) else value


def _number(value: Any) -> Any:
    """Refuse what only looks like a number to a lenient reader: true and false."""
    if isinstance(value, bool):
        raise ValueError("a number is needed, not true or false")
    return str(value) if isinstance(value, float) else value


def _text(value: Any) -> Any:
    """Take a whole number for its digits and null for nothing."""
    if value is None:
        return ""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _aware_text(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("an ISO 8601 text is needed, such as 2026-11-23T10:15:00+05:30")
    return datetime.fromisoformat(value.strip())


Word = BeforeValidator(_word)
Upper = BeforeValidator(_upper)
Number = BeforeValidator(_number)


class Subject(BaseModel):
    """What a signal is about: the part of it that may be readable though the rest is not."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, str_strip_whitespace=True)

    signal_type: Annotated[TradingSignalType, Word] = Field(
        validation_alias=AliasChoices("signal_type", "type", "action", "side")
    )
    symbol: Annotated[str, Upper] = Field(
        validation_alias=AliasChoices("symbol", "tradingsymbol", "ticker"), pattern=SYMBOL
    )
    exchange: Annotated[str, Upper] = Field(pattern=EXCHANGE)


class SignalMessage(Subject):
    """A signal's wire form, parsed and normalised. Prices are INR, quantities shares, `cms_score` −100 to 100."""

    cms_score: Annotated[Decimal, Number] = Field(ge=-100, le=100)
    timestamp: Annotated[datetime, BeforeValidator(_aware_text)] = Field(
        validation_alias=AliasChoices("timestamp", "signal_at")
    )
    signal_id: Annotated[str, BeforeValidator(_text)] = Field(
        default="",
        validation_alias=AliasChoices("signal_id", "id"),
        max_length=80,
        pattern=r"^[^\x00-\x1f]*$",
    )
    price: Annotated[Decimal, Number] | None = Field(default=None, gt=0, max_digits=14, decimal_places=4)
    quantity: Annotated[int, Number] | None = Field(default=None, gt=0, le=10_000_000)
    order_type: Annotated[OrderType, Word] | None = None
    strategy: Annotated[str, BeforeValidator(_text)] = Field(default="", max_length=60, pattern=r"^[^\x00]*$")
    seq: Annotated[int, Number] | None = Field(default=None, ge=0, lt=2**63)

    def digest(self) -> str:
        """Return a digest of every field as normalised: the same for the same signal however it was written."""
        normal = self.model_dump(mode="json", exclude={"signal_id"})
        normal["cms_score"] = str(self.cms_score.normalize())
        normal["price"] = None if self.price is None else str(self.price.normalize())
        normal["timestamp"] = self.timestamp.timestamp()
        return hashlib.sha256(json.dumps(normal, sort_keys=True).encode()).hexdigest()

    @property
    def identity(self) -> str:
        """Return the publisher's id, else one derived from the content."""
        return self.signal_id or self.digest()[:32]


def parse(raw: bytes, *, now: datetime, time_zone: ZoneInfo, default_exchange: str) -> SignalMessage:
    """
    Return the signal that the bytes hold. Raise `MalformedSignal` with every trouble found.

    A time without an offset is taken to be in `time_zone`; a time ahead of `now` by more than 30 s is refused.
    """
    fields = _fields(raw, default_exchange)
    try:
        message = SignalMessage.model_validate(fields)
    except ValidationError as error:
        raise MalformedSignal(_in_words(error)) from error
    return _in_time(message, now=now, time_zone=time_zone)


def readable_part(raw: bytes, *, default_exchange: str) -> Subject | None:
    """Return what a malformed message would have done in which symbol; None where not even that can be read."""
    try:
        return Subject.model_validate(_fields(raw, default_exchange))
    except (MalformedSignal, ValidationError):
        return None


def malformed_digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def _fields(raw: bytes, default_exchange: str) -> dict[str, Any]:
    fields = _object(raw)
    symbol = next((fields[key] for key in ("symbol", "tradingsymbol", "ticker") if key in fields), None)
    if isinstance(symbol, str) and ":" in symbol:
        exchange, _, name = symbol.partition(":")
        fields = {**fields, "exchange": exchange, "symbol": name}
    fields.setdefault("exchange", default_exchange)
    return fields


def _object(raw: bytes) -> dict[str, Any]:
    if len(raw) > MESSAGE_BYTES_MAX:
        raise MalformedSignal(f"{len(raw)} bytes: a signal has at most {MESSAGE_BYTES_MAX}")
    try:
        fields = json.loads(raw, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError) as error:
        raise MalformedSignal(f"not JSON: {error}"[:REASON_CHARACTERS_MAX]) from error
    if not isinstance(fields, dict):
        raise MalformedSignal(f"a JSON object is needed, not {type(fields).__name__}")
    return fields


def _in_time(message: SignalMessage, *, now: datetime, time_zone: ZoneInfo) -> SignalMessage:
    moment = message.timestamp
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=time_zone)
    try:
        ahead = moment - now
        _ = moment.astimezone(time_zone)
    except OverflowError as error:
        raise MalformedSignal(f"timestamp: {message.timestamp} is out of range") from error
    if moment < EARLIEST:
        raise MalformedSignal(f"timestamp: {message.timestamp} is before {EARLIEST:%Y}")
    if ahead > timedelta(seconds=SIGNAL_AHEAD_MAX_SECONDS):
        raise MalformedSignal(
            f"timestamp: {ahead.total_seconds():.0f} s ahead of our clock; up to "
            f"{SIGNAL_AHEAD_MAX_SECONDS} s is accepted"
        )
    # In UTC: the database refuses offsets of sixteen hours and more, and would refuse the whole batch with it.
    return message.model_copy(update={"timestamp": moment.astimezone(UTC)})


def _in_words(error: ValidationError) -> str:
    troubles = [f"{'.'.join(map(str, item['loc'])) or 'signal'}: {item['msg']}" for item in error.errors()]
    return "; ".join(troubles)[:REASON_CHARACTERS_MAX].replace("\x00", "␀")
