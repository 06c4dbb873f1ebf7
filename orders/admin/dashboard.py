"""
The first page: how the day stands, drawn from rows alone. Its tiles renew themselves, its charts take their numbers as
JSON, and every number says as of when it is. What a person may not view is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone

from orders import today
from orders.admin.wording import ORDER_TONES, SIGNAL_TONES, order_badge, side_badge
from orders.desk import Desk, DeskNotWired, rupees, start_of_day
from orders.lifecycle import WORKING, OrderStatus
from orders.models import DayPoint, Order, Signal
from orders.portfolio import OpenBook, open_book
from orders.usage import Exposure, Used, exposures, used_of_limits
from risk import limit_versions
from risk.admin.display import NOTHING, Tone, ago, badge, moment
from risk.admin.incidents import STATUS_TONES
from risk.engine.exposure_rules import worth
from risk.engine.limits import Limits
from risk.models import Incident

LAST_ORDERS = 8
LAST_INCIDENTS = 6
SYMBOLS_DRAWN = 12
POINT_OLD_AFTER_SECONDS = 30
_ORDER_OF_OUTCOMES = (
    OrderStatus.FILLED,
    OrderStatus.OPEN,
    OrderStatus.PARTIALLY_FILLED,
    OrderStatus.PENDING,
    OrderStatus.SUBMITTING,
    OrderStatus.IN_DOUBT,
    OrderStatus.CANCELLED,
    OrderStatus.REJECTED,
    OrderStatus.NOT_PLACED,
    OrderStatus.WITHDRAWN,
)


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One number of the first row. `page` names where it leads."""

    title: str
    value: str
    below: str = ""
    tone: Tone = Tone.PLAIN
    page: str = ""
    query: str = ""


class Day:
    """What one request looks at. Each part is asked for once, and not at all when nobody may see it."""

    def __init__(self, request: HttpRequest, now: datetime) -> None:
        self.may: Callable[[str], bool] = request.user.has_perm
        self.now = now
        self.mode = settings.TRADING_MODE

    @cached_property
    def desk(self) -> Desk:
        return Desk.from_settings()

    @cached_property
    def limits(self) -> Limits:
        """Return the limits as the risk desk holds orders to them: none passes its ceiling."""
        return self.desk.tighten(limit_versions.in_force(now=self.now).limits())

    @cached_property
    def point(self) -> DayPoint | None:
        return DayPoint.objects.of_day(self.mode, start_of_day(self.now)).last()

    @cached_property
    def book(self) -> OpenBook:
        return open_book(self.desk, self.limits, self.now)

    @cached_property
    def exposures(self) -> list[Exposure]:
        return exposures(self.desk, self.limits, now=self.now, book=self.book)

    @cached_property
    def orders(self) -> dict[str, int]:
        return today.orders_by_status(self.mode, self.now)

    @cached_property
    def decided(self) -> today.Decided:
        return today.decided(self.mode, self.now)

    @property
    def signals(self) -> dict[str, int]:
        return self.decided.signals

    @property
    def denied(self) -> list[today.Denied]:
        return self.decided.denied

    @cached_property
    def used(self) -> list[Used]:
        return used_of_limits(
            self.desk, self.limits, day=self.point, now=self.now, book=self.book, open_now=self.exposures
        )

    @cached_property
    def latencies(self) -> list[today.Percentiles]:
        return today.latencies(self.mode, self.now)


def context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the dashboard to the context of the admin's first page."""
    return context | _shown(request, _at_a_glance) | {"is_fullwidth": "1"}


def live(request: HttpRequest) -> HttpResponse:
    """Answer with the tiles, and what became of orders and signals. Like the next three for who is logged in alone."""
    if not admin.site.has_permission(request):
        return HttpResponse(status=401)
    return render(request, "desk/dashboard/live.html", _shown(request, _at_a_glance) | {"renews": True})


def used(request: HttpRequest) -> HttpResponse:
    """Answer with how much of each limit is used, which the page asks for when it is there."""
    if not admin.site.has_permission(request):
        return HttpResponse(status=401)
    return render(request, "desk/dashboard/used.html", _shown(request, _limits_used) | {"more_is_here": True})


def more(request: HttpRequest) -> HttpResponse:
    """Answer with the last orders and the last incidents, likewise."""
    if not admin.site.has_permission(request):
        return HttpResponse(status=401)
    return render(request, "desk/dashboard/more.html", _shown(request, _lately) | {"more_is_here": True})


def charts(request: HttpRequest) -> HttpResponse:
    """Answer with the numbers of the charts: INR, times in milliseconds since 1970."""
    if not admin.site.has_permission(request):
        return HttpResponse(status=401)
    day = Day(request, timezone.now())
    if not day.may("orders.view_position"):
        return HttpResponse(status=403)
    try:
        day.desk  # noqa: B018 - asked for first: without a broker there is nothing to draw
    except DeskNotWired:
        return HttpResponse(status=503)
    points = DayPoint.objects.of_day(day.mode, start_of_day(day.now))
    drawn = day.exposures[:SYMBOLS_DRAWN]
    return JsonResponse(
        {
            "as_of": f"{timezone.localtime(day.now):%H:%M:%S}",
            "result": [spot for point in points for spot in _spots(point)],
            "loss_limit": -day.limits.daily_loss_max if day.limits.daily_loss_max is not None else None,
            "symbols": [each.symbol for each in drawn],
            "worth": [each.worth for each in drawn],
            "limits": [each.limit for each in drawn],
            "left_out": len(day.exposures) - len(drawn),
        }
    )


def _spots(point: DayPoint) -> list[tuple[int, Decimal]]:
    """Return where a point begins and where it ends: in between nothing changed."""
    ends = dict.fromkeys(int(at.timestamp() * 1000) for at in (point.since, point.as_of))
    return [(at, point.result) for at in ends]


def _shown(request: HttpRequest, parts: Callable[[Day], dict[str, Any]]) -> dict[str, Any]:
    day = Day(request, timezone.now())
    shown: dict[str, Any] = {"as_of": timezone.localtime(day.now), "mode": day.mode, "may": _may_view(day)}
    try:
        return shown | parts(day)
    except DeskNotWired as trouble:
        return shown | {"trouble": str(trouble)}


def _may_view(day: Day) -> dict[str, bool]:
    return {
        "positions": day.may("orders.view_position"),
        "orders": day.may("orders.view_order"),
        "signals": day.may("orders.view_signal"),
        "decisions": day.may("orders.view_decision"),
        "limits": day.may("risk.view_risksettings"),
        "incidents": day.may("risk.view_incident"),
    }


def _at_a_glance(day: Day) -> dict[str, Any]:
    """Return the tiles, what is in doubt, and what became of the day's orders and signals."""
    may = _may_view(day)
    parts: dict[str, Any] = {"tiles": _tiles(day, may)}
    if may["orders"]:
        doubted = Order.objects.in_doubt(day.mode).order_by("id") if day.book.in_doubt else []
        parts |= {"in_doubt": [_order_row(order, day.now) for order in doubted], "latencies": day.latencies}
        parts |= {"outcomes": _outcomes(day.orders, _ORDER_OF_OUTCOMES, ORDER_TONES)}
    if may["signals"]:
        parts["signal_outcomes"] = _outcomes(day.signals, tuple(Signal.Status), SIGNAL_TONES)
    if may["decisions"]:
        parts["denied"] = day.denied
    return parts


def _limits_used(day: Day) -> dict[str, Any]:
    if not _may_view(day)["limits"]:
        return {}
    return {"gauges": [gauge(each) for each in day.used]}


def _lately(day: Day) -> dict[str, Any]:
    """Return the last orders and the last incidents."""
    may = _may_view(day)
    parts: dict[str, Any] = {}
    if may["orders"]:
        last = Order.objects.filter(mode=day.mode).order_by("-id")[:LAST_ORDERS]
        parts["last_orders"] = [_order_row(order, day.now) for order in last]
    if may["incidents"]:
        incidents = Incident.objects.filter(mode=day.mode)[:LAST_INCIDENTS]
        parts["incidents"] = [_incident_row(each, day.now) for each in incidents]
    return parts


def _tiles(day: Day, may: dict[str, bool]) -> list[Tile]:
    tiles: list[Tile] = []
    if may["positions"]:
        tiles += [_result_tile(day), _exposure_tile(day)]
    if may["orders"]:
        tiles += [_orders_tile(day), _doubt_tile(day)]
    if may["signals"]:
        tiles.append(_signals_tile(day))
    if may["decisions"]:
        tiles.append(_denied_tile(day))
    if may["orders"]:
        tiles.append(_latency_tile(day))
    return tiles


def _result_tile(day: Day) -> Tile:
    title, page, point = "Result of the day", "orders_position_changelist", day.point
    if point is None:
        below = "No executor has reckoned it today, or a price is not known."
        return Tile(title=title, value=NOTHING, below=below, page=page)
    below = (
        f"realised {_signed(point.realised)} · unrealised {_signed(point.unrealised)} · charges {rupees(point.charges)}"
    )
    if (day.now - point.as_of).total_seconds() > POINT_OLD_AFTER_SECONDS:
        below = f"as of {timezone.localtime(point.as_of):%H:%M:%S}, {ago(point.as_of, day.now)} old · {below}"
        return Tile(title=title, value=_signed(point.result), below=below, tone=Tone.WARNING, page=page)
    tone = Tone.GOOD if point.result > 0 else Tone.BAD if point.result < 0 else Tone.PLAIN
    return Tile(title=title, value=_signed(point.result), below=below, tone=tone, page=page)


def _exposure_tile(day: Day) -> Tile:
    worths = [worth(line, day.limits) for _, line in day.book.lines]
    known = [each for each in worths if each is not None]
    count = f"{len(worths)} {'symbol' if len(worths) == 1 else 'symbols'}, working orders counted as filled"
    if len(known) < len(worths):
        below = f"{len(worths) - len(known)} of {len(worths)} have no price"
        return Tile(title="Exposure", value="not known", below=below, tone=Tone.WARNING)
    value = rupees(sum(known, Decimal(0)))
    return Tile(title="Exposure", value=value, below=count, page="orders_position_changelist")


def _orders_tile(day: Day) -> Tile:
    working = sum(day.orders.get(status, 0) for status in WORKING)
    filled, rejected = day.orders.get(OrderStatus.FILLED, 0), day.orders.get(OrderStatus.REJECTED, 0)
    below = f"{filled} filled · {working} working · {rejected} rejected"
    return Tile(title="Orders today", value=str(sum(day.orders.values())), below=below, page="orders_order_changelist")


def _doubt_tile(day: Day) -> Tile:
    count = day.book.in_doubt
    below = "nothing is opened until the broker's book explains it" if count else "every answer is known"
    tone, query = (Tone.LOUD, "?status__exact=IN_DOUBT") if count else (Tone.GOOD, "")
    page = "orders_order_changelist"
    return Tile(title="In doubt", value=str(count), below=below, tone=tone, page=page, query=query)


def _signals_tile(day: Day) -> Tile:
    approved, expired = day.signals.get(Signal.Status.APPROVED, 0), day.signals.get(Signal.Status.EXPIRED, 0)
    ignored, failed = day.signals.get(Signal.Status.IGNORED, 0), day.signals.get(Signal.Status.FAILED, 0)
    below = f"{approved} approved · {ignored} ignored · {expired} expired{f' · {failed} failed' if failed else ''}"
    tone = Tone.BAD if failed else Tone.PLAIN
    value = str(sum(day.signals.values()))
    return Tile(title="Signals today", value=value, below=below, tone=tone, page="orders_signal_changelist")


def _denied_tile(day: Day) -> Tile:
    count = sum(each.count for each in day.denied)
    below = f"most by: {day.denied[0].title}" if day.denied else "the risk desk refused nothing"
    tone, page = (Tone.WARNING if count else Tone.PLAIN), "orders_decision_changelist"
    return Tile(title="Denied today", value=str(count), below=below, tone=tone, page=page)


def _latency_tile(day: Day) -> Tile:
    whole = day.latencies[-1]
    if whole.p50 is None:
        return Tile(title="Signal → answered", value=NOTHING, below="no signal became an order today")
    below = f"p50; p95 {whole.p95} ms · p99 {whole.p99} ms"
    return Tile(title="Signal → answered", value=f"{whole.p50} ms", below=below)


def _outcomes(counts: dict[str, int], order: tuple[Any, ...], tones: Any) -> list[dict[str, Any]]:
    """Return each outcome that occurred with its share of all, in percent, for a bar."""
    most = max(counts.values(), default=0)
    return [
        {"badge": badge(status.label, *tones[status]), "tone": tones[status][0].value, "count": counts[status]}
        | {"percent": counts[status] * 100 // most}
        for status in order
        if counts.get(status)
    ]


def gauge(each: Used) -> dict[str, Any]:
    def said(amount: Decimal | int | None) -> str:
        if amount is None:
            return "not known"
        return rupees(amount) if isinstance(amount, Decimal) else str(amount)

    percent = each.percent
    tone = "plain" if percent is None else "bad" if percent > 90 else "warning" if percent > 70 else "good"
    unit = "" if each.control.unit == "INR" else each.control.unit
    limit = "not set" if each.limit is None else said(each.limit)
    return {
        "control": each.control,
        "what": each.what,
        "used": said(each.used),
        "limit": limit,
        "unit": unit,
        "percent": percent,
        "tone": tone,
        "name": each.name,
    }


def _order_row(order: Order, now: datetime) -> dict[str, Any]:
    local = timezone.localtime(order.created_at)
    at = f"{local:%H:%M:%S}" if order.created_at >= start_of_day(now) else moment(order.created_at)
    price = order.average_price or order.price
    return {
        "row": order,
        "at": at,
        "age": ago(order.created_at, now),
        "side": side_badge(order.side),
        "status": order_badge(order),
        "price": rupees(price) if price else "market",
    }


def _incident_row(incident: Incident, now: datetime) -> dict[str, Any]:
    tone, icon = STATUS_TONES[Incident.Status(incident.status)]
    return {
        "row": incident,
        "age": ago(incident.last_at, now),
        "status": badge(incident.get_status_display(), tone, icon),
        "needs": incident.status != Incident.Status.RESOLVED,
    }


def _signed(amount: Decimal) -> str:
    return f"+{rupees(amount)}" if amount > 0 else rupees(amount).replace("-", "−")
