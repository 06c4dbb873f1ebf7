"""What a control is: a code that never changes, words for people, and the rule that decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from risk.engine.facts import Portfolio, ProposedOrder
from risk.engine.limits import Limits


class Finding(NamedTuple):
    """What a rule saw, what it allows, and the reason for no; None when there is none."""

    measured: str
    limit: str
    reason: str | None


Rule = Callable[[ProposedOrder, Portfolio, Limits, datetime], Finding]


class Outcome(StrEnum):
    """What becomes of the signal when a control refuses it."""

    APPROVED = "APPROVED"
    IGNORED = "IGNORED"  # nothing was wrong, nothing was to be done
    DENIED = "DENIED"  # a limit or the state of trading said no
    EXPIRED = "EXPIRED"  # its time has passed


class Applies(StrEnum):
    """Whether a control looks at every order or only at those that open exposure."""

    ALWAYS = "ALWAYS"
    OPENING = "OPENING"


@dataclass(frozen=True, kw_only=True)
class Control:
    """
    One row of the catalogue. `code` is stable: it is stored, logged and searched for.

    `sentence` tells staff what it does; `unit` is that of the measured value and of the limit; `limits` names the
    fields of `Limits` that it is held against.
    """

    code: str
    title: str
    sentence: str
    unit: str
    rule: Rule
    limits: tuple[str, ...] = ()
    applies: Applies = Applies.OPENING
    new_orders_only: bool = False  # it counts orders, and a modified one is none more
    outcome: Outcome = Outcome.DENIED


def plain(number: Decimal) -> str:
    """Return a number without the zeros that its column adds: 60 for 60.00."""
    return f"{number.normalize():f}"
