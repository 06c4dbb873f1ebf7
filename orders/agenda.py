"""What a turn of the worker may have to do: one trip says where it is worth looking."""

from __future__ import annotations

from typing import NamedTuple

from orders.models import Signal
from risk.questions import Question, ask, together


class Agenda(NamedTuple):
    """Only hints: whoever acts on one looks again, and under the lock where that counts."""

    is_halted: bool  # and not for the login, which leaves what rests alone
    begun: bool  # an order that is unsent, on its way or in doubt
    wished: bool  # a change of the limits or of the calendar that may come due
    waiting: tuple[Signal, ...]  # the oldest signal to decide, and another one for more than that


# Statuses alone, each read from an index of what has it: what is due of it, and when, is for those who carry it out.
_AGENDA = """
SELECT control.state = 'HALTED' AND control.lifts_to = '',
    EXISTS (SELECT FROM orders_order WHERE mode = control.mode AND status IN ('PENDING', 'SUBMITTING', 'IN_DOUBT')),
    EXISTS (SELECT FROM risk_limitchange WHERE status IN ('PENDING', 'TEMPORARY'))
        OR EXISTS (SELECT FROM risk_calendarwish WHERE status = 'PENDING')
FROM risk_tradingcontrol AS control WHERE control.mode = %s
"""
_WAITING = Question[Signal](lambda mode: Signal.objects.undecided(mode)[:2], mode=str)


def agenda(mode: str) -> Agenda:
    """Return what there may be to do for the mode."""
    with together():
        asked = ask(_AGENDA, [mode])
        waiting = _WAITING.ask(mode=mode)
    ((is_halted, begun, wished),) = asked()
    return Agenda(is_halted, begun, wished, tuple(waiting()))
