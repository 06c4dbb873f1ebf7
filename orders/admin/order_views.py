"""The blotter's list: saved views as tabs with their counts, its filters, and how many orders it says there are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.views.main import SEARCH_VAR, ChangeList
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from unfold.contrib.filters.admin import TextFilter

from orders.admin.narrowing import StrategyFilter, SymbolFilter
from orders.admin.wording import OUTCOME_TONES
from orders.desk import trading_date
from orders.lifecycle import UNFINISHED, WORKING, OrderStatus
from orders.models import Decision, Order
from risk.admin.display import Tone
from risk.models import Mode

TODAY, EVERY_DAY = "today", "all"
SORTED_MAX = timedelta(days=31)  # the dates of orders that are sorted by a column that no index has


@dataclass(frozen=True)
class View:
    """A saved view: what its tab says, and which of today's and the unfinished orders it keeps."""

    key: str
    title: str
    tone: Tone = Tone.PLAIN

    def keeps(self, today: date, username: str) -> Q:
        of_today = Q(trading_date=today)
        return {
            TODAY: of_today | Q(status__in=sorted(UNFINISHED)),
            "working": Q(status__in=sorted(WORKING)),
            "in_doubt": Q(status=OrderStatus.IN_DOUBT),
            "filled": of_today & Q(status=OrderStatus.FILLED),
            "rejected": of_today & Q(status=OrderStatus.REJECTED),
            "mine": (of_today | Q(status__in=sorted(UNFINISHED))) & Q(created_by=username),
        }[self.key]


VIEWS = (
    View(TODAY, "Today"),
    View("working", "Working", Tone.INFO),
    View("in_doubt", "In doubt", Tone.LOUD),
    View("filled", "Filled today", Tone.GOOD),
    View("rejected", "Rejected today", Tone.BAD),
    View("mine", "Mine"),
)
BY_KEY = {view.key: view for view in VIEWS}


def today_in_mumbai() -> date:
    return trading_date(timezone.now())


class ViewFilter(admin.SimpleListFilter):
    """
    Today's orders and every unfinished one, unless a tab, a date or a search says otherwise.

    A search is for an id, and an id is of any day.
    """

    title = "view"
    parameter_name = "view"
    template = "desk/nothing.html"  # its choices are the tabs

    def __init__(self, request: HttpRequest, *args: Any) -> None:
        self.username = request.user.get_username()
        narrowed = SEARCH_VAR in request.GET or any(name.startswith("trading_date") for name in request.GET)
        self.unasked = EVERY_DAY if narrowed else TODAY
        super().__init__(request, *args)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [*((view.key, view.title) for view in VIEWS), (EVERY_DAY, "Every day")]

    def value(self) -> str:
        chosen = super().value()
        return chosen if chosen in BY_KEY or chosen == EVERY_DAY else self.unasked

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:
        view = BY_KEY.get(self.value())
        return queryset.filter(view.keeps(today_in_mumbai(), self.username)) if view else queryset

    def choices(self, changelist: ChangeList) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        yield from ()


def bounded(request: HttpRequest) -> bool:
    """Return whether the list is of a view's, a symbol's or a search's orders, or of the dates of a month at most."""
    asked = request.GET
    if ViewFilter(request, dict(asked.lists()), Order, None).value() != EVERY_DAY:
        return True
    if asked.get(SymbolFilter.parameter_name, "").strip() or asked.get(SEARCH_VAR, "").strip():
        return True
    try:
        since = date.fromisoformat(asked.get("trading_date_from", ""))
        until = date.fromisoformat(asked.get("trading_date_to") or f"{today_in_mumbai()}")
    except ValueError:
        return False
    return until - since <= SORTED_MAX


class OrderStrategyFilter(StrategyFilter):
    parameter_name = "strategy"
    path = "signal__strategy"


class ReasonFilter(TextFilter):
    """Words of the reason, in any case: what the broker, or we, said."""

    title = "reason"
    parameter_name = "reason"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:
        wanted = (self.value() or "").strip()
        return queryset.filter(status_reason__icontains=wanted) if wanted else queryset


def counts(mode: str, username: str) -> dict[str, int]:
    """Return how many orders each view has, by one query over today's orders and the unfinished ones."""
    today = today_in_mumbai()
    day = Order.objects.filter(BY_KEY[TODAY].keeps(today, username))
    day = day.filter(mode=mode) if mode in Mode.values else day
    return day.order_by().aggregate(**{view.key: Count("pk", filter=view.keeps(today, username)) for view in VIEWS})


def tabs(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the tabs of the blotter: each with its address, count and whether it is open."""
    mode = request.GET.get("mode") or settings.TRADING_MODE
    username = request.user.get_username()
    numbers = counts(mode, username)
    chosen = ViewFilter(request, dict(request.GET.lists()), Order, None).value()
    kept = {"mode": mode} if "mode" in request.GET else {}
    listed = [
        {
            "title": view.title,
            "url": f"?{urlencode({**kept, 'view': view.key})}",
            "count": numbers[view.key],
            "tone": view.tone if numbers[view.key] else Tone.PLAIN,
            "is_open": chosen == view.key,
        }
        for view in VIEWS
    ]
    every_day = {"title": "Every day", "url": f"?{urlencode({**kept, 'view': EVERY_DAY})}"}
    listed.append({**every_day, "is_open": chosen == EVERY_DAY})
    if request.user.has_perm("orders.view_decision"):
        listed.insert(5, denied_tab(mode))
    return listed


def denied_tab(mode: str) -> dict[str, Any]:
    """Return the tab that leads to today's denials: what our risk desk refuses never becomes an order."""
    begins = datetime.combine(today_in_mumbai(), time(), tzinfo=timezone.get_default_timezone())
    ends = begins + timedelta(days=1)
    denied = Decision.objects.filter(outcome="DENIED", at__gte=begins, at__lt=ends)
    denied = denied.filter(mode=mode) if mode in Mode.values else denied
    number = denied.count()
    asked = {"mode": mode, "outcome": "DENIED", "at__gte": begins.isoformat(" "), "at__lt": ends.isoformat(" ")}
    return {
        "title": "Denied today",
        "url": f"{reverse('admin:orders_decision_changelist')}?{urlencode(asked)}",
        "count": number,
        "tone": OUTCOME_TONES["DENIED"][0] if number else Tone.PLAIN,
        "is_open": False,
    }
