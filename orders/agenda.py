"""What a turn of the worker may have to do: one statement says where it is worth looking."""

from __future__ import annotations

from typing import NamedTuple

from risk.prepared import prepared_cursor


class Agenda(NamedTuple):
    """Only hints: whoever acts on one looks again, and under the lock where that counts."""

    is_halted: bool  # and not for the login, which leaves what rests alone
    begun: bool  # an order that is unsent, on its way or in doubt
    waiting: int  # signals to decide; 2 for more than one
    wished: bool  # a change of the limits or of the calendar that may come due


# Statuses alone, each read from an index of what has it: what is due of it, and when, is for those who carry it out.
_AGENDA = """
SELECT control.state = 'HALTED' AND control.lifts_to = '',
    EXISTS (SELECT FROM orders_order WHERE mode = control.mode AND status IN ('PENDING', 'SUBMITTING', 'IN_DOUBT')),
    (SELECT count(*) FROM (
        SELECT FROM orders_signal WHERE mode = control.mode AND status = 'RECEIVED' LIMIT 2
    ) AS signals),
    EXISTS (SELECT FROM risk_limitchange WHERE status IN ('PENDING', 'TEMPORARY'))
        OR EXISTS (SELECT FROM risk_calendarwish WHERE status = 'PENDING')
FROM risk_tradingcontrol AS control WHERE control.mode = %s
"""


def agenda(mode: str) -> Agenda:
    """Return what there may be to do for the mode."""
    with prepared_cursor() as cursor:
        cursor.execute(_AGENDA, [mode])
        found = cursor.fetchone()
    assert found is not None, "every mode has its switch"
    return Agenda(*found)
