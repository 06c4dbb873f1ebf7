"""
Limits for the first days with real money: one share of one symbol, a few trades, a small loss.

They are held small through the same versions as every limit, at once, since that tightens; each limit that is tighter
already stays. Only a person lifts them: the values before are wished back, and wait for what every loosening waits for.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from orders.models import GoingLiveStep, Instrument
from risk import approvals, limit_versions
from risk.audit.who import explained
from risk.engine.instrument_rules import kind_of_listed
from risk.engine.limits import covers, listed
from risk.engine.loosening import loosens
from risk.four_eyes import ChangeRefused, House
from risk.models import RiskSettings

Step = GoingLiveStep.Step
Said = GoingLiveStep.Said

SMALL: dict[str, Any] = {
    "order_quantity_max": 1,
    "adding_allowed": False,  # with one share an order: one share a position
    "positions_max": 1,
    "symbol_open_orders_max": 1,
    "open_orders_max": 2,
    "daily_trades_max": 4,
    "daily_loss_max": Decimal(500),
    "position_size": Decimal(1),  # rounded up to one share, whatever it costs
}


@dataclass(frozen=True, kw_only=True)
class Wished:
    """Who wants it and why, with the version of the limits that the page showed."""

    author: User
    reason: str
    now: datetime
    house: House
    version_shown: int


def small_values(current: RiskSettings, exchange: str, symbol: str) -> dict[str, Any]:
    """Return the limits that become tighter, with their new values. Raise `ChangeRefused` for no such share."""
    instrument = Instrument.objects.named(exchange, symbol)
    if instrument is None or instrument.lot_size != 1:
        raise ChangeRefused(f"{exchange}:{symbol} is not a share in the broker's list of instruments")
    kind = kind_of_listed(exchange, symbol, instrument.instrument_type, instrument.segment)
    only = f"{kind}:{symbol}"
    if not covers(listed(current.allowed_instruments), only):
        raise ChangeRefused(f"{only} is not among the allowed instruments: {current.allowed_instruments or 'none'}")
    small = {**SMALL, "allowed_instruments": only}
    if not current.round_up_to_one_lot:
        del small["position_size"]  # it would buy nothing
    return small


def tighter(small: dict[str, Any], current: RiskSettings) -> dict[str, Any]:
    """Return what of the small limits is not in force yet, or tighter."""
    return {name: value for name, value in small.items() if loosens(name, value, getattr(current, name))}


@explained
def hold_small(exchange: str, symbol: str, wished: Wished) -> GoingLiveStep:
    """Put the small limits in force at once, and keep what they were before. Raise `ChangeRefused`, `LimitsChanged`."""
    limit_versions.carry_out(now=wished.now)
    with transaction.atomic():
        before = limit_versions.locked(now=wished.now)
        small = small_values(before, exchange, symbol)
        values = tighter(small, before)
        if not values:
            raise ChangeRefused("every limit is as small already: nothing to hold")
        now = {name: getattr(before, name) for name in small}
        # Held small again before they were lifted, they go back to what they were before the first time.
        kept = {**_as_text(now), **_not_lifted_yet(small)}
        _save(values, wished)
        facts = {"symbol": f"{exchange}:{symbol}", "before": kept, "after": _as_text({**now, **values})}
        return _said(Said.PRESET, wished, facts)


@explained
def lift(wished: Wished) -> GoingLiveStep:
    """
    Wish back what the limits were before they were held small: what of them was changed since stays as it is.

    Raise `ChangeRefused` when nothing is held small, `LimitsChanged`.
    """
    limit_versions.carry_out(now=wished.now)
    with transaction.atomic():
        current = limit_versions.locked(now=wished.now)
        preset = held_small()
        if preset is None:
            raise ChangeRefused("no limit is held small")
        held = {name: value for name, value in still_held(current, preset).items() if was_changed(preset, name, value)}
        values = [name for name, value in held.items() if getattr(current, name) == value]
        if not values:
            raise ChangeRefused("no limit is held small")
        back = {name: current.parsed(name, preset.facts["before"][name]) for name in values}
        saved = _save(back, wished)
        waiting = [each.limit for each in saved.waiting]
        return _said(Said.LIFTED, wished, {"wished": _as_text(back), "waiting": waiting})


def held_small() -> GoingLiveStep | None:
    """Return when the limits were held small last."""
    return GoingLiveStep.objects.filter(said=Said.PRESET).first()


def _not_lifted_yet(small: dict[str, Any]) -> dict[str, str]:
    """Return what the limits were before an earlier time that nobody has lifted since."""
    earlier = GoingLiveStep.objects.filter(said__in=[Said.PRESET, Said.LIFTED]).first()
    if earlier is None or earlier.said == Said.LIFTED:
        return {}
    return {name: text for name, text in earlier.facts["before"].items() if name in small}


def was_changed(preset: GoingLiveStep, name: str, value: object) -> bool:
    """Return whether it was another before it was held small."""
    return bool(preset.facts["before"][name] != RiskSettings.as_text(value))


def still_held(current: RiskSettings, preset: GoingLiveStep) -> dict[str, Any]:
    """Return the limits that are not looser than they were held, with the values of then."""
    held = {name: current.parsed(name, text) for name, text in preset.facts["after"].items()}
    return {name: value for name, value in held.items() if not loosens(name, value, getattr(current, name))}


def _save(values: dict[str, Any], wished: Wished) -> approvals.Saved:
    edited = limit_versions.in_force(now=wished.now)
    for name, value in values.items():
        setattr(edited, name, value)
    return approvals.save(
        edited,
        values,
        author=wished.author,
        reason=wished.reason,
        now=wished.now,
        house=wished.house,
        version_shown=wished.version_shown,
    )


def _said(said: GoingLiveStep.Said, wished: Wished, facts: dict[str, Any]) -> GoingLiveStep:
    return GoingLiveStep.objects.create(
        step=Step.ONE_SHARE,
        said=said,
        at=wished.now,
        by=wished.author.get_username(),
        reason=wished.reason,
        facts=facts,
    )


def _as_text(values: dict[str, Any]) -> dict[str, str]:
    return {name: RiskSettings.as_text(value) for name, value in values.items()}
