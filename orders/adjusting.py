"""What changes a position without a trade: a bonus, a split, a correction, the broker's quantity taken for ours."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal

from django.db import transaction

from orders.average_cost import Net, net_of
from orders.desk import Desk, trading_date
from orders.differences import difference_is_explained
from orders.ledger import FOUR_PLACES, VALUE_MAX, Line, own_quantity, recompute_position, steps_of
from orders.models import Adjustment, Order, Position
from orders.models.quarters import dated_since
from risk.audit.who import explained
from risk.models import TradingControl

QUANTITY_MAX = 2_000_000_000  # the column's
RATIO_MAX = 1_000_000


class AdjustmentRefused(Exception):
    """The position cannot be adjusted like this now; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """
    An adjustment as a person asks for it. `token` makes it one however often it is sent.

    A bonus is `ratio_new` more shares for each `ratio_old`; a split makes `ratio_new` of each `ratio_old`. A correction
    says `quantity` (signed) and `price`, INR a share. For the broker's quantity, `quantity` is what the person was
    shown of it; without a price the average stays.
    """

    token: str
    kind: Adjustment.Kind
    by: str
    reason: str
    ratio_new: int | None = None
    ratio_old: int | None = None
    quantity: int | None = None
    price: Decimal | None = None


@explained
def adjust(desk: Desk, position: Position, wish: Wish) -> Adjustment:
    """Write the adjustment down and bring the position in line with it. Raise `AdjustmentRefused`."""
    if position.mode != desk.mode:
        raise AdjustmentRefused(f"the position belongs to {position.mode}, and this is {desk.mode}")
    if not wish.reason.strip():
        raise AdjustmentRefused("say why: the reason is kept with the adjustment")
    line = Line.of(position)
    with transaction.atomic(durable=True):
        TradingControl.objects.locked(desk.mode)
        if earlier := Adjustment.objects.filter(mode=desk.mode, token=wish.token).first():
            return earlier  # the same form, sent twice
        position.refresh_from_db()
        steps, now = steps_of(line), desk.clock()
        net = net_of(steps)
        # After all that the person was shown, by whichever clock that was dated.
        at = max([now, *(step.at for step in steps)])
        made = Adjustment(**asdict(line), kind=wish.kind, at=at, token=wish.token, made_by=wish.by, reason=wish.reason)
        if wish.kind in {Adjustment.Kind.BONUS, Adjustment.Kind.SPLIT}:
            made.ratio_new, made.ratio_old = _ratio(wish)
        else:
            made.new_quantity, made.price = _restatement(position, wish, net, now)
        after = made.step.applied_to(net)
        _check(net, after)
        made.quantity_before, made.quantity_after = net.quantity, after.quantity
        made.save(force_insert=True)
        recompute_position(line, now=now)
        if wish.kind == Adjustment.Kind.BROKER:
            difference_is_explained(position, by=wish.by, note=wish.reason, now=now)
    position.refresh_from_db()
    return made


def _ratio(wish: Wish) -> tuple[int, int]:
    """Return how many shares come of how many."""
    if not wish.ratio_new or not wish.ratio_old or min(wish.ratio_new, wish.ratio_old) < 0:
        raise AdjustmentRefused("say the ratio: both numbers must be at least one")
    new = wish.ratio_new + (wish.ratio_old if wish.kind == Adjustment.Kind.BONUS else 0)
    if max(new, wish.ratio_old) > RATIO_MAX:
        raise AdjustmentRefused(f"no share becomes more than {RATIO_MAX}")
    return new, wish.ratio_old


def _restatement(position: Position, wish: Wish, net: Net, now: datetime) -> tuple[int, Decimal | None]:
    """Return the shares from now on, and what each cost: none for a flat position."""
    accepts = wish.kind == Adjustment.Kind.BROKER
    may_fill = Order.objects.may_fill(position.mode, trading_date(now))
    working = may_fill.filter(exchange=position.exchange, symbol=position.symbol)
    if working.exists():
        raise AdjustmentRefused("an order of the symbol is unfinished: wait for its end, or what it fills may be lost")
    quantity = _accepted(position, wish, now) if accepts else wish.quantity
    if quantity is None:
        raise AdjustmentRefused("say how many shares there are from now on")
    if quantity == 0:
        return 0, None
    price = wish.price
    if price is None and accepts and net.quantity * quantity > 0:
        price = net.average_price
    if price is None:
        raise AdjustmentRefused("say what a share cost")
    if not price.is_finite() or price < FOUR_PLACES:
        raise AdjustmentRefused("the price must be above zero")
    if abs(quantity) * price > VALUE_MAX:
        raise AdjustmentRefused("that is worth more than can be kept")
    return quantity, price.quantize(FOUR_PLACES)


def _accepted(position: Position, wish: Wish, now: datetime) -> int:
    """Return what this position is when the symbol's shares are the broker's. Raise when the reading proves nothing."""
    if position.broker_quantity is None or position.broker_as_of is None:
        raise AdjustmentRefused("the broker's quantity has not been read yet")
    if wish.quantity != position.broker_quantity:
        raise AdjustmentRefused(f"the broker's quantity is {position.broker_quantity} by now, not {wish.quantity}")
    filled = dated_since("fills__recorded_at", position.broker_as_of, now)
    same = {"exchange": position.exchange, "symbol": position.symbol}
    adjusted = Adjustment.objects.filter(dated_since("at", position.broker_as_of, now), mode=position.mode, **same)
    if adjusted.exists():
        raise AdjustmentRefused("the symbol was adjusted after the broker was read: wait for the next read")
    if Order.objects.ours(position.mode).filter(filled, **same).exists():
        raise AdjustmentRefused("an order was filled after the broker was read: wait for the next read")
    # The broker's number is of the symbol: what other products of it hold is not this position's.
    return position.broker_quantity - (own_quantity(position.mode, **same) - position.quantity)


def _check(before: Net, after: Net) -> None:
    if after.quantity == before.quantity and after.cost == before.cost:
        raise AdjustmentRefused(f"it changes nothing: the position is {before.quantity} shares already")
    if after.quantity == 0 and after.realised_pnl != before.realised_pnl:
        raise AdjustmentRefused("no whole share would be left: correct the quantity instead")
    if abs(after.quantity) > QUANTITY_MAX:
        raise AdjustmentRefused("that is more shares than can be kept")
