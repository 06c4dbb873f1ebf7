"""With a key and a token every list has a row from the start, whatever the hour."""

from __future__ import annotations

from datetime import datetime

import pytest

from orders.paper.indian_time import IST

from .server.logging_in import client

PAIR = ("--api-key", "K", "--access-token", "T")
# Gandhi Jayanti is on 2 October, a Friday.
SHUT = {"midnight": "2026-11-25T00:00:00", "evening": "2026-11-25T20:00:00", "holiday": "2026-10-02T11:00:00"}


def furnished(start_paper, moment: str, *options: str):
    server = start_paper(*PAIR, "--market-hours", "nse", "--clock", moment, *options)
    return client(server, "K", "T")


@pytest.mark.parametrize("moment", SHUT.values(), ids=SHUT)
def test_every_list_has_a_row_while_the_market_is_shut(start_paper, moment):
    kite = furnished(start_paper, moment)

    assert kite.margins("equity")["available"]["live_balance"] > 0
    (holding,) = kite.holdings()
    positions = kite.positions()
    (trade,) = kite.trades()
    rows = {row["status"]: row for row in kite.orders()}
    assert (holding["tradingsymbol"], holding["quantity"]) == ("SBIN", 10)
    assert [row["quantity"] for row in positions["net"]] == [row["quantity"] for row in positions["day"]] == [1]
    assert set(rows) == {"COMPLETE", "AMO REQ RECEIVED"}
    assert trade == kite.order_trades(rows["COMPLETE"]["order_id"])[0]
    assert trade["fill_timestamp"].date() == datetime.fromisoformat(moment).date()


def test_what_was_given_while_it_was_shut_lives_on_when_it_opens(start_paper):
    server = start_paper(*PAIR, "--market-hours", "nse", "--clock", SHUT["midnight"])
    kite = client(server, "K", "T")

    server.control("POST", "clock", {"at": datetime(2026, 11, 25, 9, 15, tzinfo=IST).isoformat(), "speed": 0})

    assert {row["status"] for row in kite.orders()} == {"COMPLETE", "OPEN"}
    assert [row["quantity"] for row in kite.positions()["net"]] == [1]


@pytest.mark.parametrize("moment", ["2026-11-25T15:05:00", "2026-11-25T15:10:00", "2026-11-25T15:14:00"])
def test_the_position_is_open_also_around_the_hour_of_the_square_off(start_paper, moment):
    kite = furnished(start_paper, moment)

    assert kite.positions()["net"][0]["quantity"] == 1
    assert len(kite.trades()) == 1
    assert {row["status"] for row in kite.orders()} == {"COMPLETE", "OPEN"}


def test_a_restart_adds_nothing_to_what_is_there(start_paper):
    first = start_paper(*PAIR, "--market-hours", "nse", "--clock", SHUT["holiday"])
    before = [row["order_id"] for row in client(first, "K", "T").orders()]
    first.kill()

    kite = furnished(start_paper, SHUT["holiday"])

    assert [row["order_id"] for row in kite.orders()] == before
    assert len(kite.trades()) == len(kite.holdings()) == 1


def test_a_day_later_the_lists_of_the_day_have_rows_again(start_paper):
    first = start_paper(*PAIR, "--market-hours", "nse", "--clock", SHUT["evening"])
    first.kill()

    kite = furnished(start_paper, "2026-11-26T00:30:00")

    assert len(kite.trades()) == 1
    assert {row["status"] for row in kite.orders()} >= {"COMPLETE", "AMO REQ RECEIVED"}
