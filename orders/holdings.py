"""What the broker holds in demat, kept as its book told it: pages show it, and nothing is decided by it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from orders.broker.gateway import BrokerBook
from orders.many_rows import set_columns
from orders.models import Holding
from risk.questions import Question

_TOLD = tuple(field.name for field in Holding._meta.local_concrete_fields if not field.primary_key)  # noqa: SLF001
_KEY = ("mode", "exchange", "symbol")
_SAID = tuple(name for name in _TOLD if name != "as_of")


def note_holdings(mode: str, book: BrokerBook) -> None:
    """
    Replace what is kept by what the book shows. The caller holds the mode's lock.

    A page never sees the half of it, nor what an earlier reading said beside what this one does.
    """
    rows = [Holding(mode=mode, as_of=book.as_of, **asdict(report)) for report in book.holdings]
    before = set(_KEPT.rows(mode=mode))
    if before == {tuple(getattr(row, name) for name in _SAID) for row in rows}:
        if before:  # what is carried over night seldom changes within the day
            set_columns(Holding, {"as_of": book.as_of}, where={"mode": mode})
        return
    Holding.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=_KEY,
        update_fields=[name for name in _TOLD if name not in _KEY],
    )
    Holding.objects.filter(mode=mode).exclude(as_of=book.as_of).delete()


_KEPT = Question[tuple[Any, ...]](
    lambda mode: Holding.objects.filter(mode=mode).order_by().values_list(*_SAID), mode=str
)
