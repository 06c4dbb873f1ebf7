"""A journal that cannot be extended: said in a sentence, answered as Kite does, and nothing is accepted by half."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Callable, Iterator

import pytest
import requests
from kiteconnect.exceptions import GeneralException, NetworkException

from .paper_process import PaperProcess, until

FULL = "cannot be written (File too large)"


class Disk:
    """The room that a server's journal has, as the kernel grants it."""

    def __init__(self, paper: PaperProcess) -> None:
        self.paper = paper
        self.journal = paper.state_dir / "journal.jsonl"

    @property
    def size(self) -> int:
        return self.journal.stat().st_size

    def leave(self, room: int) -> None:
        """Leave room for so many bytes more."""
        self._limit(self.size + room)

    def make_room(self) -> None:
        self._limit(resource.RLIM_INFINITY)

    def _limit(self, size: int) -> None:
        resource.prlimit(self.paper.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def heard(server: PaperProcess) -> PaperProcess:
    """Let the server's standard error be read without waiting."""
    os.set_blocking(server.process.stderr.fileno(), False)
    return server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaperProcess]:
    # Standard error is a pipe, for what limits the journal would limit a file as well.
    one = heard(PaperProcess(tmp_path_factory.mktemp("full"), stderr=subprocess.PIPE))
    yield one
    one.stop()


@pytest.fixture
def paper(server: PaperProcess) -> Iterator[PaperProcess]:
    """A server with room and an empty book, and a price that stands still."""
    server.reset()
    server.set_price("NSE:INFY", "1500.00")
    said(server)
    yield server
    Disk(server).make_room()


@pytest.fixture
def mortal(start_paper: Callable[..., PaperProcess]) -> PaperProcess:
    """One of the test's own."""
    one = heard(start_paper(stderr=subprocess.PIPE))
    one.set_price("NSE:INFY", "1500.00")
    return one


@pytest.fixture
def disk(paper) -> Disk:
    return Disk(paper)


def said(paper: PaperProcess) -> list[str]:
    """Return the lines that the server has written since the last look."""
    try:
        return os.read(paper.process.stderr.fileno(), 1_000_000).decode().splitlines()
    except BlockingIOError:
        return []


def rows(kite) -> list[tuple]:
    return [(row["tag"], row["status"], row["price"]) for row in kite.orders()]


@pytest.mark.parametrize("room", [0, 1, 100])
def test_an_order_that_finds_no_room_is_not_accepted_and_the_next_one_that_does_is(kite, paper, disk, order, room):
    kite.place_order(**order(tag="before"))
    size, before = disk.size, rows(kite)
    disk.leave(room)

    with pytest.raises(GeneralException, match="The paper server failed: ") as refused:
        kite.place_order(**order(tag="no room"))

    assert refused.value.code == 500
    assert FULL in str(refused.value)
    assert (rows(kite), disk.size) == (before, size)
    (sentence,) = said(paper)
    assert sentence == f"POST /orders/regular was answered 500: {disk.journal} {FULL}."
    disk.make_room()
    kite.place_order(**order(tag="after"))
    assert [row[0] for row in rows(kite)] == ["before", "after"]


def test_what_is_on_the_disk_then_is_what_a_restart_finds(mortal, order, start_paper):
    kite, disk = mortal.kite(), Disk(mortal)
    kite.place_order(**order(tag="before"))
    disk.leave(100)
    with pytest.raises(GeneralException):
        kite.place_order(**order(tag="no room"))
    before = kite.orders()
    mortal.kill()

    assert start_paper().kite().orders() == before


@pytest.mark.parametrize(
    "change",
    [
        lambda kite, order_id: kite.modify_order("regular", order_id, price=1480.0),
        lambda kite, order_id: kite.cancel_order("regular", order_id),
    ],
)
def test_a_change_that_finds_no_room_is_not_made(kite, paper, disk, order, change):
    order_id = kite.place_order(**order(tag="mine"))
    disk.leave(0)

    with pytest.raises(GeneralException, match="failed"):
        change(kite, order_id)

    assert rows(kite) == [("mine", "OPEN", 1490.0)]
    assert len(said(paper)) == 1
    disk.make_room()
    assert change(kite, order_id) == order_id


def test_the_control_routes_say_it_too(paper, disk):
    disk.leave(0)

    for method, path, body in (
        ("POST", "funds", {"amount": 1}),
        ("PUT", "prices/NSE/INFY", {"price": "1.00"}),
        ("POST", "clock", {}),
    ):
        answer = paper.http.request(method, f"{paper.root}/paper/{path}", json=body, timeout=5)
        assert (answer.status_code, answer.json()["error_type"]) == (500, "GeneralException")

    assert paper.kite().ltp("NSE:INFY")["NSE:INFY"]["last_price"] == 1500.0
    assert len(said(paper)) == 3


def test_a_fault_that_finds_no_room_strikes_when_there_is_some(kite, paper, disk, order):
    paper.fault("place", "drop_before")
    disk.leave(0)
    with pytest.raises(GeneralException, match="failed"):
        kite.place_order(**order())
    assert [(row["struck"], row["left"]) for row in paper.control("GET", "faults")["data"]] == [(0, 1)]
    disk.make_room()

    with pytest.raises(requests.ConnectionError):
        kite.place_order(**order())

    assert kite.orders() == []


def test_an_order_that_was_to_come_late_is_said_not_to_come(kite, paper, disk, order):
    paper.fault("place", "late_after", seconds=0.1)
    with pytest.raises(NetworkException):
        kite.place_order(**order())
    disk.leave(0)

    (sentence,) = until(lambda: said(paper))

    assert sentence == f"A request that was to be carried out late was not: {disk.journal} {FULL}."
    assert kite.orders() == []


def line_sizes(disk: Disk, act: Callable[[], object]) -> list[int]:
    """Return how many bytes each line needs that the act writes."""
    before = len(disk.journal.read_bytes())
    act()
    return [len(line) + 1 for line in disk.journal.read_bytes()[before:].splitlines()]


def test_an_order_accepted_with_the_last_room_is_in_the_book_and_opens_after_a_restart(mortal, order, start_paper):
    kite, disk = mortal.kite(), Disk(mortal)
    accepted, _opened = line_sizes(disk, lambda: kite.place_order(**order(tag="first")))
    disk.leave(accepted + 20)

    with pytest.raises(GeneralException, match="failed"):
        kite.place_order(**order(tag="other"))

    assert mortal.process.wait(5) == 1  # it cannot go on: whatever is due cannot be written
    request, end = said(mortal)
    assert request.startswith("POST /orders/regular was answered 500: ")
    assert end.endswith("make room or permissions right, then start again.")
    again = start_paper().kite()
    until(lambda: rows(again) == [("first", "OPEN", 1490.0), ("other", "OPEN", 1490.0)])


def test_of_a_sliced_order_each_slice_says_whether_it_found_room(kite, paper, disk, order):
    """One slice's answer is not lost because the next one was not accepted."""
    sliced = order(quantity=100_001, price=1450.0, tag="sliced")
    sizes = line_sizes(disk, lambda: kite.place_autoslice_order(**sliced | {"tag": "before"}))
    assert len(sizes) == 4
    disk.leave(sizes[0] + sizes[1] + 60)

    answer = kite.place_autoslice_order(**sliced)

    (child,) = answer["children"]
    assert (child["error"]["code"], child["error"]["error_type"]) == (500, "GeneralException")
    assert FULL in child["error"]["message"]
    assert [row["order_id"] for row in kite.orders() if row["tag"] == "sliced"] == [answer["order_id"]]
    assert len(said(paper)) == 1
