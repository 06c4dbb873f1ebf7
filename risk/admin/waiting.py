"""What waits to be loosened, as the pages that it concerns show it, and how much of it there is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import CharField, QuerySet, Value
from django.http import HttpRequest
from django.urls import reverse

from risk.admin.display import moment
from risk.admin.limit_changes import change_text, values_now
from risk.admin.limit_history import limit_text
from risk.admin.wishes import how_it_waits
from risk.models import CalendarWish, LimitChange, Wish

# What each badge of the sidebar counts, by its name: rows, and the number in each that tells them apart.
COUNTED: dict[str, Callable[[HttpRequest], list[tuple[QuerySet[Any], str]]]] = {
    "limits": lambda _request: [(LimitChange.objects.pending(), "pk")],
    "calendar": lambda _request: [(CalendarWish.objects.pending(), "pk")],
}


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """One wish in words: what it is, whose, since when, what it needs, and what is in force meanwhile."""

    url: str
    what: str
    how: str
    author: str
    reason: str
    since: str
    based_on: str
    now: str


def limits_waiting(changes: Iterable[LimitChange]) -> list[Waiting]:
    """Return the unfinished changes of limits, newest first; the values in force are only read where there are any."""
    found = list(changes)
    value_now = values_now() if found else str
    return [
        _waiting(
            change,
            reverse("admin:risk_limitchange_change", args=(change.pk,)),
            change_text(change),
            how=f"holds until {moment(change.expires_at)}" if change.status == Wish.Status.TEMPORARY else "",
            based_on=f"{limit_text(change.key, change.before)} (version {change.based_on_version})",
            now=value_now(change),
        )
        for change in found
    ]


def calendar_waiting() -> list[Waiting]:
    """Return the wishes of the calendar that wait, newest first."""
    return [
        _waiting(
            wish,
            reverse("admin:risk_calendarwish_change", args=(wish.pk,)),
            wish.what,
            based_on="the calendar as it is",
            now=f"closed; it would open {wish.opens}",
        )
        for wish in CalendarWish.objects.pending()
    ]


def _waiting(wish: Wish, url: str, what: str, *, based_on: str, now: str, how: str = "") -> Waiting:
    return Waiting(
        url=url,
        what=what,
        how=how or how_it_waits(wish),
        author=wish.author,
        reason=wish.reason,
        since=moment(wish.created_at),
        based_on=based_on,
        now=now,
    )


def limits_badge(request: HttpRequest) -> int:
    return counted(request, "limits")


def calendar_badge(request: HttpRequest) -> int:
    return counted(request, "calendar")


def counted(request: HttpRequest, name: str) -> int:
    """Return how many wait of what a badge names: one query a page for all badges, of rows that an index knows."""
    kept: Counter[str] | None = getattr(request, "desk_waiting", None)
    if kept is None:
        first, *others = (
            rows.order_by().values_list(Value(badge, output_field=CharField()), number)
            for badge, asked in COUNTED.items()
            for rows, number in asked(request)
        )
        kept = Counter(row[0] for row in first.union(*others))
        request.desk_waiting = kept  # type: ignore[attr-defined]
    return kept[name]
