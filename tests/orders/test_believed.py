"""What the comparison is made with: read in a few statements, and the same as asked of each order by itself."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.db.models import Count, Exists, OuterRef, Q
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orders import believed
from orders.believed import Beliefs, _as_believed
from orders.broker.gateway import BrokerBook
from orders.comparison import Believed
from orders.lifecycle import TURNED_AWAY, UNFINISHED, OrderStatus
from orders.models import Fill, Order, OrderEvent, OrderModification
from orders.models.order import BORNE_OUT
from orders.tracker import Tracker

from .stand_ins import report_of
from .test_positions_compared import make_order
from .test_positions_exactly import taken_back

NOW = datetime(2026, 11, 23, 4, 30, tzinfo=UTC)
TODAY = NOW.date()


def book_of(*reports) -> BrokerBook:
    return BrokerBook(as_of=NOW, orders=tuple(reports), trades=())


def plainly(book: BrokerBook) -> list[Believed]:
    """All in one statement, each order asked for what stands beside it: the rule, slow."""
    named = Q(client_order_id__in=[report.tag for report in book.orders if report.tag])
    named |= Q(broker_order_id__in=[report.broker_order_id for report in book.orders])
    orders = Order.objects.filter(Q(trading_date=TODAY) | Q(status__in=UNFINISHED) | named, mode="PAPER")
    turned_away = Order.objects.not_borne_out("PAPER", TODAY).filter(pk=OuterRef("pk"))
    under_way = OrderModification.objects.unfinished("PAPER").filter(order=OuterRef("pk"))
    orders = orders.annotate(is_turned_away=Exists(turned_away), being_modified=Exists(under_way))
    orders = orders.annotate(broker_fills=Count("fills", filter=Q(fills__source="BROKER")))
    rows = orders.order_by("-id").values(*Believed._fields)
    return [Believed(**{**row, "client_order_id": row["client_order_id"] or ""}) for row in rows]


def modify(order: Order, state: str) -> None:
    from orders.models import Decision

    decision = Decision.objects.create(
        mode="PAPER", exchange="NSE", symbol="A", outcome="APPROVED", at=NOW, facts={}, verdicts=[],
        limits_version=1, control_version=1,
    )  # fmt: skip
    OrderModification.objects.create(
        order=order, decision=decision, token=f"m{order.pk}", asked_by="tara", reason="x", quantity_before=10,
        price_before=1, quantity=5, price=1, state=state, written_at=NOW, sent_at=NOW,
    )  # fmt: skip


ORDERS = st.lists(
    st.fixed_dictionaries(
        {
            "status": st.sampled_from(sorted(OrderStatus.values)),
            "days": st.sampled_from([0, 0, -1, -2]),
            "fills": st.integers(0, 2),
            "hand": st.booleans(),
            "bound": st.booleans(),
            "ours": st.booleans(),
            "turned_away": st.sampled_from(["", "", "told", "borne out"]),
            "named": st.sampled_from(["", "tag", "id", "both"]),
            "mode": st.sampled_from(["PAPER", "PAPER", "PAPER", "LIVE"]),
        }
    ),
    max_size=7,
)


def lay_out(number: int, drawn: dict) -> list:
    ours = {} if drawn["ours"] else {"origin": "EXTERNAL", "client_order_id": None}
    reason = f"{TURNED_AWAY}: 429" if drawn["turned_away"] else ""
    order = make_order(
        "A", **ours, status=drawn["status"], mode=drawn["mode"], trading_date=TODAY + timedelta(days=drawn["days"]),
        broker_order_id=f"SIM{number}" if drawn["bound"] else "", status_reason=reason,
    )  # fmt: skip
    for fill, source in enumerate(["BROKER"] * drawn["fills"] + ["HAND"] * drawn["hand"]):
        Fill.objects.create(
            order=order, mode=order.mode, exchange="NSE", broker_order_id=f"SIM{number}", trade_id=f"T{fill}",
            trading_date=TODAY, quantity=1, price=Decimal(1), filled_at=NOW, recorded_at=NOW, source=source,
        )  # fmt: skip
    if drawn["turned_away"] == "borne out":
        OrderEvent.objects.create(order=order, at=NOW, actor="x", before="REJECTED", after="REJECTED", note=BORNE_OUT)
    if not drawn["named"]:
        return []
    tag = order.client_order_id or "" if drawn["named"] in {"tag", "both"} else ""
    broker_order_id = f"SIM{number}" if drawn["named"] in {"id", "both"} else f"NEW{number}"
    return [report_of(order, "OPEN", tag=tag, broker_order_id=broker_order_id)]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=ORDERS)
def test_what_is_believed_is_what_is_said_of_each_order_by_itself(db, drawn):
    with taken_back():
        book = book_of(*(report for number, each in enumerate(drawn) for report in lay_out(number, each)))

        assert Beliefs().of("PAPER", book, TODAY) == plainly(book)


@pytest.mark.parametrize("state", ["WISHED", "SENDING", "ACCEPTED", "REFUSED", "WITHDRAWN", "TOOK_EFFECT"])
def test_a_modification_under_way_is_seen(db, state):
    order = make_order("A", status="OPEN", trading_date=TODAY)
    modify(order, state)

    (one,) = Beliefs().of("PAPER", book_of(), TODAY)

    assert one.being_modified == (state in {"WISHED", "SENDING", "ACCEPTED"})
    assert [one] == plainly(book_of())


CHANGES = {
    "another status": lambda order: Order.objects.filter(pk=order.pk).update(status="OPEN", broker_status="OPEN"),
    "the same again": lambda order: Order.objects.filter(pk=order.pk).update(status=order.status),
    "another price, and back": lambda order: [
        Order.objects.filter(pk=order.pk).update(price=price) for price in (Decimal(7), order.price)
    ],
    "a fill": lambda order: fill(order, "BROKER"),
    "a fill by hand": lambda order: fill(order, "HAND"),
    "a modification": lambda order: modify(order, "SENDING"),
    "an order": lambda order: make_order("A", status="OPEN", trading_date=TODAY),
    "of another day": lambda order: Order.objects.filter(pk=order.pk).update(trading_date=TODAY - timedelta(days=3)),
    "its end": lambda order: Order.objects.filter(pk=order.pk).update(status="FILLED", ended_at=NOW),
    "turned away": lambda order: Order.objects.filter(pk=order.pk).update(
        status="REJECTED", broker_order_id="", status_reason=f"{TURNED_AWAY}: 429"
    ),
    "nothing": lambda order: None,
}


def fill(order: Order, source: str) -> None:
    trade_id = str(Fill.objects.count())
    Fill.objects.create(
        order=order, mode=order.mode, exchange="NSE", broker_order_id=f"F{order.pk}", trade_id=trade_id,
        trading_date=TODAY, quantity=1, price=Decimal(1), filled_at=NOW, recorded_at=NOW, source=source,
    )  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    drawn=ORDERS,
    then=st.lists(st.tuples(st.sampled_from(sorted(CHANGES)), st.integers(0, 6)), min_size=1, max_size=6),
)
def test_what_is_remembered_is_what_would_be_read(db, drawn, then):
    beliefs = Beliefs()
    with taken_back():
        book = book_of(*(report for number, each in enumerate(drawn) for report in lay_out(number, each)))
        beliefs.of("PAPER", book, TODAY)
        orders = list(Order.objects.filter(mode="PAPER")) or [make_order("A", trading_date=TODAY)]
        done = set()
        for change, number in then:
            order = orders[number % len(orders)]
            if (change, order.pk) not in done or change not in {"a modification"}:  # one at a time
                done.add((change, order.pk))
                CHANGES[change](order)

            assert beliefs.of("PAPER", book, TODAY) == plainly(book)


def test_what_another_commits_is_seen_and_nothing_else_is_read_again(transactional_db, django_assert_num_queries):
    beliefs, book = Beliefs(), book_of()
    first, second = (make_order("A", status="OPEN", trading_date=TODAY) for _ in range(2))
    before = {each.pk: each for each in beliefs.of("PAPER", book, TODAY)}
    with django_assert_num_queries(3):
        beliefs.of("PAPER", book, TODAY)

    Order.objects.filter(pk=first.pk).update(filled_quantity=3)
    after = {each.pk: each for each in beliefs.of("PAPER", book, TODAY)}

    assert after[first.pk] == before[first.pk]._replace(filled_quantity=3)
    assert after[second.pk] is before[second.pk]


def test_a_tracker_remembers_as_long_as_its_line_to_the_database_lasts(desk, held, monkeypatch, transactional_db):
    """Another server may answer then, whose stamps say nothing of this one's."""
    tracker = Tracker(desk, ready=threading.Event(), busy_seconds=0)
    monkeypatch.setattr(tracker, "_wait", lambda: None)
    made: list[dict] = []

    def as_believed(rows):
        made.append(_as_believed(rows))
        return made[-1]

    monkeypatch.setattr("orders.believed._as_believed", as_believed)
    held(1)
    for _ in range(3):
        tracker.turn()
    made.clear()

    tracker.turn()
    assert not any(made)
    connection.close()  # by whomever, and whether or not the tracker tripped over it
    tracker.turn()
    assert any(made)


def test_an_order_that_got_its_id_while_the_book_was_compared_is_believed_once(db, monkeypatch):
    order = make_order("A", status="SUBMITTING", trading_date=TODAY, broker_order_id="")
    beside = believed._named_beside

    def bound_meanwhile(*told):
        Order.objects.filter(pk=order.pk).update(status="OPEN", broker_order_id="SIM1")
        return beside(*told)

    monkeypatch.setattr(believed, "_named_beside", bound_meanwhile)

    found = Beliefs().of("PAPER", book_of(report_of(order, "OPEN", tag="", broker_order_id="SIM1")), TODAY)

    assert [(each.pk, each.broker_order_id) for each in found] == [(order.pk, "SIM1")]


def test_it_asks_as_much_for_a_full_day_as_for_one_order(db, django_assert_max_num_queries):
    orders = [make_order("A", trading_date=TODAY) for _ in range(30)]
    old = make_order("A", trading_date=TODAY - timedelta(days=3))
    reports = [report_of(order, "COMPLETE") for order in orders]
    beliefs = Beliefs()

    with django_assert_max_num_queries(6):  # what stands beside those that were read is asked for after them
        beliefs.of("PAPER", book_of(*reports), TODAY)
    with django_assert_max_num_queries(6):
        found = beliefs.of("PAPER", book_of(*reports, report_of(old, "COMPLETE")), TODAY)

    assert old.pk in {each.pk for each in found}
