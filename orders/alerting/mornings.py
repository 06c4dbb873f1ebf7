"""What is looked at once on the morning of a trading day: the login at 08:45, whether the desk is ready at 09:00."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, time

from orders import start_of_day
from orders.alerting import wording
from orders.alerting.news import News
from orders.broker.kite_rows import IST
from orders.desk import Desk
from orders.models import AlertSender
from orders.session_hours import SHARES
from risk import calendar
from risk.models import Mode


def _login(desk: Desk, now: datetime) -> News | None:
    if desk.mode == Mode.PAPER or desk.vault.is_valid(now):
        return None  # paper renews its own
    row = desk.vault.row()
    was = f"Kite refused it at {wording.stamp(row.refused_at)}." if row.refused_at else "The last one has ended."
    return wording.login_needed(day=str(desk.today()), at=now, was=was if row.logged_in_at else "There was none yet.")


def _ready(desk: Desk, now: datetime) -> News | None:
    bad = [check for check in start_of_day.checks(desk, now) if check.state == start_of_day.State.BAD]
    return wording.not_ready(day=str(desk.today()), at=now, bad=bad) if bad else None


LOOKS: tuple[tuple[str, time, Callable[[Desk, datetime], News | None]], ...] = (
    ("login", time(8, 45), _login),  # IST
    ("ready", time(9, 0), _ready),
)


def due(desk: Desk, row: AlertSender, now: datetime) -> Iterator[tuple[str, News | None]]:
    """
    Yield each look that is taken now, with what it found; whoever asks keeps that it was taken.

    Who starts late looks late, and after the close no more.
    """
    local = now.astimezone(IST)
    for name, at, found in LOOKS:
        if local.time() < at or row.mornings.get(name) == str(local.date()):
            continue
        yield name, found(desk, now) if _is_before_the_close(now) else None


def _is_before_the_close(now: datetime) -> bool:
    """Return whether shares still trade on this Mumbai date, or will; by the exchange's days, on paper too."""
    known, day = calendar.load(), now.astimezone(IST).date()
    closes = [trading.closes_at for group in SHARES if (trading := known.trading_day(group, day))]
    return bool(closes) and now < max(closes)
