"""The web process killed in the middle of a person's action: the executor ends what was begun, with one order."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal

import pytest

from orders import by_hand
from orders.deciding import ManualOrder
from orders.models import Fill, Flatten, Order, OrderModification, Position
from orders.reconciliation import reconcile
from risk.engine.facts import OrderType, Side
from risk.models import TradingControl
from tests.conftest import open_the_limits
from tests.executor_process import REPOSITORY, environment
from tests.orders.paper.paper_process import until
from tests.proofs import telling

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]

SENT = ["sent, answer not written", "answer being written", "answer written"]
UNSENT = ["deciding, not committed", "decided, not sent"]


@pytest.fixture
def staff(paper):
    def act(action: str, point: str = "") -> int:
        command = [sys.executable, "-m", "tests.faults.dying_staff", action, point]
        done = subprocess.run(command, cwd=REPOSITORY, env=environment(paper.root), capture_output=True, timeout=60)
        return done.returncode

    return act


def wish(limit: str) -> ManualOrder:
    return ManualOrder(
        token=f"earlier at {limit}",
        side=Side.BUY,
        exchange="NSE",
        symbol="RELIANCE",
        quantity=1,
        order_type=OrderType.LIMIT,
        limit_price=Decimal(limit),
        by="priya",
    )


@pytest.fixture
def place(desk):
    """Place an order by hand, one that rests or one that fills at once, and read the book."""
    open_the_limits()

    def make(limit: str) -> Order:
        order = by_hand.place(desk, wish(limit))
        reconcile(desk)
        return order

    return make


def finished() -> bool:
    return Order.objects.exists() and not Order.objects.unfinished("PAPER").exists()


def books_agree(paper) -> None:
    placed = [row["tag"] for row in paper.journal() if row["event"] == "accepted"]
    ours = Order.objects.exclude(broker_order_id="").values_list("client_order_id", flat=True)
    assert sorted(placed) == sorted(ours)
    assert len(placed) == len(set(placed))


@pytest.mark.parametrize("point", telling(SENT, "sent, answer not written"))
def test_killed_after_a_manual_order_was_sent_it_is_found_again(staff, start, desk, paper, point):
    assert staff("place", point) == -9

    start()

    until(finished, 40)
    assert Order.objects.get().status == "FILLED"
    assert Position.objects.get().quantity == 1
    assert staff("place") == 0  # the browser sends the form again
    books_agree(paper)
    assert len(paper.accepted()) == 1


@pytest.mark.parametrize("point", telling(UNSENT, "decided, not sent"))
def test_killed_before_a_manual_order_was_sent_it_is_sent_when_asked_again_or_never(staff, start, desk, paper, point):
    assert staff("place", point) == -9

    start()
    if point == "decided, not sent":
        until(finished, 40)
        assert Order.objects.get().status == "WITHDRAWN"
    assert staff("place") == 0

    until(finished, 40)
    books_agree(paper)
    assert len(paper.accepted()) == (0 if point == "decided, not sent" else 1)


def test_killed_after_it_said_it_was_sending_a_manual_order_is_in_doubt_and_never_sent(staff, start, desk, paper):
    assert staff("place", "submitting, not sent") == -9

    start(ABSENCE_WINDOW_SECONDS="3")

    until(lambda: Order.objects.filter(status="NOT_PLACED").exists(), 60)
    assert staff("place") == 0
    assert paper.accepted() == []


@pytest.mark.parametrize("point", telling(SENT, "answer being written"))
def test_killed_after_an_exit_was_sent_it_is_found_again_and_not_doubled(staff, start, place, paper, point):
    place("1405.00")
    assert staff("exit", point) == -9

    start()

    until(lambda: Position.objects.get().quantity == 0, 40)
    assert staff("exit") == 0
    books_agree(paper)
    assert len(paper.accepted()) == 2


@pytest.mark.parametrize("point", telling(["cancel wished, not sent", "cancel sent"], "cancel wished, not sent"))
def test_killed_after_a_cancel_was_wished_for_it_is_carried_out(staff, start, place, paper, point):
    place("1390.00")
    assert staff("cancel", point) == -9

    start()

    until(finished, 40)
    assert Order.objects.get().status == "CANCELLED"


@pytest.mark.parametrize(
    ("point", "state", "sent"),
    telling(
        [
            ("modification written, not sent", "WITHDRAWN", 0),
            ("modification claimed, not sent", "DID_NOT", 0),
            ("modification sent", "TOOK_EFFECT", 1),
        ],
        ("modification sent", "TOOK_EFFECT", 1),
    ),
)
def test_killed_while_an_order_was_modified_its_book_says_what_became_of_it_and_nothing_is_sent_again(
    staff, start, place, paper, point, state, sent
):
    place("1390.00")
    assert staff("modify", point) == -9

    start(ABSENCE_WINDOW_SECONDS="3")

    until(lambda: OrderModification.objects.filter(state=state).exists(), 60)
    assert staff("modify") == 0  # the browser sends the form again
    assert len([row for row in paper.journal() if row["event"] == "modified"]) == sent
    order = Order.objects.get()
    assert (order.status, order.quantity) == ("OPEN", 2 if sent else 1)


def test_killed_before_its_wish_was_committed_a_cancel_was_never_asked_for(staff, start, place, paper):
    place("1390.00")
    assert staff("cancel", "cancel wished, not committed") == -9

    order = Order.objects.get()
    assert (order.status, order.cancel_requested_at) == ("OPEN", None)
    assert staff("cancel") == 0
    start()
    until(finished, 40)


@pytest.mark.parametrize(
    "point",
    telling(["halted, no cancel wished", "cancel wished, not sent", "cancel sent"], "halted, no cancel wished"),
)
def test_killed_after_the_halt_every_unfinished_order_is_cancelled_all_the_same(staff, start, place, paper, point):
    place("1390.00")
    assert staff("halt", point) == -9
    assert TradingControl.objects.get(mode="PAPER").state == "HALTED"

    start()

    until(finished, 40)
    assert Order.objects.get().status == "CANCELLED"


def test_killed_before_the_halt_was_committed_nothing_is_halted_and_asking_again_does(staff, place, paper):
    place("1390.00")
    assert staff("halt", "halting, not committed") == -9
    assert TradingControl.objects.get(mode="PAPER").state == "ACTIVE"

    assert staff("halt") == 0

    assert TradingControl.objects.get(mode="PAPER").state == "HALTED"


@pytest.mark.parametrize(
    "point",
    telling(
        [
            "flatten written, no cancel sent",
            "flatten written, nothing sold",
            "deciding, not committed",
            "decided, not sent",
            "sent, answer not written",
        ],
        "flatten written, no cancel sent",
        "sent, answer not written",
    ),
)
def test_killed_anywhere_in_a_flatten_the_executor_gets_out_with_one_exit(staff, start, place, desk, paper, point):
    place("1405.00")
    held = Order.objects.get()
    resting = by_hand.place(desk, wish("1390.00")) if "cancel" in point else held
    assert staff("flatten", point) == -9
    assert TradingControl.objects.get(mode="PAPER").state == "REDUCE_ONLY"

    start()

    until(lambda: Flatten.objects.get().state == "FLAT", 60)
    resting.refresh_from_db()
    assert resting.status == ("CANCELLED" if "cancel" in point else "FILLED")
    assert Position.objects.get().quantity == 0
    sold = [row["quantity"] for row in paper.journal() if row["event"] == "accepted" and "SELL" in str(row)]
    assert sold == [1]
    books_agree(paper)


@pytest.mark.parametrize(("point", "fills"), telling([("marked, not committed", 0), ("marked", 1)], ("marked", 1)))
def test_killed_while_an_order_is_marked_as_filled_the_fill_is_there_whole_or_not_and_once(
    staff, place, desk, paper, point, fills
):
    order = place("1390.00")
    desk.gateway.cancel(order.broker_order_id)
    reconcile(desk)
    assert staff("mark", point) == -9
    assert Fill.objects.count() == fills

    assert staff("mark") == 0

    assert (Fill.objects.count(), Position.objects.get().quantity) == (1, 1)
