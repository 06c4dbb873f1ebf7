"""
What a position's executions come to, a day at a time: pure, but for reading the rows it is given.

A fill goes on from where the position stands, when it comes after all that is in it; else from what the position opened
the day with, when nothing before that changed; else from the beginning. All three end in the same numbers, to the last
digit, for a step's arithmetic knows only what the steps before it came to.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, time
from operator import itemgetter

from orders.average_cost import IST, Net, Step, Traded, net_of
from orders.counted_fills import Counted, counted_fills
from orders.models import Adjustment, Fill, Order, PositionDay
from risk.engine.facts import Side

Key = tuple[datetime, int, int, str]  # when, a trade before an adjustment, the row's id, the trade's name
Filled = tuple[Order, Sequence[Fill]]  # an order with all its fills


def in_order(filled: Iterable[Filled], adjusted: Iterable[Adjustment]) -> list[tuple[Key, Step]]:
    """Return what made a position, each step with its place in the order of time."""
    steps: list[tuple[Key, Step]] = [_step(order, each) for order, fills in filled for each in counted_fills(fills)]
    steps += [((each.at, 1, each.pk, ""), each.step) for each in adjusted]
    return sorted(steps, key=itemgetter(0))


def _step(order: Order, each: Counted) -> tuple[Key, Traded]:
    """Nothing is filled before its order was made, though by Kite's whole seconds, or another clock, it may look so."""
    at = max(each.at, order.created_at)
    return (at, 0, order.pk, each.name), Traded(
        at=at, side=Side(order.side), quantity=each.quantity, price=each.price
    )  # fmt: skip


def reckon(day: PositionDay, filled: Iterable[Filled], adjusted: Iterable[Adjustment], *, on: date) -> None:
    """
    Reckon the day anew, for this date, from what it opened with and all steps since its own date began.

    Without a date it begins with nothing, and the steps are all there ever were. The orders may have more executions
    than those that count since: they are left out.
    """
    filled = [(order, fills) for order, fills in filled if fills]
    steps = in_order(filled, adjusted)
    if day.trading_date is not None:
        since = midnight(day.trading_date)
        steps = [(key, step) for key, step in steps if key[0] >= since]
    start = midnight(on)
    day.trading_date = on
    day.opening = net_of((step for key, step in steps if key[0] < start), day.opening)
    day.net = net_of((step for key, step in steps if key[0] >= start), day.opening)
    day.last_key = steps[-1][0] if steps else day.last_key
    day.first_order = None
    day.bought = day.sold = 0
    day.paid = day.received = Net().cost
    day.newest_fill = day.newest_at = day.newest_price = None
    for order, fills in filled:
        _note(day, order, fills)
        _add(day, order, fills, counted_fills(fills))


def go_on(day: PositionDay, order: Order, fills: Sequence[Fill], *, filled_before: int) -> bool:
    """
    Let the order's new executions follow all that the day has. Return False, and change nothing, where they may not.

    They may not when they happened before the last of those or before the day, and when the order has more of them in
    it than were counted before, or fills by hand, which give way to others.
    """
    assert day.trading_date is not None, "what has no date is reckoned anew"
    new = [fill for fill in fills if fill.pk > day.last_fill]
    if not _is_counted(day, fills, filled_before=filled_before) or _straddles(fills):
        return False
    steps = in_order([(order, new)], [])
    if steps and (steps[0][0][0] < midnight(day.trading_date) or (day.last_key and steps[0][0] <= day.last_key)):
        return False
    day.net = net_of((step for _, step in steps), day.net)
    day.last_key = steps[-1][0] if steps else day.last_key
    _note(day, order, fills)
    _add(day, order, fills, counted_fills(new))
    return True


def opening_holds(day: PositionDay, order: Order, fills: Sequence[Fill], *, filled_before: int, on: date) -> bool:
    """Return whether nothing that the order's fills changed is of before the day, nor the day of after this date."""
    if day.trading_date is None or day.trading_date > on:
        return False
    since = midnight(day.trading_date)
    counted = _is_counted(day, fills, filled_before=filled_before)
    changed = [fill for fill in fills if fill.pk > day.last_fill] if counted else fills
    return all(max(fill.filled_at, order.created_at) >= since for fill in changed)


def _is_counted(day: PositionDay, fills: Sequence[Fill], *, filled_before: int) -> bool:
    """Return whether what the day has of the order's fills, by their ids, is what was counted: broker's fills alone."""
    if any(fill.source != Fill.Source.BROKER for fill in fills):
        return False
    return sum(fill.quantity for fill in fills if fill.pk <= day.last_fill) == filled_before


def midnight(day: date) -> datetime:
    """Return the moment that the date begins in Mumbai."""
    return datetime.combine(day, time.min, tzinfo=IST)


def _date_of(moment: datetime) -> date:
    return moment.astimezone(IST).date()


def _straddles(fills: Iterable[Fill]) -> bool:
    """Return whether one is kept under another date than that of its time."""
    return any(fill.trading_date != _date_of(fill.filled_at) for fill in fills)


def _note(day: PositionDay, order: Order, fills: Sequence[Fill]) -> None:
    """Note up to where the day has fills, and the first order that it will need to be reckoned anew."""
    assert day.trading_date is not None, "it is reckoned for a date"
    latest = max(max(fill.trading_date, _date_of(max(fill.filled_at, order.created_at))) for fill in fills)
    day.last_fill = max(day.last_fill, *(fill.pk for fill in fills))
    day.last_traded = max(day.last_traded or latest, latest)
    if latest >= day.trading_date:
        day.first_order = min(day.first_order or order.pk, order.pk)


def _add(day: PositionDay, order: Order, fills: Sequence[Fill], counted: Iterable[Counted]) -> None:
    """Add the order's executions of the date, if one of its fills is kept under it."""
    if not any(fill.trading_date == day.trading_date for fill in fills):
        return
    newest = max(fills, key=lambda fill: (fill.recorded_at, fill.pk))
    if day.newest_at is None or (newest.recorded_at, newest.pk) > (day.newest_at, day.newest_fill or 0):
        day.newest_fill, day.newest_at, day.newest_price = newest.pk, newest.recorded_at, newest.price
    for each in counted:
        if _date_of(each.at) != day.trading_date:
            continue
        if order.side == Side.BUY:
            day.bought, day.paid = day.bought + each.quantity, day.paid + each.quantity * each.price
        else:
            day.sold, day.received = day.sold + each.quantity, day.received + each.quantity * each.price
