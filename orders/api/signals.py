"""Sending a signal: into the same inbox that the receivers write, as the bytes that came, but for tokens in them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from django.http import HttpRequest
from ninja import Query, Router, Status
from pydantic import ValidationError

from orders.api.bearer import CHALLENGE, BearerToken, in_its_name, known
from orders.api.problems import Problem
from orders.api.reading import narrowed, page
from orders.api.schemas import SignalFilters, SignalOut, Signals
from orders.api.tradingview import as_a_signal, token_in, without_tokens
from orders.api.wire import ALERT, SIGNAL
from orders.api_tokens import SEND_SIGNALS
from orders.desk import Desk
from orders.inbox import Received, record
from orders.messages import MalformedSignal, SignalMessage, malformed_digest, parse
from orders.models import ApiToken, Signal

router = Router(tags=["Signals"])
ANSWERS = {200: SignalOut, 201: SignalOut}


class AlertToken(BearerToken):
    """Takes the token from the text of an alert: TradingView can set no header. One in the header will do, too."""

    openapi_security_schema = {
        **BearerToken.openapi_security_schema,
        "description": "An API token; without a header one that was made for TradingView, anywhere in the text.",
    }

    def __call__(self, request: HttpRequest) -> ApiToken:
        if request.headers.get("Authorization"):
            return super().__call__(request)
        text = token_in(request.body)
        token = known(request, text)
        if not token.in_body:
            told = "this token was not made for TradingView: send it in the header, or have one made"
            raise Problem(401, "token-not-for-alerts", told, headers=CHALLENGE)
        self.let_in(request, token)
        return token


@router.post("/signals", response=ANSWERS, auth=BearerToken(SEND_SIGNALS), openapi_extra=SIGNAL)
@in_its_name
def send_signal(request: HttpRequest) -> Any:
    """
    Send a signal, once however often it is sent.

    201: it is written down, and the executor decides it. 200: the same signal was there already. 409: its id stands for
    another signal; this one is kept, not acted on, and an incident. 422: it is none; it is kept with the reasons.
    """
    return _taken(request, request.body)


@router.get("/signals", response=Signals, auth=BearerToken("signals:read"))
def list_signals(request: HttpRequest, filters: Query[SignalFilters]) -> Any:
    """Return signals, newest first, with what became of each."""
    return page(request, narrowed(Signal.objects.defer("raw"), filters), filters)


@router.post("/signals/tradingview", response=ANSWERS, auth=AlertToken(SEND_SIGNALS), openapi_extra=ALERT)
@in_its_name
def send_alert(request: HttpRequest) -> Any:
    """
    Send a signal in the form of TradingView's alerts: JSON, or lines of text, with the token among them.

    Without a score of its own an alert counts as a full one, in the direction of its action.
    """
    desk = Desk.from_settings()
    return _taken(request, as_a_signal(request.body, default_exchange=desk.rules.default_exchange))


@dataclass(frozen=True)
class _Kept:
    signal: Signal | None
    trouble: MalformedSignal | None = None
    is_conflict: bool = False


def _taken(request: HttpRequest, body: bytes) -> Any:
    """Record the message, without a token that somebody passed on in it, and say what it became: all at one moment."""
    raw = without_tokens(body)
    desk = Desk.from_settings()
    now = desk.clock()
    desk = replace(desk, clock=lambda: now)
    token: ApiToken = request.auth  # type: ignore[attr-defined]  # set by the API
    sent_by = f"{token.owner.get_username()}, {token.name}"
    recorded = record(desk, [Received(raw=raw, source=Signal.Source.API, sent_by=sent_by)])
    kept = _look_up(desk, raw)
    if kept.signal is None:
        told = "a defect of ours kept the signal from being taken in: its bytes are kept, and an incident is open"
        raise Problem(500, "signal-not-taken", told)
    if kept.trouble:
        raise _malformed(kept.signal, kept.trouble)
    if kept.is_conflict:
        raise Problem(409, "signal-conflict", kept.signal.reason, signal=_shown(kept.signal))
    return Status(201 if recorded.new else 200, kept.signal)


def _look_up(desk: Desk, raw: bytes) -> _Kept:
    """Return what the inbox made of the bytes, by the names that it gives."""
    rows = Signal.objects.filter(mode=desk.mode).defer("raw")
    rules = desk.rules
    try:
        said: SignalMessage = parse(
            raw, now=desk.clock(), time_zone=rules.signal_time_zone, default_exchange=rules.default_exchange
        )
    except MalformedSignal as trouble:
        return _Kept(rows.filter(signal_id=f"malformed:{malformed_digest(raw)[:32]}").first(), trouble)
    digest = said.digest()
    signal = rows.filter(signal_id=said.identity).first()
    if signal is None or signal.digest == digest:
        return _Kept(signal)
    conflict = rows.filter(signal_id=f"{said.identity[:60]}#conflict:{digest[:24]}").first()
    return _Kept(conflict, is_conflict=True)


def _malformed(signal: Signal, trouble: MalformedSignal) -> Problem:
    cause = trouble.__cause__
    if isinstance(cause, ValidationError):
        errors = [
            {"field": ".".join(map(str, each["loc"])) or "signal", "detail": each["msg"]} for each in cause.errors()
        ]
    else:
        field, colon, told = str(trouble).partition(": ")
        errors = [{"field": field, "detail": told} if colon and field == "timestamp" else _of_all(trouble)]
    return Problem(422, "signal-malformed", str(trouble), errors=errors, signal=_shown(signal))


def _of_all(trouble: MalformedSignal) -> dict[str, str]:
    return {"field": "signal", "detail": str(trouble)}


def _shown(signal: Signal) -> dict[str, Any]:
    return {"signal_id": signal.signal_id, "status": signal.status, "duplicates": signal.duplicates}
