"""What a paper server still knows after it was stopped, killed, or reset."""

from __future__ import annotations

import subprocess
import sys

import pytest
from django.core.management import CommandError, call_command

from .paper_process import REPOSITORY


def book(kite):
    return kite.orders(), kite.trades(), [kite.order_history(row["order_id"]) for row in kite.orders()]


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


def test_damage_in_the_middle_stops_the_start(tmp_path):
    (tmp_path / "journal.jsonl").write_text("nonsense\n{}\n")

    assert "is damaged at line 1" in refused_start("--port", "0", "--state-dir", str(tmp_path))


def test_the_command_refuses_in_the_same_words(paper):
    with pytest.raises(CommandError, match="in use by another paper server"):
        call_command("paper_kite", port=0, state_dir=paper.state_dir)
