"""What speaks against an order by the time it is sent: it was decided a moment ago, and much may have come since."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from orders.broker.sessions import SESSION
from orders.desk import Desk, trading_date
from orders.models import BrokerSession, Decision, Order
from orders.session_hours import market_of_listed
from risk import limit_versions
from risk.engine.facts import Origin, Side, TradingState
from risk.models import RiskSettings, TradingControl
from risk.models.incident import STOPS
from risk.questions import Later, Question


class Against(NamedTuple):
    """What may speak against an order by the time it is sent: the limits, the login, doubts and incidents."""

    limits: RiskSettings
    login: BrokerSession | None
    is_in_doubt: bool  # any order of ours
    incidents: tuple[str, ...]  # the titles of those that stop new exposure

    @classmethod
    def ask(cls, desk: Desk, order: Order, now: datetime) -> Later[Against]:
        limits = limit_versions.ask_settled(now=now)
        login = SESSION.ask(mode=desk.mode)
        doubts = _DOUBTS.ask(mode=desk.mode)
        incidents = STOPS.ask(mode=desk.mode, symbol=order.symbol)
        return lambda: cls(
            limits(), next(iter(login()), None), bool(doubts()), tuple(title for (title,) in incidents())
        )


_DOUBTS = Question[tuple[int]](lambda mode: Order.objects.in_doubt(mode).order_by().values_list("pk")[:1], mode=str)


def withdrawal(desk: Desk, order: Order, control: TradingControl, against: Against, now: datetime) -> str | None:
    """Return why the order must not be sent any more; None when it still may."""
    if order.mode != desk.mode:
        return f"it belongs to {order.mode}, this is {desk.mode}"
    if order.cancel_requested_at is not None:
        return f"its cancel was asked for: {order.cancel_reason}"
    if order.trading_date != trading_date(now):
        return "it was decided on another trading date"
    # Also one from the future: the clock was set back, and nobody knows how old it is.
    if abs(now - order.created_at) > timedelta(seconds=desk.rules.decision_age_max_seconds):
        return "the decision is too old"
    return (
        _switch_is_against(order, control, against.limits)
        or _broker_is_against(desk, order, control, against, now)
        or market_is_against(desk, order.decision, now)
    )


def _switch_is_against(order: Order, control: TradingControl, limits: RiskSettings) -> str | None:
    assert order.decision is not None, "an order of ours was decided"
    if order.is_exit:
        return None  # nothing that staff change in the same moment keeps a person from getting out
    if control.state == TradingState.HALTED:
        return "trading was halted"
    if order.origin == Origin.AUTO and not control.auto_trading:
        return "auto-trading was turned off"
    return decision_is_outdated(order.decision, control, limits)


def decision_is_outdated(decision: Decision, control: TradingControl, limits: RiskSettings) -> str | None:
    """Return what changed since it was decided; None when all is as it was."""
    if control.version != decision.control_version:
        return "trading control changed after the decision"
    if limits.version != decision.limits_version:
        return "the limits changed after the decision"
    return None


def _broker_is_against(
    desk: Desk, order: Order, control: TradingControl, against: Against, now: datetime
) -> str | None:
    if reason := login_is_against(desk, control, now, against.login):
        return reason
    if order.side == Side.BUY and not order.is_exit:
        return _opening_is_stopped(against.is_in_doubt, against.incidents)
    return None


def login_is_against(
    desk: Desk, control: TradingControl, now: datetime, login: BrokerSession | None = None
) -> str | None:
    """Return why nothing can be sent with the login that there is, as just read; None when it can."""
    login = login or desk.vault.row()
    if not desk.vault.is_valid(now, login):
        return "there is no valid login at the broker"
    if desk.is_live and login.user_id != control.armed_user_id:
        return f"the login is not of {control.armed_user_id or 'an account'} that live trading is armed for"
    return None


def market_is_against(desk: Desk, decision: Decision | None, now: datetime) -> str | None:
    """Return that the market is in another phase than when it was decided: for that one it was approved."""
    if decision is None:
        return None
    market = market_of_listed(desk, decision.exchange, decision.symbol, now=now)
    if market is None:
        return None  # what was decided is listed
    decided, phase = decision.facts["portfolio"].get("market", {}).get("phase"), market.phase
    return None if phase == decided else f"the market was {decided} when it was decided and is {phase} now"


def opening_is_stopped(desk: Desk, order: Order) -> str | None:
    """Return what came up since the decision and stops new exposure; None when nothing did."""
    titles = tuple(title for (title,) in STOPS.rows(mode=desk.mode, symbol=order.symbol))
    return _opening_is_stopped(bool(_DOUBTS.rows(mode=desk.mode)), titles)


def _opening_is_stopped(is_in_doubt: bool, incidents: tuple[str, ...]) -> str | None:
    if is_in_doubt:
        return "an order came to be in doubt after the decision"
    return f"an incident stops new exposure: {incidents[0]}" if incidents else None
