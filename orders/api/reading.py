"""Reading: the lists, newest first and page by page, and one of each."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router

from orders.api.bearer import BearerToken
from orders.api.problems import Problem
from orders.api.schemas import (
    DecisionFilters,
    DecisionOut,
    Decisions,
    LimitsOut,
    OrderFilters,
    Orders,
    OrderStory,
    Paging,
    PositionFilters,
    Positions,
)
from orders.models import Decision, Order, Position
from risk import limit_versions

router = Router()
ID_MAX = 2**63 - 1


@router.get("/orders", response=Orders, auth=BearerToken("orders:read"), tags=["Orders"])
def list_orders(request: HttpRequest, filters: Query[OrderFilters]) -> Any:
    """Return orders, newest first."""
    return page(request, narrowed(orders(), filters, signal_id="signal__signal_id"), filters)


@router.get("/orders/{order_id}", response=OrderStory, auth=BearerToken("orders:read"), tags=["Orders"])
def read_order(request: HttpRequest, order_id: str) -> Any:
    """Return one order with its events and fills, by our id or the broker's."""
    return named(order_id)


@router.get("/positions", response=Positions, auth=BearerToken("positions:read"), tags=["Positions"])
def list_positions(request: HttpRequest, filters: Query[PositionFilters]) -> Any:
    """Return what our own fills hold, beside what the broker told last."""
    rows = Position.objects.all() if filters.every else Position.objects.exclude(quantity=0)
    return page(request, narrowed(rows, filters, every=None), filters)


@router.get("/decisions", response=Decisions, auth=BearerToken("decisions:read"), tags=["Decisions"])
def list_decisions(request: HttpRequest, filters: Query[DecisionFilters]) -> Any:
    """Return what the risk desk decided, newest first, with the verdict of every control."""
    return page(request, narrowed(_decisions(), filters, signal_id="signal__signal_id"), filters)


@router.get("/decisions/{decision_id}", response=DecisionOut, auth=BearerToken("decisions:read"), tags=["Decisions"])
def read_decision(request: HttpRequest, decision_id: int) -> Any:
    """Return one decision."""
    known = 0 < decision_id <= ID_MAX
    decision = _decisions().filter(pk=decision_id, mode=settings.TRADING_MODE).first() if known else None
    if decision is None:
        raise Problem(404, "not-found", f"there is no decision {decision_id}")
    return decision


@router.get("/limits", response=LimitsOut, auth=BearerToken("limits:read"), tags=["Limits"])
def read_limits(request: HttpRequest) -> Any:
    """Return the limits in force, and their version."""
    limits = limit_versions.in_force(now=timezone.now())
    return {"version": limits.version, "limits": {name: _plain(each) for name, each in limits.numbers().items()}}


def orders() -> QuerySet[Order]:
    return Order.objects.select_related("signal").defer("signal__raw")


def named(order_id: str) -> Order:
    """Return the order of this mode with our id or the broker's: of that, which may come again, the newest."""
    if not (order_id.isascii() and order_id.isalnum()):
        raise Problem(404, "not-found", "there is no order of that id")
    either = Q(client_order_id=order_id) | Q(broker_order_id=order_id)
    order = orders().filter(either, mode=settings.TRADING_MODE).order_by("-id").first()
    if order is None:
        raise Problem(404, "not-found", f"there is no order {order_id[:40]}")
    return order


def page(request: HttpRequest, rows: QuerySet[Any], asked: Paging) -> dict[str, Any]:
    """
    Return a page of this mode's rows, and the cursor of the next one. What comes meanwhile shifts nothing.

    A filter that there is not is refused: who misspells one would take all rows for those that he asked for.
    """
    if unknown := set(request.GET) - asked.__class__.model_fields.keys():
        errors = [{"field": name, "detail": "there is no such filter"} for name in sorted(unknown)]
        raise Problem(422, "invalid", f"there is no filter {', '.join(sorted(unknown))}"[:1000], errors=errors)
    rows = rows.filter(mode=settings.TRADING_MODE).order_by("-id")
    if asked.cursor:
        rows = rows.filter(pk__lt=int(asked.cursor))
    found = list(rows[: asked.limit + 1])
    items = found[: asked.limit]
    return {"items": items, "next": str(items[-1].pk) if len(found) > len(items) else None}


def narrowed(rows: QuerySet[Any], asked: Paging, **columns: str | None) -> QuerySet[Any]:
    """Narrow the rows by what was asked for; `columns` says where one is not called as its column is."""
    wanted = asked.model_dump(exclude={"cursor", "limit"}, exclude_none=True)
    named = {columns.get(name, name): value for name, value in wanted.items()}
    return rows.filter(**{column: value for column, value in named.items() if column is not None})


def _decisions() -> QuerySet[Decision]:
    return Decision.objects.select_related("signal", "order").defer("signal__raw", "facts")


def _plain(limit: Any) -> Any:
    return format(limit, "f") if isinstance(limit, Decimal) else limit
