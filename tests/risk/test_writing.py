"""What is written by kept statements is what `save` and `update` would have written, value for value."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pgtrigger
import pytest
from django.db import DataError, IntegrityError, ProgrammingError, connection, transaction
from django.test.utils import CaptureQueriesContext

from orders.models import Decision, Order, OrderEvent, Signal
from risk.audit.who import acting
from risk.models import AuditEntry
from risk.writing import Change, insert, insert_chain, update, update_and_tell

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 24, 6, 30, 0, 123456, tzinfo=UTC)
FACTS = {"shape": 1, "of": {"price": "1405.0500", "text": "a ' quote, 100 %s and é"}, "list": [1, None, True]}


def a_decision(**more):
    known = {"mode": "PAPER", "at": NOW, "outcome": "APPROVED", "exchange": "NSE", "symbol": "INFY"}
    verdicts = [{"control": "HOLD_SIGNAL", "passed": False}, {"control": "CMS_SCORE_TOO_WEAK", "passed": True}]
    return Decision(**known | {"facts": FACTS, "verdicts": verdicts, "limits_version": 1, "control_version": 1} | more)


def an_order(number=1, **more):
    known = {
        "mode": "PAPER",
        "client_order_id": f"TEST{number}",
        "origin": "MANUAL",
        "exchange": "NSE",
        "symbol": "INFY",
        "side": "BUY",
        "product": "CNC",
        "order_type": "LIMIT",
        "quantity": 3,
        "price": Decimal("1405.05"),
        "trading_date": NOW.date(),
        "created_at": NOW,
    }
    return Order(**known | more)


def a_signal(**more):
    known = {"mode": "PAPER", "signal_id": "s-1", "source": "CHANNEL", "raw": b"{}", "received_at": NOW}
    return Signal.objects.create(**known | {"status": "RECEIVED"} | more)


def columns(row):
    """Return what the database has of a row, but for its id."""
    return {name: value for name, value in type(row).objects.filter(pk=row.pk).values()[0].items() if name != "id"}


@pytest.mark.parametrize(
    "make",
    [
        a_decision,
        lambda: a_decision(actor="priya", reason="a '%' and a ␀"),
        an_order,
        lambda: an_order(price=None, order_type="MARKET", is_exit=True, submitted_at=NOW),
        lambda: Signal(
            mode="PAPER", signal_id="s", digest="d", source="STREAM", raw=b"\x00\xff%s", received_at=NOW, seq=2**40
        ),
    ],
)
def test_an_inserted_row_is_what_save_would_have_written(make):
    inserted = insert(make())
    written = columns(inserted)
    with pgtrigger.ignore():
        type(inserted).objects.filter(pk=inserted.pk).delete()
    saved = make()
    saved.save()

    assert written == columns(saved)
    assert (inserted.pk > 0, inserted._state.adding, inserted._state.db) == (True, False, "default")


def test_a_column_that_the_database_fills_is_filled():
    assert Decision.objects.get(pk=insert(a_decision()).pk).limited_by == ["HOLD_SIGNAL"]


def test_an_insert_that_breaks_a_constraint_is_refused():
    insert(an_order())

    with pytest.raises(IntegrityError), transaction.atomic():
        insert(an_order())
    with pytest.raises(IntegrityError), transaction.atomic():
        insert(an_order(2, quantity=0))


def test_what_is_too_long_for_its_column_is_refused_and_not_cut():
    with pytest.raises(DataError), transaction.atomic():
        insert(an_order(symbol="X" * 41))
    order = insert(an_order())
    with pytest.raises(DataError), transaction.atomic():
        update_and_tell(order, {"status": "OPEN"}, an_event(order, actor="x" * 151), where={"status": "PENDING"})


def an_event(order, **more):
    return OrderEvent(
        order=order, **{"at": NOW, "actor": "executor", "before": "PENDING", "after": "SUBMITTING"} | more
    )


def test_a_change_and_its_event_are_one_statement():
    order = insert(an_order())
    changes = {"status": "SUBMITTING", "submitted_at": NOW, "sender": "here"}

    with CaptureQueriesContext(connection) as seen:
        assert update_and_tell(order, changes, an_event(order, note="sending"), where={"status": "PENDING"})

    assert len(seen) == 1
    assert (order.status, order.submitted_at, order.sender) == ("SUBMITTING", NOW, "here")
    assert vars(Order.objects.get(pk=order.pk)) | {"_state": None} == vars(order) | {"_state": None}
    assert [(e.order_id, e.at, e.actor, e.before, e.after, e.note) for e in order.events.all()] == [
        (order.pk, NOW, "executor", "PENDING", "SUBMITTING", "sending")
    ]


def test_an_order_its_decision_its_event_and_the_end_of_its_signal_are_one_statement():
    order, signal, decision = an_order(), a_signal(), a_decision()
    event = an_event(None, before="PENDING", after="PENDING", note="written down")
    approved = Change(signal, {"status": "APPROVED", "reason": "3 shares"}, where={"status": "RECEIVED"})

    with CaptureQueriesContext(connection) as seen:
        assert insert_chain((decision, ""), (order, "decision"), (event, "order"), change=approved)

    assert len(seen) == 1
    kept = Order.objects.get(client_order_id="TEST1")
    assert (kept.pk, kept.decision_id) == (order.pk, decision.pk)
    assert order.decision_id == decision.pk == Decision.objects.get().pk
    assert [(e.pk, e.order_id, e.before, e.note) for e in OrderEvent.objects.all()] == [
        (event.pk, order.pk, "PENDING", "written down")
    ]
    assert (signal.status, signal.reason) == ("APPROVED", "3 shares")
    assert Signal.objects.values_list("status", "reason").get() == ("APPROVED", "3 shares")
    other = insert(an_order(2))
    assert columns(other) | {"client_order_id": "", "decision_id": 0} == columns(order) | {
        "client_order_id": "",
        "decision_id": 0,
    }


def test_rows_are_written_also_where_the_change_beside_them_finds_another_row_than_expected():
    order, signal = an_order(), a_signal(status="EXPIRED")
    approved = Change(signal, {"status": "APPROVED"}, where={"status": "RECEIVED"})

    assert not insert_chain((a_decision(), ""), (order, "decision"), change=approved)

    assert Order.objects.get().pk == order.pk
    assert signal.status == Signal.objects.get().status == "EXPIRED"


def test_of_a_row_that_is_not_as_expected_nothing_is_changed_and_nothing_told():
    order = insert(an_order())
    Order.objects.filter(pk=order.pk).update(status="WITHDRAWN")

    assert not update_and_tell(order, {"status": "SUBMITTING"}, an_event(order), where={"status": "PENDING"})

    assert Order.objects.get(pk=order.pk).status == "WITHDRAWN"
    assert not order.events.exists()
    assert order.status == "PENDING"  # as it was: whoever asks reads it again


def test_no_other_row_is_changed():
    order, other = insert(an_order()), insert(an_order(2))

    update_and_tell(order, {"status": "SUBMITTING"}, an_event(order), where={"status": "PENDING"})
    update(order, {"status": "OPEN"}, where={"status": "SUBMITTING"})

    assert Order.objects.get(pk=other.pk).status == "PENDING"
    assert not other.events.exists()


def test_what_others_changed_meanwhile_is_taken_over():
    order = insert(an_order())
    Order.objects.filter(pk=order.pk).update(cancel_reason="somebody's", cancel_requested_at=NOW)

    update_and_tell(order, {"status": "SUBMITTING"}, an_event(order), where={"status": "PENDING"})

    assert (order.cancel_reason, order.cancel_requested_at) == ("somebody's", NOW)


def test_what_a_row_refers_to_is_kept_while_it_is_that():
    decision, other = insert(a_decision()), insert(a_decision())
    order = insert(an_order(decision=decision))

    update_and_tell(order, {"status": "SUBMITTING"}, an_event(order), where={"status": "PENDING"})
    assert order.decision is decision

    Order.objects.filter(pk=order.pk).update(decision=other)
    update_and_tell(order, {"status": "OPEN"}, an_event(order), where={"status": "SUBMITTING"})
    assert order.decision == other


def test_update_changes_what_is_as_expected_and_says_whether():
    order = insert(an_order())
    later = NOW + timedelta(seconds=1)

    assert update(order, {"status": "OPEN", "book_as_of": later}, where={"status": "PENDING", "symbol": "INFY"})
    assert not update(order, {"status": "FILLED"}, where={"status": "PENDING"})

    kept = Order.objects.get(pk=order.pk)
    assert (kept.status, kept.book_as_of, order.status, order.book_as_of) == ("OPEN", later, "OPEN", later)


def test_the_trail_names_who_wrote_by_a_kept_statement():
    with acting("executor: worker"):
        order = insert(an_order())
        update_and_tell(order, {"status": "SUBMITTING"}, an_event(order), where={"status": "PENDING"})

    entries = AuditEntry.objects.filter(table_name="orders_order", row_pk=f"{order.pk}").order_by("pk")
    assert [(entry.operation, entry.actor) for entry in entries] == [
        ("INSERT", "executor: worker"),
        ("UPDATE", "executor: worker"),
    ]


def test_an_event_is_still_append_only():
    order = insert(an_order())
    event = insert(an_event(order))

    with pytest.raises(ProgrammingError, match="Cannot update"), transaction.atomic():
        update(event, {"note": "another"}, where={})
