"""The mode's lock, and what is asked under it, in one trip."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from orders.broker.deadline import boot_clock
from orders.desk import Desk
from risk.models import TradingControl
from risk.questions import together

Asked = TypeVar("Asked")

WAITED_SECONDS = 0.05  # for the lock: what was asked by the clock of before is asked again


def lock_and_ask(
    desk: Desk, ask: Callable[[datetime], Asked], *, purchase: bool = False
) -> tuple[TradingControl, Asked, datetime]:
    """
    Lock the mode's row and `ask` in the same trip. Return the row, what was asked, and the moment it was asked by.

    The caller is in a transaction. Whatever had to wait is asked once more, with the lock, by the clock of then; so the
    moment is up to `WAITED_SECONDS` before the lock. What is asked of a `purchase` is planned once, for any
    values: in a full book PostgreSQL itself finds that as good (`tests/orders/test_hot_path.py`). A sale asks for more.
    """
    began, now = boot_clock(), desk.clock()
    with together(planned_once=purchase):
        locked, asked = TradingControl.objects.ask_locked(desk.mode), ask(now)
    control = locked()
    if boot_clock() - began > WAITED_SECONDS:
        now = desk.clock()
        with together():
            asked = ask(now)
    return control, asked, now
