"""How one order is to be treated, when a fault asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, kw_only=True)
class Quirks:
    """The first five shape the life of a new order, the next two a change to one."""

    hidden_for: timedelta | None = None  # not shown in the book
    rejected_after: timedelta | None = None
    held: bool = False  # does not fill before the price is next set
    stuck_for: timedelta | None = None  # stays PUT ORDER REQ RECEIVED
    fill_at_most: int | None = None  # shares that may fill before the price is next set
    ignored: bool = False  # the change is answered as done, and is not made
    fill_first: bool = False  # the order fills before it is cancelled
    strike: int | None = None  # number of the fault's strike, for the journal to tie an order to it


NO_QUIRKS = Quirks()
