"""Which requests a fault strikes, as a client counts them, and how the journal tells whose they were."""

from __future__ import annotations

from contextlib import suppress
from io import StringIO

import pytest
import requests
from django.core.management import call_command
from kiteconnect.exceptions import InputException, KiteException, NetworkException

from orders.paper.exchange.journal import JournalUnwritable
from orders.paper.faults.faults import Fault, Route
from orders.paper.faults.queue import FaultQueue
from orders.paper.faults.specification import read_fault
from tests.orders.paper.paper_process import until


def place(client, order, tag: str) -> str | None:
    """Place an order, whatever is answered."""
    with suppress(KiteException, requests.RequestException):
        return client.place_order(**order(tag=tag))
    return None


def struck(paper) -> list[dict]:
    return paper.control("GET", "faults/struck")["data"]


def told(paper) -> list[tuple]:
    return [(row["fault"], row["tag"], row["order_ids"]) for row in struck(paper)]


def tags_struck(paper) -> list[str]:
    return [row["tag"] for row in struck(paper)]


# --- Counting --------------------------------------------------------------------------------------------------------


def test_the_third_place_is_the_third_although_the_first_was_refused_and_another_fault_struck_the_second(
    kite, paper, order
):
    paper.control("POST", "faults", [{"route": "place", "do": "drop_after", "skip": 2}])
    paper.fault("place", "error_503", skip=1)

    with pytest.raises(InputException):
        kite.place_order(**order(quantity=-1))
    with pytest.raises(NetworkException):
        kite.place_order(**order(tag="two"))
    with pytest.raises(requests.ConnectionError):
        kite.place_order(**order(tag="three"))

    assert [row["tag"] for row in kite.orders()] == ["three"]
    assert paper.control("GET", "faults")["data"] == []


def test_a_fault_counts_on_while_an_older_one_strikes():
    queue = FaultQueue([read_fault("place:error_503:times=2"), read_fault("place:token:skip=2")])

    strikes = [queue.meet(Route.PLACE) for _ in range(4)]

    assert [strike and str(strike.fault.do) for strike in strikes] == ["error_503", "error_503", "token", None]


def test_two_that_want_the_same_request_strike_it_and_the_next_the_older_one_first():
    queue = FaultQueue([read_fault("place:error_503:skip=1"), read_fault("place:token:skip=1")])

    strikes = [queue.meet(Route.PLACE) for _ in range(4)]

    assert [strike and str(strike.fault.do) for strike in strikes] == [None, "error_503", "token", None]


def test_requests_of_other_routes_are_not_counted(kite, paper, order):
    paper.fault("place", "error_503", skip=1)
    kite.place_order(**order())
    kite.orders()
    kite.profile()

    assert place(kite, order, "second") is None
    assert tags_struck(paper) == ["second"]


def test_a_request_without_a_session_is_not_counted(kite, paper, order):
    paper.fault("place", "error_503", skip=1)
    stranger = paper.kite()
    stranger.access_token = "stolen"

    assert [place(stranger, order, "stranger"), bool(place(kite, order, "one"))] == [None, True]

    assert place(kite, order, "two") is None
    assert tags_struck(paper) == ["two"]


def test_a_request_above_the_rate_limit_is_not_counted(start_paper, order):
    paper = start_paper("--clock", "2026-11-26T10:00:00+05:30", rate_limits=True)
    paper.control("POST", "clock", {"at": "2026-11-26T10:00:00+05:30", "speed": 0})
    kite = paper.kite()
    assert all(place(kite, order, f"{number}") for number in range(10))
    paper.fault("place", "refuse_input")

    with pytest.raises(NetworkException, match="Too many requests"):
        kite.place_order(**order(tag="too many"))
    assert struck(paper) == []

    paper.control("POST", "clock", {"at": "2026-11-26T10:00:01+05:30", "speed": 0})
    assert place(kite, order, "next second") is None
    assert tags_struck(paper) == ["next second"]


def test_the_help_says_how_a_third_place_is_counted(capsys):
    with pytest.raises(SystemExit):
        call_command("paper_fault", "--help")

    said = " ".join(capsys.readouterr().out.split())
    assert "the third request of the route since the fault was asked for" in said
    assert "also when another fault struck them" in said
    assert "without a session or above the rate limit" in said


# --- Whose request it was --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("do", ["drop_before", "error_503", "error_502_html", "token", "refuse_input"])
def test_a_strike_names_the_tag_of_a_request_that_came_to_nothing(kite, paper, order, do):
    paper.fault("place", do)

    assert place(kite, order, "lost") is None

    assert told(paper) == [(f"place:{do}", "lost", [])]


@pytest.mark.parametrize("do", ["drop_after", "error_504_after", "empty_success", "hold_fill"])
def test_a_strike_names_the_order_that_came_of_its_request(kite, paper, order, do):
    place(kite, order, "one")
    paper.fault("place", do)

    with suppress(KiteException, requests.RequestException, TypeError):
        kite.place_order(**order(tag="two"))

    assert told(paper) == [(f"place:{do}", "two", paper.accepted()[1:])]


def test_a_late_order_is_named_when_it_is_accepted(kite, paper, order):
    paper.fault("place", "late_after", seconds=0.1)
    assert place(kite, order, "late") is None
    assert told(paper)[0][1:] == ("late", [])

    accepted = until(paper.accepted)

    assert told(paper)[0][1:] == ("late", accepted)


def test_two_orders_without_tags_that_are_delayed_together_are_told_apart(kite, paper, order):
    """The first one is carried out last."""
    paper.fault("place", "late_after", seconds=0.3)
    paper.fault("place", "late_after", seconds=0.1)
    for quantity in (1, 2):
        with pytest.raises(NetworkException):
            kite.place_order(**order(quantity=quantity))

    until(lambda: len(paper.accepted()) == 2)

    quantities = {row["order_id"]: row["quantity"] for row in kite.orders()}
    assert [[quantities[one] for one in row["order_ids"]] for row in struck(paper)] == [[1], [2]]


def test_every_slice_names_the_strike(paper, order):
    paper.fault("place", "error_503_after")

    answer = paper.http.post(
        f"{paper.root}/orders/regular",
        data=order(quantity=1_000_000, autoslice="true", tag="sliced"),
        headers={"Authorization": "token paper:paper"},
        timeout=5,
    )

    assert answer.status_code == 503
    accepted = paper.accepted()
    assert len(accepted) > 1
    assert told(paper) == [("place:error_503_after", "sliced", accepted)]


def test_what_follows_of_itself_was_not_struck(kite, paper, market_order):
    """An iceberg's second leg is the broker's own doing."""
    paper.fault("place", "drop_after")
    with pytest.raises(requests.ConnectionError):
        kite.place_order(**market_order(variety="iceberg", iceberg_legs=2, iceberg_quantity=5, tag="ice"))

    assert len(paper.accepted()) == 2
    assert told(paper) == [("place:drop_after", "ice", paper.accepted()[:1])]


@pytest.mark.parametrize(
    ("route", "ask"),
    [
        ("cancel", lambda kite, order_id: kite.cancel_order("regular", order_id)),
        ("modify", lambda kite, order_id: kite.modify_order("regular", order_id, price=1480.0)),
        ("orders", lambda kite, order_id: kite.order_history(order_id)),
        ("trades", lambda kite, order_id: kite.order_trades(order_id)),
    ],
)
def test_a_strike_on_an_orders_own_request_names_the_order_and_its_tag(kite, paper, order, route, ask):
    order_id = kite.place_order(**order(tag="mine"))
    paper.fault(route, "error_503")

    with pytest.raises(NetworkException):
        ask(kite, order_id)

    assert told(paper) == [(f"{route}:error_503", "mine", [order_id])]


def test_a_strike_on_a_request_that_names_no_order_of_ours_names_none(kite, paper):
    paper.fault("any", "error_503", times=3)
    for ask in (kite.profile, kite.orders, lambda: kite.order_history("SIM")):
        with pytest.raises(NetworkException):
            ask()

    assert told(paper) == [("any:error_503:times=3", None, [])] * 3
    assert [(row["number"], row["route"]) for row in struck(paper)] == [(1, "profile"), (2, "orders"), (3, "orders")]


@pytest.mark.parametrize("body", [b"tag=%ff%fe", b"tag=" + b"x" * 1000, b""])
def test_a_request_that_cannot_be_read_is_struck_as_well(paper, body):
    paper.fault("place", "error_503")

    answer = paper.http.post(
        f"{paper.root}/orders/regular", data=body, headers={"Authorization": "token paper:paper"}, timeout=5
    )

    assert answer.status_code == 503
    assert len(struck(paper)) == 1
    assert len(tags_struck(paper)[0] or "") <= 20


def test_strikes_are_numbered_on_after_a_kill_and_after_a_reset(start_paper, order):
    paper = start_paper()
    paper.fault("place", "drop_after")
    place(paper.kite(), order, "before")
    accepted = paper.accepted()
    paper.kill()

    paper = start_paper("--fault", "place:error_503:times=2")
    place(paper.kite(), order, "after")
    assert [(row["strike"], row["tag"], row["order_ids"]) for row in struck(paper)] == [
        (1, "before", accepted),
        (2, "after", []),
    ]

    paper.reset()
    paper.fault("place", "error_503")
    place(paper.kite(), order, "anew")
    assert [(row["strike"], row["tag"]) for row in struck(paper)] == [(3, "anew")]


def test_the_command_lists_what_was_struck(kite, paper, order):
    paper.fault("place", "drop_after")
    place(kite, order, "lost")
    out = StringIO()

    call_command("paper_fault", "--struck", "--url", paper.root, stdout=out)

    (line,) = out.getvalue().splitlines()
    assert '"tag": "lost"' in line
    assert f'"order_ids": ["{paper.accepted()[0]}"]' in line


# --- A strike that cannot be written down ----------------------------------------------------------------------------


def full_disk(*_):
    raise JournalUnwritable("journal.jsonl cannot be written")


def test_a_strike_that_cannot_be_written_down_does_not_spend_the_fault():
    queue = FaultQueue([Fault(route="place", do="token")], full_disk)

    with pytest.raises(JournalUnwritable):
        queue.meet(Route.PLACE)

    assert [(row["seen"], row["struck"], row["left"]) for row in queue.describe()] == [(1, 0, 1)]


def test_on_the_socket_it_does_not_happen_and_is_said(caplog):
    queue = FaultQueue([Fault(route="updates", do="missing")], full_disk)

    assert queue.take(Route.UPDATES) is None

    assert [record.message for record in caplog.records] == [
        "A fault of the route updates did not strike: journal.jsonl cannot be written."
    ]
    assert len(queue.waiting) == 1
