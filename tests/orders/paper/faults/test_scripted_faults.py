"""Which of many requests are struck, and sequences of faults: as JSON, as words of the command, and at the start."""

from __future__ import annotations

import pytest
import requests
from django.core.management import CommandError
from kiteconnect.exceptions import InputException, KiteException, NetworkException

from orders.paper.faults.queue import drawn

from .conftest import word


def outcome(act) -> str:
    """Return in one word what the client got."""
    try:
        act()
    except KiteException as error:
        return f"{error.code}"
    except requests.ConnectionError:
        return "dropped"
    return "ok"


def outcomes(act, how_many: int) -> list[str]:
    return [outcome(act) for _ in range(how_many)]


def tags(kite) -> list[str]:
    return [row["tag"] for row in kite.orders()]


THIRD_PLACE = {"route": "place", "do": "drop_after", "skip": 2}
LATER_429 = {"route": "place", "do": "error_429_after", "hide_seconds": 5}


def test_the_third_place_is_accepted_and_its_connection_dropped(ask, kite, order):
    ask(THIRD_PLACE)

    got = [outcome(lambda tag=tag: kite.place_order(**order(tag=tag))) for tag in ("one", "two", "three", "four")]

    assert got == ["ok", "ok", "dropped", "ok"]
    assert tags(kite) == ["one", "two", "three", "four"]


def test_it_answers_429_places_it_anyway_and_shows_it_after_five_seconds(ask, paper_clock, kite, paper, order):
    ask(LATER_429)

    with pytest.raises(NetworkException, match="Too many requests"):
        kite.place_order(**order(tag="hidden"))

    (accepted,) = paper.accepted()
    paper_clock.pass_on(4.999)
    assert tags(kite) == []
    with pytest.raises(KiteException, match="order_id"):
        kite.order_history(accepted)
    paper_clock.pass_on(0.001)
    assert tags(kite) == ["hidden"]
    assert kite.order_history(accepted)[-1]["status"] == "OPEN"


def test_the_trades_of_a_hidden_order_are_hidden_with_it(ask, paper_clock, kite, market_order):
    ask({"route": "place", "do": "hide", "seconds": 5})
    order_id = kite.place_order(**market_order())
    assert kite.orders() == kite.trades() == []

    paper_clock.pass_on(5)

    assert len(kite.trades()) == len(kite.order_trades(order_id)) == 1


def test_an_order_that_is_stuck_can_be_neither_changed_nor_cancelled(ask, paper_clock, kite, order):
    ask({"route": "place", "do": "error_503_after", "stuck_seconds": 90, "reject_seconds": 91})
    with pytest.raises(NetworkException):
        kite.place_order(**order())
    (row,) = kite.orders()
    for change in (kite.cancel_order, kite.modify_order):
        with pytest.raises(InputException, match="being processed"):
            change("regular", row["order_id"])

    paper_clock.pass_on(91)

    assert [step["status"] for step in kite.order_history(row["order_id"])][-1] == "REJECTED"


def test_a_script_strikes_in_its_order_each_as_often_as_told(ask, kite, order):
    ask(
        {"route": "place", "do": "error_503", "times": 2},
        {"route": "any", "do": "error_504"},
        {"route": "place", "do": "drop_after", "skip": 4},
    )

    assert outcomes(lambda: kite.place_order(**order()), 6) == ["503", "503", "504", "ok", "dropped", "ok"]
    assert len(kite.orders()) == 3


def test_what_happens_to_an_order_passes_over_requests_that_place_none(ask, paper_clock, kite, order):
    ask({"route": "any", "do": "hide", "seconds": 5, "skip": 1})
    kite.profile()
    kite.place_order(**order(tag="shown"))
    kite.profile()
    kite.place_order(**order(tag="hidden"))
    assert tags(kite) == ["shown"]

    paper_clock.pass_on(5)

    assert tags(kite) == ["shown", "hidden"]


def test_a_script_with_one_fault_that_makes_no_sense_is_refused_whole(ask, paper):
    with pytest.raises((requests.HTTPError, CommandError)):
        ask(THIRD_PLACE, {"route": "place", "do": "hide"})

    assert paper.control("GET", "faults")["data"] == []


def test_skip_and_times_hold_at_their_limits(ask, kite):
    ask({"route": "orders", "do": "error_503", "skip": 2, "times": 3})

    assert outcomes(kite.orders, 7) == ["ok"] * 2 + ["503"] * 3 + ["ok"] * 2


@pytest.mark.parametrize("seed", [7, 8])
def test_a_seed_strikes_the_same_requests_every_time(ask, kite, paper, seed):
    fault = {"route": "orders", "do": "error_503", "probability": 0.4, "seed": seed, "times": 1000}
    expected = ["503" if drawn(seed, number) < 0.4 else "ok" for number in range(1, 41)]

    for _ in range(2):
        ask(fault)
        assert outcomes(kite.orders, 40) == expected
        paper.control("DELETE", "faults")


def test_another_seed_strikes_others():
    strikes = [[drawn(seed, number) < 0.4 for number in range(1, 41)] for seed in (7, 8)]

    assert strikes[0] != strikes[1]
    assert all(10 <= sum(row) <= 22 for row in strikes)


def test_a_probability_counts_from_the_first_request_that_may_be_struck(ask, kite):
    """Skipped ones use up their numbers, so that a request's fate does not depend on how many are skipped."""
    ask({"route": "orders", "do": "error_503", "probability": 0.4, "seed": 7, "skip": 5, "times": 2})
    likely = [number for number in range(6, 41) if drawn(7, number) < 0.4][:2]

    got = outcomes(kite.orders, 40)

    assert [number for number, one in enumerate(got, start=1) if one == "503"] == likely


def test_a_script_of_the_start_does_the_same(start_paper, order):
    paper = start_paper("--fault", word(LATER_429), "--fault", word(THIRD_PLACE | {"skip": 1}))
    kite = paper.kite()
    paper.control("POST", "clock", {"at": "2026-11-26T11:00:00+05:30", "speed": 0})

    got = [outcome(lambda tag=tag: kite.place_order(**order(tag=tag))) for tag in ("one", "two", "three")]

    assert got == ["429", "dropped", "ok"]
    assert tags(kite) == ["two", "three"]
    paper.control("POST", "clock", {"at": "2026-11-26T11:00:05+05:30", "speed": 0})
    assert tags(kite) == ["one", "two", "three"]
