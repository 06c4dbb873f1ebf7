"""
Flatten: out of every position of ours, asked for once and carried out until nothing is left.

The wish is written down with the switch and the cancels, in one transaction. Everything after it is a turn that anyone
may take at any time: who asked takes the first ones, whoever leads the others. A turn looks at each position and does
the one thing that is due. What makes it safe to repeat are the exits' ids, which follow from the wish, the position and
the number of the exit: two who take the same turn make one order. An exit is sized by what the broker holds at that
moment, less what is being sold already.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from django.db import transaction
from django.db.models import F, Max, QuerySet

from orders.by_hand import NothingToExit, exit_wish, place
from orders.deciding import InvalidOrder, OrderDenied, UnknownInstrument, made_by
from orders.desk import Desk
from orders.execution import ask_to_cancel, carry_out_each, submit
from orders.governor import opens, until_the_next_try
from orders.lifecycle import TURNED_AWAY, OrderStatus
from orders.models import BrokerSession, Flatten, FlattenedPosition, Instrument, Order, Position
from orders.models.quarters import FUTURE_MAX
from orders.quotes import broker_positions
from orders.session_hours import market_of
from orders.stopping import let_only_closing_go
from risk import control as switch
from risk.audit.who import because, explained
from risk.engine.facts import TradingState
from risk.engine.sessions import Phase
from risk.models import Incident, TradingControl

CONFIRMATION = "FLATTEN"  # the word that a person types
EXITS_MAX = 3  # of one position; then a person must look why it is still open

_State = FlattenedPosition.State
_Said = tuple[_State, str]


class FlattenRefused(Exception):
    """The flatten cannot be asked for, or ended, this way; the text says why."""


@explained
def flatten(desk: Desk, *, token: str, by: str, reason: str) -> Flatten:
    """
    Ask to be out of every position, and take the first turn.

    Trading goes to REDUCE_ONLY at least, and every unfinished order but the exits is asked to cancel. The same token
    again, or another one while a flatten is under way, returns that one. Raise `FlattenRefused` without a reason.
    """
    if not reason.strip():
        raise FlattenRefused("say why: the reason is kept")
    with transaction.atomic(durable=True):
        switch.wait_for_the_lock()
        control = TradingControl.objects.locked(desk.mode)
        wish = Flatten.objects.filter(mode=desk.mode, token=token).first()
        wish = wish or _still_under_way(desk, control)
        orders: list[Order] = []
        if wish is None:
            wish, orders = _write_down(desk, control, token=token, by=by, reason=reason)
    carry_out_each(desk, orders)
    carry_on(desk)
    wish.refresh_from_db()
    return wish


def carry_on(desk: Desk) -> None:
    """Take one turn of the flatten that is under way, if any. Safe to repeat, and for several at once."""
    wish = Flatten.objects.under_way(desk.mode).first()
    if wish is None:
        return
    with because(wish.reason):
        if not _is_still_wanted(desk, wish):
            return
        turn = _Turn(desk, wish)
        for each in wish.positions.select_related("position"):
            turn.take(each)
        _conclude(desk, wish)


@explained
def end(desk: Desk, wish: Flatten, *, by: str, reason: str) -> Flatten:
    """
    End a flatten that is under way: no further exit is made, and those that work are asked to cancel.

    Raise `FlattenRefused` when it has ended already.
    """
    if not reason.strip():
        raise FlattenRefused("say why: the reason is kept")
    if wish.mode != desk.mode:
        raise FlattenRefused(f"the flatten belongs to {wish.mode}, and this is {desk.mode}")
    with transaction.atomic(durable=True):
        switch.wait_for_the_lock()
        TradingControl.objects.locked(desk.mode)
        if not wish.end(Flatten.State.ENDED, by=by, outcome=reason, at=desk.clock()):
            raise FlattenRefused(f"it has ended: {wish.outcome or wish.get_state_display().lower()}")
        exits = _working_exits(wish)
        ask_to_cancel(desk, exits, by=by, reason=f"the flatten was ended: {reason}")
    carry_out_each(desk, exits)
    return wish


def _working_exits(wish: Flatten) -> list[Order]:
    return [order for each in wish.positions.all() for order in exits_of(each) if order.is_unfinished]


def exits_of(each: FlattenedPosition) -> list[Order]:
    """Return the exits that were made for the position, oldest first."""
    found: list[Order] = []
    while (order := made_by(each.flatten.mode, _token(each, len(found) + 1))) is not None:
        found.append(order)
    return found


def _token(each: FlattenedPosition, number: int) -> str:
    position = each.position
    return f"flatten:{each.flatten.token}:{position.exchange}:{position.symbol}:{position.product}:{number}"


def _write_down(
    desk: Desk, control: TradingControl, *, token: str, by: str, reason: str
) -> tuple[Flatten, list[Order]]:
    """Write the wish down with all that follows from it at once, and return it with the orders to cancel."""
    now = desk.clock()
    halted = control.state == TradingState.HALTED and not control.lifts_to
    entries = let_only_closing_go(desk, by=by, reason=f"flatten: {reason}")
    resting = [order for order in Order.objects.unfinished(desk.mode) if not order.is_exit and order not in entries]
    ask_to_cancel(desk, resting, by=by, reason=f"flatten: {reason}")
    wish = Flatten.objects.create(
        mode=desk.mode,
        token=token,
        asked_by=by,
        asked_at=now,
        reason=reason,
        trading_date=desk.today(),
        while_halted=halted,
    )
    _take_in_what_is_open(desk, wish, now)
    return wish, [*entries, *resting]


def _take_in_what_is_open(desk: Desk, wish: Flatten, now: datetime) -> None:
    """Add every open position that the wish does not have yet: an order that was being cancelled may have filled."""
    missing = open_positions(desk.mode).exclude(flattens__flatten=wish)
    FlattenedPosition.objects.bulk_create(
        [
            FlattenedPosition(flatten=wish, position=each, quantity=each.quantity, changed_at=now, said="to be closed")
            for each in missing
        ]
    )


def open_positions(mode: str) -> QuerySet[Position]:
    return Position.objects.filter(mode=mode).exclude(quantity=0)


def _still_under_way(desk: Desk, control: TradingControl) -> Flatten | None:
    """Return the flatten that is under way. One that is over, though no turn has seen it, must not swallow another."""
    wish = Flatten.objects.under_way(desk.mode).first()
    if wish is not None:
        _end_what_is_over(desk, wish, control)
    return wish if wish is not None and wish.is_under_way else None


def _is_still_wanted(desk: Desk, wish: Flatten) -> bool:
    """Return whether the wish still holds. If so, take in what is open, and ask for the cancel of what else works."""
    with transaction.atomic(durable=True):
        control = TradingControl.objects.locked(desk.mode)
        wish.refresh_from_db()
        _end_what_is_over(desk, wish, control)
        if not wish.is_under_way:
            return False
        _take_in_what_is_open(desk, wish, desk.clock())
        _ask_for_what_holds_shares(desk, wish)
    return True


def _end_what_is_over(desk: Desk, wish: Flatten, control: TradingControl) -> None:
    """End it where a later word of a person, or the day, is against it. The caller holds the lock."""
    now = desk.clock()
    if not wish.is_under_way:
        return
    if wish.trading_date != desk.today():
        _end_incomplete(desk, wish, "its trading day is over", now)
    elif why := _later_word(wish, control):
        wish.end(Flatten.State.ENDED, by=control.changed_by, outcome=why, at=now)
        if control.state == TradingState.HALTED:  # whoever halted asks for these too, unless he died right after
            ask_to_cancel(desk, _working_exits(wish), by=control.changed_by, reason=why)


def _ask_for_what_holds_shares(desk: Desk, wish: Flatten) -> None:
    """Ask for the cancel of what closes at a price of its own: it might rest for ever. The tracker carries it out."""
    placed_since = Order.objects.unfinished(desk.mode).filter(is_exit=False, cancel_requested_at=None)
    ask_to_cancel(desk, list(placed_since), by=wish.asked_by, reason=f"flatten: {wish.reason}")


def _later_word(wish: Flatten, control: TradingControl) -> str:
    """Return what was said of trading after the flatten was asked for and is against it; empty when nothing was."""
    if control.state == TradingState.ACTIVE:
        return f"trading was resumed: {control.reason}"
    if control.state == TradingState.HALTED and not (control.lifts_to or wish.while_halted):
        return f"trading was halted: {control.reason}"
    return ""


class _Turn:
    """One turn of a flatten: what the broker is asked in it, it is asked once."""

    def __init__(self, desk: Desk, wish: Flatten) -> None:
        self._desk = desk
        self._wish = wish
        self._readable: bool | None = None

    def take(self, each: FlattenedPosition) -> None:
        """Do what is due for one position, and keep what was said of it."""
        state, said = self._next(each)
        if (each.state, each.said) != (state, said):
            changed = {"state": state, "said": said, "changed_at": self._desk.clock()}
            FlattenedPosition.objects.filter(pk=each.pk).update(**changed)

    def _next(self, each: FlattenedPosition) -> _Said:
        exits = exits_of(each)
        last = exits[-1] if exits else None
        if last is not None and last.status == OrderStatus.PENDING:
            submit(self._desk, last)  # whoever wrote it down died, or is at it: of two, one sends it
        if last is not None and last.is_unfinished:
            return _State.EXITING, _in_words(last)
        each.position.refresh_from_db()
        if each.position.quantity == 0:
            return _State.FLAT, f"{_in_words(last)}; nothing is open" if last else "nothing is open"
        if sum(_counts(order) for order in exits) >= EXITS_MAX and last is not None:
            return _State.LEFT, f"{EXITS_MAX} exits have ended and shares remain; the last one: {_in_words(last)}"
        if reason := self._must_wait(each, last):
            return _State.WAITING, reason
        if not self._is_due(each):
            return _State(each.state), each.said
        return self._exit(each, number=len(exits) + 1)

    def _must_wait(self, each: FlattenedPosition, last: Order | None) -> str:
        """Return what an exit has to wait for, in words; empty when it may be tried."""
        desk, position = self._desk, each.position
        if not desk.vault.is_valid(desk.clock()):
            return "there is no valid login at the broker: log in, and it goes on"
        instrument = Instrument.objects.filter(exchange=position.exchange, symbol=position.symbol).first()
        phase = market_of(desk, instrument, now=desk.clock()).phase if instrument else Phase.CONTINUOUS
        if phase != Phase.CONTINUOUS:
            return f"the market is not trading it now ({phase.lower().replace('_', ' ')})"
        # One of an earlier day is over, whatever we still count it as: no cancel of it would ever be answered.
        today = [order for order in _working(desk, position) if order.trading_date == desk.today()]
        others = [order for order in today if not order.is_exit]
        # An order in doubt is in no book: there is nothing of ours yet to sell to ourselves.
        if entry := next((order for order in others if opens(order) and order.status != OrderStatus.IN_DOUBT), None):
            return f"{entry} is being cancelled first"
        if last is not None and others:
            return f"{others[0]} has not ended yet"
        if last is not None and not _read_since(desk, last):
            return f"{_in_words(last)}; the broker's book is to be read before another exit"
        if not self._broker_can_be_read():
            return "the broker cannot be read: it is tried again"
        return ""

    def _broker_can_be_read(self) -> bool:
        if self._readable is None:
            self._readable = broker_positions(self._desk) is not None
        return self._readable

    def _is_due(self, each: FlattenedPosition) -> bool:
        """Return whether a position is to be tried again; less often the oftener it was."""
        now = self._desk.clock()
        if each.tried_at is None or each.tried_at > now + FUTURE_MAX:
            return True
        return now - each.tried_at >= until_the_next_try(each.tries)

    def _exit(self, each: FlattenedPosition, *, number: int) -> _Said:
        desk, wish = self._desk, self._wish
        tried = FlattenedPosition.objects.filter(pk=each.pk)
        tried.update(tried_at=desk.clock(), tries=F("tries") + 1)
        why = f"exit {number} of the flatten: {wish.reason}"
        try:
            asked = exit_wish(desk, each.position, token=_token(each, number), by=wish.asked_by, why=why)
            order = place(desk, replace(asked, check=self._check))
        except NothingToExit as nothing:
            if _working(desk, each.position) or each.said != str(nothing):  # one reading of the broker is not enough
                return _State.WAITING, str(nothing)
            return _State.LEFT, f"{each.position.quantity} shares are open in our book and not at the broker"
        except (OrderDenied, UnknownInstrument, InvalidOrder, FlattenRefused) as refusal:
            return _State.WAITING, str(refusal)
        tried.update(exits=number)
        return _State.EXITING, _in_words(order)

    def _check(self, control: TradingControl) -> None:
        """
        Raise `FlattenRefused` when the wish came to its end since the turn began: the broker is slow to be asked.

        Whoever ended it has cancelled the exits that there were, and nobody would cancel another.
        """
        desk, wish = self._desk, self._wish
        wish.refresh_from_db()
        if not wish.is_under_way or wish.trading_date != desk.today() or _later_word(wish, control):
            raise FlattenRefused("the flatten ended before another exit was made")


def _counts(order: Order) -> bool:
    """Return whether the exit is one of the few: not when it was never sent, or turned away for its rate alone."""
    never_tried = order.status == OrderStatus.WITHDRAWN
    return not (never_tried or order.status_reason.startswith(TURNED_AWAY))


def _in_words(order: Order) -> str:
    why = f" ({order.status_reason})" if order.status_reason and order.status != OrderStatus.FILLED else ""
    return f"{order} is {order.get_status_display().lower()}{why}"


def _working(desk: Desk, position: Position) -> list[Order]:
    return list(Order.objects.unfinished(desk.mode).filter(exchange=position.exchange, symbol=position.symbol))


def _read_since(desk: Desk, order: Order) -> bool:
    """
    Return whether a book was read that began after the order had ended: it may list fills that came late.

    A 429 is only believed once the broker's book has borne it out: another exit beside one that works after all would
    sell twice.
    """
    if order.was_turned_away:
        return order.is_borne_out
    read_at = BrokerSession.objects.filter(mode=desk.mode).aggregate(at=Max("reconciled_at"))["at"]
    if order.ended_at is None or read_at is None:
        return order.ended_at is None
    latest = desk.clock() + FUTURE_MAX
    if order.ended_at > latest:  # the clock was set back since: it must not be waited for
        return bool(read_at <= latest)
    return bool(read_at > order.ended_at)


def _conclude(desk: Desk, wish: Flatten) -> None:
    """End the flatten when every position is flat or given up, and no order is left that could change that."""
    with transaction.atomic(durable=True):
        TradingControl.objects.locked(desk.mode)
        wish.refresh_from_db()
        now = desk.clock()
        rows = list(wish.positions.select_related("position"))
        undecided = any(each.state not in {_State.FLAT, _State.LEFT} for each in rows)
        gone_on = open_positions(desk.mode).exclude(flattens__in=[each for each in rows if each.state == _State.LEFT])
        if not wish.is_under_way or undecided or gone_on.exists() or _may_bring_more(desk):
            return
        if any(each.state == _State.LEFT for each in rows):
            _end_incomplete(desk, wish, "not all of it could be closed", now)
        else:
            told = f"flat: {', '.join(each.position.symbol for each in rows)}" if rows else "nothing was open"
            wish.end(Flatten.State.FLAT, by="executor", outcome=told, at=now)


def _may_bring_more(desk: Desk) -> bool:
    """Return whether an order of today may fill still, or have filled without our book knowing of it."""
    today = Order.objects.ours(desk.mode).filter(trading_date=desk.today())
    newest = today.exclude(ended_at=None).order_by("-ended_at")[:1]
    ended = [*newest, *Order.objects.turned_away(desk.mode, desk.today())]
    return Order.objects.unfinished(desk.mode).exists() or not all(_read_since(desk, order) for order in ended)


def _end_incomplete(desk: Desk, wish: Flatten, why: str, now: datetime) -> None:
    """End it with an incident that says what is left, and why. The caller holds the lock."""
    left = [each for each in wish.positions.select_related("position") if each.position.quantity]
    if not left:
        wish.end(Flatten.State.FLAT, by="executor", outcome=f"{why}; nothing is open", at=now)
        return
    symbols = [each.position.symbol for each in left]
    lines = [f"{each.position.quantity} {each.position.exchange}:{each.position.symbol}: {each.said}" for each in left]
    if not wish.end(Flatten.State.INCOMPLETE, by="executor", outcome="\n".join([why, *lines]), at=now):
        return
    Incident.objects.open(
        Incident.Kind.FLATTEN_INCOMPLETE,
        mode=desk.mode,
        subject=f"{wish.pk}",
        title=f"The flatten by {wish.asked_by} left {', '.join(symbols)} open: {why}"[:200],
        detail="\n".join(lines),
        what_to_do="Look at each position and at its last exit. Close it with Exit or another flatten, or in the "
        "broker's own channels, which the Trading control page names.",
        now=now,
    )
