"""What is kept of a position's day, beside what all its executions come to when all are added up."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta

from orders import day as days
from orders.average_cost import net_of, realised_on
from orders.counted_fills import counted_fills
from orders.desk import trading_date
from orders.ledger import FOUR_PLACES, Line, steps_of, steps_since
from orders.models import Adjustment, Order, Position, PositionDay
from orders.reckoning import reckon

KEPT = [field.attname for field in PositionDay._meta.concrete_fields if field.name not in {"position", "reckoned_at"}]


def check_the_book() -> None:
    """Compare every position and its day with the same reckoned from the beginning, to the last digit."""
    for position in Position.objects.select_related("day"):
        line = Line.of(position)
        net = net_of(steps_of(line))
        kept = (position.quantity, position.cost, position.realised_pnl, position.average_price)
        rounded = [each.quantize(FOUR_PLACES) for each in (net.cost, net.realised_pnl, net.average_price)]
        assert kept == (net.quantity, *rounded)
        if position.day.trading_date is None or position.day.reckoned_at != position.updated_at:
            continue  # the day says nothing until the next fill
        assert position.day.net == net
        anew = from_the_beginning(line, position.day.trading_date)
        assert {name: getattr(position.day, name) for name in KEPT} == {name: getattr(anew, name) for name in KEPT}


def check_the_steps_since(day: date) -> None:
    for position in Position.objects.all():
        line = Line.of(position)
        every = steps_of(line)
        for off in (-1, 0, 1):
            on = day + timedelta(days=off)
            opening, steps = steps_since(line, on)
            assert net_of(steps, opening) == net_of(every)
            assert realised_on(steps, on, opening) == realised_on(every, on)


def from_the_beginning(line: Line, on: date) -> PositionDay:
    same = {"mode": line.mode, "exchange": line.exchange, "symbol": line.symbol, "product": line.product}
    orders = Order.objects.exclude(origin="EXTERNAL").filter(**same, filled_quantity__gt=0)
    day = PositionDay()
    reckon(day, [(order, list(order.fills.all())) for order in orders], Adjustment.objects.filter(**same), on=on)
    return day


def check_the_day(day: date) -> None:
    """Compare what a date traded, as decisions are told it, with all its fills added up: ours, and the account's."""
    ours, all_of_them = Order.objects.exclude(origin="EXTERNAL"), Order.objects.all()
    told = days._traded_by_us("PAPER", day)
    assert in_full(told) == added_up(ours, day)
    for line, of_it in days._traded_by_others("PAPER", day).items():
        told.setdefault(line, days._Traded()).join(of_it)
    assert in_full(told) == added_up(all_of_them, day)


def check_days_around(day: date) -> None:
    for off in (-1, 0, 1):
        check_the_day(day + timedelta(days=off))


def added_up(orders, day: date) -> dict[days.Line, tuple]:
    """Return shares bought and sold, INR paid and received, and the newest fill by its id, of each line with any."""
    found: dict[days.Line, list] = defaultdict(lambda: [0, 0, 0, 0, None])
    newest: dict[days.Line, tuple] = {}
    for order in orders.filter(mode="PAPER"):
        fills, line = list(order.fills.all()), (order.exchange, order.symbol, order.product)
        if not any(fill.trading_date == day for fill in fills):
            continue
        newest[line] = max([newest.get(line, ()), *((fill.recorded_at, fill.pk, fill.price) for fill in fills)])
        found[line][4] = newest[line]
        for each in counted_fills(fills):
            if trading_date(each.at) == day:
                side = 0 if order.side == "BUY" else 1
                found[line][side] += each.quantity
                found[line][side + 2] += each.quantity * each.price
    return {line: tuple(of_line) for line, of_line in found.items()}


def in_full(told: dict[days.Line, days._Traded]) -> dict[days.Line, tuple]:
    """Return the same of what is told, without the lines that nothing is told of."""
    rows = {
        line: (each.bought, each.sold, each.paid, each.received, tuple(each.newest) if each.newest else None)
        for line, each in told.items()
    }
    return {line: row for line, row in rows.items() if row != (0, 0, 0, 0, None)}
