"""What today brought, as queries over the ledger: orders and signals by outcome, what was denied and why, how fast."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models import Count, F, Func, TextField, Value

from orders.desk import start_of_day, trading_date
from orders.models import Decision, Order, Signal
from risk.engine.rules import CATALOGUE, Outcome

LATENCIES_OF = 200  # the newest orders of a signal


@dataclass(frozen=True, kw_only=True)
class Denied:
    """How often a control was the first to refuse today. `title` is its code for one that exists no more."""

    code: str
    title: str
    count: int


@dataclass(frozen=True, kw_only=True)
class Decided:
    """How many of today's signals there are of each status, and the controls that refused."""

    signals: dict[str, int]
    denied: list[Denied]


@dataclass(frozen=True, kw_only=True)
class Percentiles:
    """Of one leg of the way from a signal to the broker, in milliseconds; None where nothing went it."""

    leg: str
    p50: int | None
    p95: int | None
    p99: int | None

    @property
    def all(self) -> tuple[int | None, ...]:
        return (self.p50, self.p95, self.p99)


def orders_by_status(mode: str, now: datetime) -> dict[str, int]:
    """Count our own orders of this Mumbai date by their status."""
    orders = Order.objects.ours(mode).filter(trading_date=trading_date(now)).order_by()
    return dict(orders.values_list("status").annotate(count=Count("pk")))


def decided(mode: str, now: datetime) -> Decided:
    """
    Return what became of the signals received since midnight in Mumbai, and which controls refused since.

    One query for both. An order counts for the first control that said no, the busiest of them first.
    """
    received = Signal.objects.filter(mode=mode, received_at__gte=start_of_day(now)).order_by()
    denied = Decision.objects.filter(mode=mode, at__gte=start_of_day(now), outcome=Outcome.DENIED).order_by()
    code = Func(F("reason"), Value(":"), Value(1), function="split_part", output_field=TextField())
    signals, controls = (
        rows.values_list(Value(kind, output_field=TextField()), word).annotate(count=Count("pk"))
        for kind, rows, word in (("signal", received, "status"), ("control", denied.annotate(code=code), "code"))
    )
    counts: dict[str, dict[str, int]] = {"signal": {}, "control": {}}
    for kind, word, count in signals.union(controls, all=True):
        counts[kind][word] = count
    refused = [
        Denied(code=code, title=CATALOGUE[code].title if code in CATALOGUE else code, count=count)
        for code, count in counts["control"].items()
    ]
    return Decided(signals=counts["signal"], denied=sorted(refused, key=lambda each: (-each.count, each.title)))


def latencies(mode: str, now: datetime) -> list[Percentiles]:
    """Return how long today's newest automatic orders took from the signal's arrival to their sending, and so on."""
    with connection.cursor() as cursor:
        cursor.execute(_LATENCIES, {"mode": mode, "day": trading_date(now), "newest": LATENCIES_OF})
        row = cursor.fetchone()
    assert row is not None, "an aggregate has a row"
    legs = ("Signal → sent", "Sent → answered", "Signal → answered")
    return [
        Percentiles(
            leg=leg, **{name: None if took is None else took[at] for at, name in enumerate(("p50", "p95", "p99"))}
        )
        for leg, took in zip(legs, row, strict=True)
    ]


# The broker's answer is what ended SUBMITTING. Clocks of two machines may be apart: nothing took less than no time.
_MILLISECONDS = (
    "percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP"
    " (ORDER BY greatest(0, round(extract(epoch FROM {until} - {since}) * 1000))::int)"
)
_LATENCIES = (
    f"SELECT {_MILLISECONDS.format(since='received_at', until='submitted_at')},"  # noqa: S608 - of constants
    f" {_MILLISECONDS.format(since='submitted_at', until='answered_at')},"
    f" {_MILLISECONDS.format(since='received_at', until='answered_at')}"
    " FROM (SELECT s.received_at, o.submitted_at,"
    " (SELECT min(e.at) FROM orders_orderevent e"
    " WHERE e.order_id = o.id AND e.before = 'SUBMITTING' AND e.after <> 'SUBMITTING') AS answered_at"
    " FROM orders_order o JOIN orders_signal s ON s.id = o.signal_id"
    " WHERE o.mode = %(mode)s AND o.trading_date = %(day)s AND o.submitted_at IS NOT NULL"
    " ORDER BY o.id DESC LIMIT %(newest)s) AS newest"
)
