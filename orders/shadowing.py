"""
What a day in the shadow would have brought: each decision, its order at the paper Kite, and the real market beside it.

Nothing here asks the broker but for the closing prices, once a day. The rest is rows: decisions, orders, fills, and the
quotes that were kept when each order left.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal

import structlog

from orders.broker.gateway import BrokerUnreachable, SessionRefused
from orders.broker.kite_rows import IST
from orders.broker.shadow import ShadowGateway
from orders.desk import Desk, told_of
from orders.models import Decision, EndOfDay, Order, ShadowQuote, Signal
from risk import limit_versions
from risk.engine.facts import Side
from risk.models import Mode

Key = tuple[str, str]  # exchange and symbol

PAISA = Decimal("0.01")
LOOK_EVERY = timedelta(seconds=30)
LINES_MAX = 2000  # decisions of one day that a page or a file lists

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One decision, and what became of it. Prices in INR a share, amounts in INR; None is not known, or is none."""

    decision: Decision
    signal: Signal | None
    order: Order | None
    side: str
    refused_by: tuple[str, ...]
    decided_at_price: Decimal | None
    market: ShadowQuote | None  # when the order left
    close: Decimal | None

    @property
    def filled_quantity(self) -> int:
        return self.order.filled_quantity if self.order else 0

    @property
    def filled_at(self) -> Decimal | None:
        return self.order.average_price if self.order and self.filled_quantity else None

    @property
    def slippage(self) -> Decimal | None:
        """What the fill cost more than the price that was decided on: below zero it was better."""
        if self.filled_at is None or self.decided_at_price is None:
            return None
        worse = self.filled_at - self.decided_at_price
        return (worse if self.side == Side.BUY else -worse) * self.filled_quantity

    @property
    def slippage_percent(self) -> Decimal | None:
        if self.slippage is None or not self.decided_at_price:
            return None
        return 100 * self.slippage / (self.decided_at_price * self.filled_quantity)

    @property
    def to_the_close(self) -> Decimal | None:
        """What the fill had gained by the close, charges not taken off."""
        if self.filled_at is None or self.close is None:
            return None
        gained = self.close - self.filled_at
        return (gained if self.side == Side.BUY else -gained) * self.filled_quantity


@dataclass(frozen=True, kw_only=True)
class ShadowDay:
    """One day: its lines, what happened to its signals, and what it would have brought."""

    day: date
    lines: list[Line]
    signals: dict[str, int]
    report: EndOfDay | None
    charges_percent: Decimal
    cut: int = 0  # decisions beyond those that are listed
    controls: dict[str, int] = field(default_factory=dict)

    @property
    def orders(self) -> int:
        return sum(line.order is not None for line in self.lines)

    @property
    def fills(self) -> int:
        return sum(line.filled_quantity > 0 for line in self.lines)

    @property
    def slippage(self) -> Decimal:
        return sum((line.slippage for line in self.lines if line.slippage is not None), Decimal(0))

    @property
    def charges(self) -> Decimal:
        """Estimated, as the day's loss reckons them: of what was bought and sold."""
        traded = sum((line.filled_at * line.filled_quantity for line in self.lines if line.filled_at), Decimal(0))
        return (traded * self.charges_percent / 100).quantize(PAISA)

    @property
    def to_the_close(self) -> Decimal | None:
        """What the day's fills had gained by the close, charges taken off; None while one of them has no close."""
        gained = [line.to_the_close for line in self.lines if line.filled_quantity]
        known = [each for each in gained if each is not None]
        return sum(known, Decimal(0)) - self.charges if len(known) == len(gained) else None


def days() -> list[date]:
    """Return the days in the shadow that decided anything, the newest first."""
    decided = Decision.objects.filter(mode=Mode.SHADOW).order_by()
    return [moment.date() for moment in decided.datetimes("at", "day", order="DESC", tzinfo=IST)]


def shadow_day(day: date, *, now: datetime) -> ShadowDay:
    """Return what the day would have brought."""
    start = datetime.combine(day, time.min, tzinfo=IST)
    within = {"at__gte": start, "at__lt": start + timedelta(days=1)}
    decided = Decision.objects.filter(mode=Mode.SHADOW, **within).select_related("signal").order_by("id")
    listed = list(decided[:LINES_MAX])
    received = Signal.objects.filter(
        mode=Mode.SHADOW, received_at__gte=start, received_at__lt=start + timedelta(days=1)
    )
    statuses = list(received.values_list("status", flat=True))
    lines = list(_lines(day, listed))
    refusals = [code for line in lines for code in line.refused_by]
    return ShadowDay(
        day=day,
        lines=lines,
        signals={status: statuses.count(status) for status in sorted(set(statuses))},
        report=EndOfDay.objects.filter(mode=Mode.SHADOW, trading_date=day).first(),
        charges_percent=limit_versions.in_force(now=now).charges_percent,
        cut=decided.count() - len(listed),
        controls={code: refusals.count(code) for code in sorted(set(refusals))},
    )


def _lines(day: date, decisions: Iterable[Decision]) -> Iterable[Line]:
    decisions = list(decisions)
    of_decision = {order.decision_id: order for order in Order.objects.filter(decision__in=decisions)}
    quotes = ShadowQuote.objects.filter(trading_date=day)
    left = {quote.client_order_id: quote for quote in quotes.filter(moment=ShadowQuote.Moment.ORDER)}
    closes = {(each.exchange, each.symbol): each.last_price for each in quotes.filter(moment=ShadowQuote.Moment.CLOSE)}
    for decision in decisions:
        order = of_decision.get(decision.pk)
        yield Line(
            decision=decision,
            signal=decision.signal,
            order=order,
            side=str((decision.facts.get("proposed") or {}).get("action") or ""),
            refused_by=tuple(each["control"] for each in decision.verdicts if not each["passed"]),
            decided_at_price=_price(decision),
            market=left.get(order.client_order_id or "") if order else None,
            close=closes.get((decision.exchange, decision.symbol)),
        )


def _price(decision: Decision) -> Decimal | None:
    """Return the last price that the decision went by."""
    quote = (decision.facts.get("portfolio") or {}).get("quote") or {}
    return Decimal(quote["price"]) if quote.get("price") else None


class Closes:
    """Keeps each day's closing prices, looking twice a minute. For the leading executor."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._looked_at: datetime | None = None

    def look(self) -> None:
        now = self._desk.clock()
        if self._looked_at is None or not self._looked_at <= now < self._looked_at + LOOK_EVERY:
            self._looked_at = now
            keep_closes(self._desk)


def keep_closes(desk: Desk) -> int:
    """
    Keep the real closing prices of what the shadow decided on, once the day has its report. Return how many were kept.

    What cannot be read now is asked for again with the next reading of the book.
    """
    gateway, today = desk.gateway, desk.today()
    if desk.mode != Mode.SHADOW or not EndOfDay.objects.filter(mode=desk.mode, trading_date=today).exists():
        return 0
    lacking = _lacking_a_close(today)
    if not lacking:
        return 0
    assert isinstance(gateway, ShadowGateway), "the settings wire a shadow"
    try:
        depths = gateway.depths(sorted(lacking))
    except (BrokerUnreachable, SessionRefused) as trouble:
        log.warning("shadow.closes_not_read", reason=str(trouble))
        return 0
    rows = [
        ShadowQuote(
            moment=ShadowQuote.Moment.CLOSE,
            exchange=exchange,
            symbol=symbol,
            trading_date=today,
            at=desk.clock(),
            **told_of(depth),
        )
        for (exchange, symbol), depth in depths.items()
    ]
    ShadowQuote.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)


def _lacking_a_close(today: date) -> set[Key]:
    start = datetime.combine(today, time.min, tzinfo=IST)
    decided = Decision.objects.filter(mode=Mode.SHADOW, at__gte=start).order_by()
    known = ShadowQuote.objects.filter(trading_date=today, moment=ShadowQuote.Moment.CLOSE)
    wanted = set(decided.values_list("exchange", "symbol").distinct())
    return wanted - set(known.values_list("exchange", "symbol"))


def day_of(text: str) -> date | None:
    """Return the date that stands in an address; None for what is none."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
