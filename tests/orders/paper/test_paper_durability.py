"""What a paper server still knows after it was stopped, killed, or reset."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import suppress

import pytest
from django.core.management import CommandError, call_command
from requests.exceptions import RequestException

from .paper_process import REPOSITORY, until


def book(kite):
    """Return all that a client can ask for; of the shares in it prices are set."""
    histories = [kite.order_history(row["order_id"]) for row in kite.orders()]
    return kite.orders(), kite.trades(), histories, kite.positions(), kite.holdings(), kite.margins(), kite.get_gtts()


def trade_a_little(paper, order, market_order):
    paper.set_price("NSE:INFY", "1500.00")
    kite = paper.kite()
    kite.place_order(**market_order(tag="filled"))
    resting = kite.place_order(**order(tag="resting"))
    kite.modify_order("regular", resting, price=1480.0)
    kite.cancel_order("regular", kite.place_order(**order(tag="cancelled")))
    kite.place_order(**market_order(transaction_type="SELL", quantity=99, tag="rejected"))
    return kite


def test_a_killed_server_comes_back_with_the_same_book(start_paper, order, market_order):
    first = start_paper()
    before = book(trade_a_little(first, order, market_order))
    witness = first.journal()
    first.kill()

    second = start_paper()

    assert book(second.kite()) == before
    assert second.journal() == witness
    assert second.kite().ltp(["NSE:INFY"])["NSE:INFY"]["last_price"] == 1500.0


@pytest.mark.parametrize("torn", [b'{"at":"2026-11-23T03:55:29+05:30","kind":"order.acc', b"\0\0\0", b"{}\n"])
def test_a_torn_last_line_is_forgotten(start_paper, order, market_order, torn):
    first = start_paper()
    before = book(trade_a_little(first, order, market_order))
    first.kill()
    with (first.state_dir / "journal.jsonl").open("ab") as journal:
        journal.write(torn)

    second = start_paper()
    assert book(second.kite()) == before
    fresh = second.kite().place_order(**order())
    second.kill()

    assert start_paper().kite().orders()[-1]["order_id"] == fresh


def test_a_server_killed_on_each_of_several_days_comes_back_with_the_same_account(start_paper, order, market_order):
    """Bought on Monday, held on Wednesday after a holiday, settled and partly sold on Thursday; short over night."""
    paper = start_paper("--market-hours", "nse")
    seen = []
    for day, trades in (
        ("2026-11-23", [{"quantity": 10}, {"product": "NRML", "transaction_type": "SELL", "quantity": 3}]),
        ("2026-11-25", [{"transaction_type": "SELL", "quantity": 4}]),
        ("2026-11-26", [{"transaction_type": "SELL", "quantity": 1}, {"product": "MIS", "quantity": 2}]),
    ):
        paper.control("POST", "clock", {"at": f"{day}T10:00:00+05:30", "speed": 0})
        paper.set_price("NSE:INFY", "1500.00")
        for trade in trades:
            paper.kite().place_order(**market_order(**trade))
        paper.kite().place_order(**order(price=1450.0))
        before = book(paper.kite())
        paper.kill()
        paper = start_paper("--market-hours", "nse")
        assert book(paper.kite()) == before
        seen += [row["order_id"] for row in before[0]]

    (holding,) = paper.kite().holdings()
    assert (holding["opening_quantity"], holding["t1_quantity"], holding["used_quantity"]) == (6, 0, 1)
    assert {row["product"]: row["quantity"] for row in paper.kite().positions()["net"]} == {
        "NRML": -3,
        "CNC": -1,
        "MIS": 2,
    }
    assert {row["product"] for row in paper.kite().positions()["day"]} == {"CNC", "MIS"}
    assert len(set(seen)) == len(seen) == 8


def test_what_was_acknowledged_before_a_kill_in_full_flow_is_there(start_paper, order, market_order):
    paper = start_paper()
    paper.set_price("NSE:INFY", "1500.00")
    acknowledged = []

    def flow():
        with suppress(RequestException):
            kite = paper.kite()
            for number in range(100_000):
                terms = market_order(quantity=1) if number % 2 else order(quantity=1, price=1400.0)
                acknowledged.append(kite.place_order(**terms))

    clients = [threading.Thread(target=flow) for _ in range(3)]
    for client in clients:
        client.start()
    until(lambda: len(acknowledged) > 100, seconds=30)
    paper.process.kill()
    for client in clients:
        client.join(30)
    paper.kill()

    kite = start_paper().kite()
    rows = {row["order_id"]: row for row in kite.orders()}
    assert set(acknowledged) <= set(rows)
    assert len(set(acknowledged)) == len(acknowledged)
    bought = sum(row["filled_quantity"] for row in rows.values())
    assert bought == sum(trade["quantity"] for trade in kite.trades()) == kite.positions()["net"][0]["quantity"]
    assert kite.place_order(**order()) > max(rows)


def test_ids_never_repeat(start_paper, market_order):
    orders, trades = [], []
    for _ in range(2):
        paper = start_paper()
        for _ in range(2):
            orders.append(paper.kite().place_order(**market_order()))
            trades.append(paper.kite().trades()[-1]["trade_id"])
            paper.reset()
        paper.kill()

    assert sorted(set(orders)) == orders
    assert sorted(set(trades)) == trades


def test_a_reset_archives_the_book_and_begins_an_empty_one(kite, paper, market_order):
    order_id = kite.place_order(**market_order())
    paper.fault("place", "error_503")

    archived = (paper.state_dir / paper.reset()).read_text()

    assert order_id in archived
    assert kite.orders() == kite.trades() == kite.positions()["net"] == paper.journal() == []
    assert kite.place_order(**market_order()) > order_id


def test_a_stop_signal_ends_it_cleanly(start_paper, order):
    paper = start_paper()
    paper.fault("place", "delay", seconds=0)
    paper.kite().place_order(**order())

    assert paper.stop() == 0


def refused_start(*options):
    command = [sys.executable, "-m", "orders.paper", *options]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode != 0
    assert ended.stdout == ""
    return ended.stderr


def test_a_second_server_is_refused_in_one_sentence(paper, tmp_path):
    same_directory = refused_start("--port", "0", "--state-dir", str(paper.state_dir))
    same_port = refused_start("--port", str(paper.port), "--state-dir", str(tmp_path))

    assert "in use by another paper server" in same_directory
    assert "give another --state-dir" in same_directory
    assert "give another --port" in same_port
    assert same_directory.count("\n") == same_port.count("\n") == 1


@pytest.mark.parametrize("damage", [b"", b"{", b'{"kind":"order.accepted"}', b"\xff\xfe"])
def test_damage_between_sound_lines_is_named_by_its_line_and_nothing_is_cut_off(start_paper, order, damage):
    paper = start_paper()
    for _ in range(3):
        paper.kite().place_order(**order())
    paper.kill()
    journal = paper.state_dir / "journal.jsonl"
    lines = journal.read_bytes().splitlines()
    lines[2] = damage
    journal.write_bytes(b"\n".join(lines) + b"\n")
    before = journal.read_bytes()

    assert "is damaged at line 3" in refused_start("--port", "0", "--state-dir", str(paper.state_dir))
    assert journal.read_bytes() == before


def test_damage_in_the_middle_stops_the_start(tmp_path):
    (tmp_path / "journal.jsonl").write_text("nonsense\n{}\n")

    assert "is damaged at line 1" in refused_start("--port", "0", "--state-dir", str(tmp_path))


@pytest.mark.parametrize(
    "line",
    [
        '{"at":"2026-11-26T10:00:00+05:30","kind":"order.cancelled","order_id":"SIM20261126000009","reason":"asked"}',
        '{"at":"2026-11-26T10:00:00+05:30","kind":"holding.given","instrument":"NSE:GONE","quantity":1,"average_price":"1"}',
    ],
)
def test_a_line_that_does_not_fit_what_came_before_stops_the_start_in_one_sentence(tmp_path, line):
    (tmp_path / "journal.jsonl").write_text(f"{line}\n")

    said = refused_start("--port", "0", "--state-dir", str(tmp_path))

    assert "journal.jsonl is damaged" in said
    assert "move the file away" in said
    assert said.count("\n") == 1


def test_a_host_that_is_not_found_is_called_that(tmp_path):
    said = refused_start("--port", "0", "--host", "nowhere.invalid", "--state-dir", str(tmp_path))

    assert said == "The host nowhere.invalid is not found: give another --host.\n"


def test_the_command_refuses_in_the_same_words(paper):
    with pytest.raises(CommandError, match="in use by another paper server"):
        call_command("paper_kite", port=0, state_dir=paper.state_dir)
