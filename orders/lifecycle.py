"""
The life of an order, and of a modification of one: a table each says what may follow what.

`Order.advance` and `OrderModification.advance` are the only doors through them.
"""

from __future__ import annotations

from django.db import models


class OrderStatus(models.TextChoices):
    """Where an order is. DENIED is not here: what our risk desk refuses never becomes an order."""

    PENDING = "PENDING", "Pending"  # written down, not sent
    SUBMITTING = (
        "SUBMITTING",
        "Submitting",
    )  # on its way: from here on only the broker's book says how it ended
    OPEN = "OPEN", "Open"
    PARTIALLY_FILLED = "PARTIALLY_FILLED", "Partially filled"
    FILLED = "FILLED", "Filled"
    CANCELLED = "CANCELLED", "Cancelled"
    REJECTED = "REJECTED", "Rejected"  # by the broker or the exchange
    IN_DOUBT = "IN_DOUBT", "In doubt"  # sent, no trustworthy answer
    NOT_PLACED = "NOT_PLACED", "Not placed"  # was in doubt; the broker's book shows it never arrived
    WITHDRAWN = "WITHDRAWN", "Withdrawn"  # never sent


_S = OrderStatus
_FROM_THE_BOOK = frozenset({_S.OPEN, _S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELLED, _S.REJECTED})

TRANSITIONS: dict[OrderStatus, frozenset[OrderStatus]] = {
    # From the book: the database lost the commit that said SUBMITTING, or was restored from before it.
    _S.PENDING: _FROM_THE_BOOK | {_S.SUBMITTING, _S.WITHDRAWN},
    # WITHDRAWN: the sender woke too late and knows that it sent nothing. CANCELLED and the rest: the book was read
    # before the sender had its answer.
    _S.SUBMITTING: _FROM_THE_BOOK | {_S.IN_DOUBT, _S.WITHDRAWN},
    _S.IN_DOUBT: _FROM_THE_BOOK | {_S.NOT_PLACED},
    # REJECTED: an order id says that the order was received, not that the exchange took it.
    _S.OPEN: frozenset({_S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELLED, _S.REJECTED}),
    # REJECTED: the exchange refused what was left.
    _S.PARTIALLY_FILLED: frozenset({_S.FILLED, _S.CANCELLED, _S.REJECTED}),
    _S.FILLED: frozenset(),
    # A fill that crossed our cancel, or a trade that the book listed after the cancel.
    _S.CANCELLED: frozenset({_S.FILLED}),
    # We only inferred these; the book knows better, and late appearances are adopted.
    _S.REJECTED: _FROM_THE_BOOK - {_S.REJECTED},
    _S.NOT_PLACED: _FROM_THE_BOOK,
    _S.WITHDRAWN: _FROM_THE_BOOK,
}

WORKING = frozenset({_S.OPEN, _S.PARTIALLY_FILLED})  # resting at the broker
UNFINISHED = frozenset({_S.PENDING, _S.SUBMITTING, _S.IN_DOUBT}) | WORKING  # counts as if it will fill
INFERRED = frozenset({_S.REJECTED, _S.NOT_PLACED, _S.WITHDRAWN})  # yields to the broker's book
NEVER_SENT = frozenset({_S.WITHDRAWN})
ENDED_BY_AN_ANSWER = _FROM_THE_BOOK  # the broker, or its book, has said what became of it, so far

TURNED_AWAY = "refused by the broker for its rate"  # begins the reason of an order that was answered 429

# The broker's own words for an order that is over. Any other word, known or not, means that it may still fill.
ENDED_AT_THE_BROKER = ("COMPLETE", "CANCELLED", "CANCELLED AMO", "REJECTED")


def may_follow(before: str, after: str) -> bool:
    """Return whether an order may go from one status to the other."""
    return OrderStatus(after) in TRANSITIONS[OrderStatus(before)]


class ModificationState(models.TextChoices):
    """Where a modification of a working order is. Only the broker's book says whether it holds."""

    WISHED = "WISHED", "Wished"  # written down, not sent
    SENDING = "SENDING", "Sending"
    ACCEPTED = "ACCEPTED", "Accepted"  # the broker took the request, which does not say that it came about
    REFUSED = "REFUSED", "Refused"  # by the broker, surely
    IN_DOUBT = "IN_DOUBT", "In doubt"  # sent, no trustworthy answer
    TOOK_EFFECT = "TOOK_EFFECT", "Took effect"  # the broker's book shows its terms
    DID_NOT = "DID_NOT", "Did not take effect"  # the book shows other terms when it should have these, or the end
    WITHDRAWN = "WITHDRAWN", "Withdrawn"  # never sent


_M = ModificationState
_BY_THE_BOOK = frozenset({_M.TOOK_EFFECT, _M.DID_NOT})

MODIFICATION_TRANSITIONS: dict[ModificationState, frozenset[ModificationState]] = {
    _M.WISHED: frozenset({_M.SENDING, _M.WITHDRAWN}),
    # WITHDRAWN: the sender woke too late and knows that it sent nothing. By the book: it was read before the answer.
    _M.SENDING: _BY_THE_BOOK | {_M.ACCEPTED, _M.REFUSED, _M.IN_DOUBT, _M.WITHDRAWN},
    _M.ACCEPTED: _BY_THE_BOOK,
    # An answer after all, of a sender that was slower than its deadline.
    _M.IN_DOUBT: _BY_THE_BOOK | {_M.ACCEPTED, _M.REFUSED, _M.WITHDRAWN},
    # We only inferred these; the book knows better.
    _M.REFUSED: frozenset({_M.TOOK_EFFECT}),
    _M.DID_NOT: frozenset({_M.TOOK_EFFECT}),
    _M.WITHDRAWN: frozenset(),
    _M.TOOK_EFFECT: frozenset(),
}

# Its terms may hold, or come to hold: they count beside the order's own, at the worse of both.
MODIFICATION_UNFINISHED = frozenset({_M.WISHED, _M.SENDING, _M.ACCEPTED, _M.IN_DOUBT})


def modification_may_follow(before: str, after: str) -> bool:
    """Return whether a modification may go from one state to the other."""
    return ModificationState(after) in MODIFICATION_TRANSITIONS[ModificationState(before)]
