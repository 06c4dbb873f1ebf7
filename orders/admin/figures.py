"""Totals above a list, of what its filters let through and not of its page."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest

from orders.desk import rupees
from risk.admin.display import Tone
from risk.admin.read_only import Listing


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One total. `below` says of what, or since when."""

    title: str
    value: str
    below: str = ""
    tone: Tone = Tone.PLAIN


def gain(title: str, amount: Decimal | None, below: str = "") -> Figure:
    """Return a total that may be a loss: with its sign, and a tone."""
    if amount is None:
        return Figure(title=title, value="not known", below=below, tone=Tone.WARNING)
    signed = f"+{rupees(amount)}" if amount > 0 else rupees(amount).replace("-", "−")
    tone = Tone.GOOD if amount > 0 else Tone.BAD if amount < 0 else Tone.PLAIN
    return Figure(title=title, value=signed, below=below, tone=tone)


def lacking(prices: list[Decimal | None]) -> str:
    """Return how many of the prices are not known, in words; empty when all are."""
    missing = sum(price is None for price in prices)
    return f"{missing} of {len(prices)} have no price" if missing else ""


class FiguredListing(Listing):
    """Adds up no more rows than the list counts: the totals of a million would take seconds."""

    has_figures = True

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        counted = 0 < self.result_count <= self.paginator.counted_max
        self.figures: list[Figure] = self.model_admin.figures(self.queryset) if counted else []


class Figured:
    """Mixed into a list's admin, which says what `figures` of a queryset are."""

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return FiguredListing

    def figures(self, rows: QuerySet[Any]) -> list[Figure]:
        raise NotImplementedError
