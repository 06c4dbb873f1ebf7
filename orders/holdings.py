"""What the broker holds in demat, kept as its book told it: pages show it, and nothing is decided by it."""

from __future__ import annotations

from dataclasses import asdict

from orders.broker.gateway import BrokerBook
from orders.models import Holding

_TOLD = tuple(field.name for field in Holding._meta.local_concrete_fields if not field.primary_key)  # noqa: SLF001
_KEY = ("mode", "exchange", "symbol")
_SAID = tuple(name for name in _TOLD if name != "as_of")


def note_holdings(mode: str, book: BrokerBook) -> None:
    """
    Replace what is kept by what the book shows. The caller holds the mode's lock.

    A page never sees the half of it, nor what an earlier reading said beside what this one does.
    """
    rows = [Holding(mode=mode, as_of=book.as_of, **asdict(report)) for report in book.holdings]
    kept = Holding.objects.filter(mode=mode)
    before = set(kept.values_list(*_SAID))
    if before == {tuple(getattr(row, name) for name in _SAID) for row in rows}:
        if before:  # what is carried over night seldom changes within the day
            kept.update(as_of=book.as_of)
        return
    Holding.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=_KEY,
        update_fields=[name for name in _TOLD if name not in _KEY],
    )
    kept.exclude(as_of=book.as_of).delete()
