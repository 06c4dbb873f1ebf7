"""
A flatten where what is around it goes on: other people's words and orders, another day, answers that were not true.

The paper server's journal is the witness: nothing is sold twice, and what was pressed is carried out.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from orders import by_hand
from orders.broker.kite import KiteGateway
from orders.flattening import carry_on
from orders.models import Flatten, FlattenedPosition, Instrument, Position
from orders.reconciliation import reconcile
from risk import control as switch
from risk.engine.facts import Side

from .test_flattening import accepted, control, exits, press, turns
from .test_reconciliation import place_elsewhere

pytestmark = pytest.mark.usefixtures("noon")

D = Decimal


def press_and_wait(desk, paper):
    """Press flatten while the broker's positions cannot be read: it is under way, and has done nothing yet."""
    paper.fault("positions", "error_503", times=1000)
    wish = press(desk)
    paper.control("DELETE", "faults")
    assert (wish.state, exits()) == ("UNDER_WAY", [])
    return wish


def hide_an_exit(monkeypatch, hidden):
    """Let the broker's book come without the newest exit, as a list that is incomplete or has a row nobody can read."""
    real = KiteGateway.book

    def book(gateway, as_of):
        told, last = real(gateway, as_of), exits()[-1].client_order_id
        orders = () if hidden == "nothing" else tuple(each for each in told.orders if each.tag != last)
        bad = ("KeyError in a row",) if hidden == "unreadable" else ()
        return replace(told, orders=orders, unreadable=bad)

    monkeypatch.setattr(KiteGateway, "book", book)


# --- Pressed when another one is as good as over ----------------------------------------------------------------------


def test_pressed_on_another_day_than_one_that_nobody_ended_it_is_a_flatten_of_its_own(desk, held, clock, paper):
    held(3)
    yesterday = press_and_wait(desk, paper)
    clock.advance(days=1)
    reconcile(desk)

    today = press(desk, token="form-2", by="arun")
    turns(desk, clock)

    yesterday.refresh_from_db()
    assert (yesterday.state, today.pk != yesterday.pk) == ("INCOMPLETE", True)
    assert accepted(paper, "SELL") == [3]
    assert Flatten.objects.get(asked_by="arun").state == "FLAT"


@pytest.mark.parametrize("word", ["resume", "halt"])
def test_pressed_right_after_a_word_that_ends_the_one_before_it_is_one_of_its_own(desk, held, clock, paper, word):
    held(3)
    first = press_and_wait(desk, paper)
    more = {"version_shown": control().version} if word == "resume" else {}
    getattr(switch, word)("PAPER", by="asha", reason="all is well", now=desk.clock(), **more)

    press(desk, token="form-2", by="arun")
    turns(desk, clock)

    first.refresh_from_db()
    assert (first.state, first.ended_by) == ("ENDED", "asha")
    assert accepted(paper, "SELL") == [3]
    assert Flatten.objects.get(asked_by="arun").state == "FLAT"


# --- What is placed meanwhile -----------------------------------------------------------------------------------------


def test_a_sale_at_a_price_that_is_placed_meanwhile_does_not_hold_the_shares(desk, held, wish, clock, paper):
    held(3)
    press_and_wait(desk, paper)
    sale = by_hand.place(desk, wish(side=Side.SELL, quantity=3, limit_price=D("1450.00"), by="arun"))
    assert sale.status == "OPEN"

    turns(desk, clock, 6)

    sale.refresh_from_db()
    assert (sale.status, sale.cancel_requested_by) == ("CANCELLED", "priya")
    assert (Position.objects.get().quantity, Flatten.objects.get().state) == (0, "FLAT")


def test_a_buy_that_was_answered_429_and_works_is_waited_for(desk, wish, held, clock, paper):
    """Nothing of it is in our book when the button is pressed, a moment after the answer."""
    paper.fault("place", "error_429_after")
    buy = by_hand.place(desk, wish())
    assert buy.status == "REJECTED"

    press(desk)
    turns(desk, clock, 6)

    buy.refresh_from_db()
    assert (buy.status, Position.objects.get().quantity) == ("FILLED", 0)
    assert (accepted(paper, "SELL"), Flatten.objects.get().state) == ([1], "FLAT")


# --- A 429 that was not true ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", ["unreadable", "nothing"])
def test_a_book_that_cannot_prove_anything_lets_no_second_exit_go(desk, held, clock, paper, monkeypatch, hidden):
    held(3)
    paper.fault("place", "error_429_after", hold=1)
    press(desk)
    with monkeypatch.context() as broken:
        hide_an_exit(broken, hidden)
        turns(desk, clock, 8)

    assert accepted(paper, "SELL") == [3]
    paper.set_price("NSE:RELIANCE", "1400.00")
    turns(desk, clock, 8)
    assert sum(order.filled_quantity for order in exits()) == 3
    assert Position.objects.get().quantity == 0


@pytest.mark.parametrize("hidden", ["unreadable", "nothing"])
def test_a_book_that_is_never_complete_holds_an_exit_up_for_two_minutes_at_most(
    desk, held, clock, paper, monkeypatch, hidden
):
    """Getting out always works: what was to fill by then shows in the broker's position."""
    held(3)
    paper.fault("place", "error_429")
    press(desk)
    hide_an_exit(monkeypatch, hidden)
    turns(desk, clock, 4)
    assert len(exits()) == 1
    clock.advance(seconds=122)

    turns(desk, clock, 3)

    assert [order.status for order in exits()][:1] == ["REJECTED"]
    assert accepted(paper, "SELL") == [3]


def test_after_a_429_that_was_true_the_next_exit_goes(desk, held, clock, paper):
    held(3)
    paper.fault("place", "error_429")
    press(desk)

    turns(desk, clock, 6)

    assert [order.status for order in exits()] == ["REJECTED", "FILLED"]
    assert Flatten.objects.get().state == "FLAT"


# --- Products, and positions that turn --------------------------------------------------------------------------------


def test_each_product_of_a_symbol_is_closed_as_what_it_is(desk, held, wish, wired, clock, paper):
    held(3)
    rules = replace(desk.rules, product="MIS")
    by_hand.place(wired(desk, rules=rules), wish(quantity=2))
    reconcile(desk)
    assert sorted(Position.objects.values_list("product", "quantity")) == [("CNC", 3), ("MIS", 2)]

    press(desk)
    turns(desk, clock)

    sold = {product: sum(order.quantity for order in exits() if order.product == product) for product in ("CNC", "MIS")}
    assert sold == {"CNC": 3, "MIS": 2}  # in one exit each, or in two where the other's fill came in between
    assert not Position.objects.exclude(quantity=0).exists()
    assert Flatten.objects.get().state == "FLAT"


def test_shares_of_somebody_else_in_the_same_symbol_are_left(desk, held, clock, paper):
    held(3)
    place_elsewhere(paper, transaction_type="BUY", quantity=5, price=1405.0)

    press(desk)
    turns(desk, clock)

    assert accepted(paper, "SELL") == [3]
    assert Flatten.objects.get().state == "FLAT"
    assert desk.gateway.positions()["NSE", "RELIANCE"] == 5


def test_a_position_that_flips_meanwhile_is_not_bought_back_for_nothing(desk, held, wish, clock, paper):
    """A person marks a sale of the morning as filled that never was: our book is short then, the broker is flat."""
    held(3)
    sale = by_hand.place(desk, wish(side=Side.SELL, quantity=3, limit_price=D("1450.00")))
    press(desk)
    turns(desk, clock, 2)
    sale.refresh_from_db()
    fill = by_hand.HandFill(token="t", quantity=3, price=D(1450), by="arun", reason="the note says so")

    by_hand.mark_filled(desk, sale, fill)
    turns(desk, clock, 8)

    assert Position.objects.get().quantity == -3
    assert accepted(paper, "BUY") == [3]  # of the beginning


def test_one_reading_that_shows_nothing_is_not_enough_whatever_was_tried_before(desk, held, clock, paper):
    """The broker's positions may be a moment behind its trades."""
    held(3)
    Instrument.objects.filter(symbol="RELIANCE").update(exchange="XX")
    press(desk)
    Instrument.objects.filter(symbol="RELIANCE").update(exchange="NSE")
    assert "is not in the broker's list" in FlattenedPosition.objects.get().said
    place_elsewhere(paper, transaction_type="SELL", quantity=3, price=1395.0)
    clock.advance(seconds=3)

    carry_on(desk)

    assert (FlattenedPosition.objects.get().state, Flatten.objects.get().state) == ("WAITING", "UNDER_WAY")
    turns(desk, clock, 4)
    assert (FlattenedPosition.objects.get().state, Flatten.objects.get().state) == ("LEFT", "INCOMPLETE")


def test_an_exit_that_had_to_wait_for_many_turns_is_tried_again_as_soon_as_any_other(desk, held, clock, monkeypatch):
    held(3)
    with monkeypatch.context() as logged_out:
        logged_out.setattr(type(desk.vault), "is_valid", lambda *_: False)
        press(desk)
        for _ in range(20):
            clock.advance(seconds=3)
            carry_on(desk)
    Instrument.objects.filter(symbol="RELIANCE").update(exchange="XX")
    carry_on(desk)
    Instrument.objects.filter(symbol="RELIANCE").update(exchange="NSE")
    assert (FlattenedPosition.objects.get().tries, exits()) == (1, [])
    clock.advance(seconds=2.1)

    carry_on(desk)

    assert len(exits()) == 1
