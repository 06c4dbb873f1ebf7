"""
The only doors to TradingControl: halt, reduce, resume, auto-trading on and off, arm.

Tightening is anyone's and takes effect at once. Loosening is a person's: it names the version of the switch it was
shown, and is refused when that is no longer the current one, so that a page opened before a halt cannot undo it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import structlog
from django.db import connection, transaction

from risk.audit.who import explained
from risk.engine.facts import TradingState
from risk.models import Mode, TradingControl, TradingControlEvent

log = structlog.get_logger(__name__)

_STRICTNESS = {
    TradingState.ACTIVE.value: 0,
    TradingState.REDUCE_ONLY.value: 1,
    TradingState.HALTED.value: 2,
}


class ControlChanged(Exception):
    """The switch was changed since the page that asks was shown. Look at it again, then decide."""


class LooseningRefused(Exception):
    """The switch cannot be loosened this way now; the text says why."""


def install(*, auto_trading: bool, now: datetime) -> None:
    """Create the row of each mode where it is missing. Live always starts with auto-trading off."""
    for mode in Mode:
        TradingControl.objects.get_or_create(
            mode=mode,
            defaults={
                "auto_trading": auto_trading and mode == Mode.PAPER,
                "changed_by": "installation",
                "changed_at": now,
                "reason": "first start",
            },
        )


def halt(mode: str, *, by: str, reason: str, now: datetime) -> TradingControl:
    """Refuse every order from now on. The caller asks for the cancels afterwards: the halt is committed first."""
    return _tighten(mode, by=by, reason=reason, now=now, state=TradingState.HALTED.value, lifts_to="")


def halt_after_restore(mode: str, *, by: str, reason: str, now: datetime) -> TradingControl:
    """Halt a database that was made from a backup, turn auto-trading off, and remember since when it is the book."""
    halted = TradingState.HALTED.value
    return _tighten(mode, by=by, reason=reason, now=now, state=halted, lifts_to="", auto_trading=False, restored_at=now)


def halt_for_login(mode: str, *, reason: str, now: datetime) -> TradingControl:
    """Halt because the broker refused the login: the one halt that `lift_login_halt` ends. Another halt stays one."""
    with transaction.atomic():
        wait_for_the_lock()
        control = TradingControl.objects.locked(mode)
        if control.state == TradingState.HALTED.value:
            return control
        before = control.state
        halted = TradingState.HALTED.value
        return _change(control, by="executor", reason=reason, now=now, state=halted, lifts_to=before)


def lift_login_halt(mode: str, *, reason: str, now: datetime) -> TradingControl:
    """Go back to the state before a halt whose only cause was the login. A person's halt stays, before or after it."""
    with transaction.atomic():
        control = TradingControl.objects.locked(mode)
        if not control.lifts_to:
            return control
        return _change(control, by="executor", reason=reason, now=now, state=control.lifts_to, lifts_to="")


def reduce_only(mode: str, *, by: str, reason: str, now: datetime) -> TradingControl:
    """Let only closing orders go. A halt stays a halt."""
    return _tighten(mode, by=by, reason=reason, now=now, state=TradingState.REDUCE_ONLY.value)


def auto_trading_off(mode: str, *, by: str, reason: str, now: datetime) -> TradingControl:
    """Stop acting on signals. They are still recorded."""
    return _tighten(mode, by=by, reason=reason, now=now, auto_trading=False)


def resume(mode: str, *, by: str, reason: str, now: datetime, version_shown: int) -> TradingControl:
    """
    Make trading ACTIVE again. Auto-trading stays as it is: turning it on is a decision of its own.

    Raise `ControlChanged` when the switch is no longer the one that was shown.
    """
    active = TradingState.ACTIVE.value
    return _loosen(mode, by=by, reason=reason, now=now, version_shown=version_shown, state=active, lifts_to="")


def auto_trading_on(mode: str, *, by: str, reason: str, now: datetime, version_shown: int) -> TradingControl:
    """
    Act on signals from now on.

    Raise `LooseningRefused` unless trading is ACTIVE (and armed, when live), `ControlChanged` when the switch is no
    longer the one that was shown.
    """
    return _loosen(mode, by=by, reason=reason, now=now, version_shown=version_shown, auto_trading=True)


def arm_live(*, user_id: str, by: str, now: datetime, version_shown: int) -> TradingControl:
    """
    Name the Kite account that live orders may go to. Auto-trading is off afterwards: turning it on is a decision of its
    own. Raise `LooseningRefused` for an empty one. Who is logged in is `orders.daily_login.arm`'s to ask.
    """
    if not user_id.strip():
        raise LooseningRefused("type the Kite user id that live trading is for")
    return _loosen(
        Mode.LIVE,
        by=by,
        reason=f"armed for {user_id.strip()}",
        now=now,
        version_shown=version_shown,
        armed_user_id=user_id.strip(),
        auto_trading=False,
    )


def disarm_live(*, by: str, reason: str, now: datetime) -> TradingControl:
    """Let no live order leave any more, closing ones included, and stop acting on signals. Cancels still leave."""
    return _tighten(Mode.LIVE, by=by, reason=reason, now=now, armed_user_id="", auto_trading=False)


def wait_for_the_lock() -> None:
    """Let the transaction under way wait for as long as it takes to get the lock: stopping must not time out."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0")


def _tighten(mode: str, *, by: str, reason: str, now: datetime, **changes: Any) -> TradingControl:
    with transaction.atomic():
        wait_for_the_lock()
        control = TradingControl.objects.locked(mode)
        state = changes.get("state")
        if state is not None and _STRICTNESS[state] < _STRICTNESS[control.state]:
            if not control.lifts_to or _STRICTNESS[state] <= _STRICTNESS[control.lifts_to]:
                return control
            changes = {"lifts_to": state}  # a halt stays a halt; what it is lifted to is as strict as was asked for
        return _change(control, by=by, reason=reason, now=now, **changes)


def _loosen(mode: str, *, by: str, reason: str, now: datetime, version_shown: int, **changes: Any) -> TradingControl:
    if not reason.strip():
        raise LooseningRefused("say why: the reason is kept with the change")
    with transaction.atomic():
        control = TradingControl.objects.locked(mode)
        if control.version != version_shown:
            raise ControlChanged(
                f"trading control was changed by {control.changed_by} since this was shown: {control.reason}"
            )
        if changes.get("auto_trading"):
            _check_auto_trading_may_start(control)
        return _change(control, by=by, reason=reason, now=now, **changes)


def _check_auto_trading_may_start(control: TradingControl) -> None:
    if control.state != TradingState.ACTIVE.value:
        raise LooseningRefused(f"trading is {control.state}: resume it first")
    if control.mode == Mode.LIVE and not control.armed_user_id:
        raise LooseningRefused("live trading is not armed: arm it for your Kite user id first")


@explained
def _change(control: TradingControl, *, by: str, reason: str, now: datetime, **changes: Any) -> TradingControl:
    if all(getattr(control, name) == value for name, value in changes.items()):
        return control
    for name, value in changes.items():
        setattr(control, name, value)
    control.version += 1
    control.changed_by, control.reason, control.changed_at = by, reason, now
    control.save(update_fields=[*changes, "version", "changed_by", "reason", "changed_at"])
    TradingControlEvent.objects.create(
        mode=control.mode,
        at=now,
        actor=by,
        reason=reason,
        state=control.state,
        auto_trading=control.auto_trading,
        armed_user_id=control.armed_user_id,
        version=control.version,
    )
    log.warning("trading_control.changed", mode=control.mode, by=by, reason=reason, **changes)
    return control
