"""The refusals of the use cases: what an action shows as a message, and not as an error page."""

from __future__ import annotations

from orders.by_hand import CloseRefused, MarkRefused, NothingToExit
from orders.deciding import InvalidOrder, OrderDenied, UnknownInstrument
from orders.desk import DeskNotWired
from orders.execution import OtherMode
from orders.modifying import ModificationRefused
from risk.control import ControlChanged, LooseningRefused

REFUSALS: tuple[type[Exception], ...] = (
    CloseRefused,
    ControlChanged,
    DeskNotWired,
    InvalidOrder,
    LooseningRefused,
    MarkRefused,
    ModificationRefused,
    NothingToExit,
    OrderDenied,
    OtherMode,
    UnknownInstrument,
)
