"""Rows that say what they said are not written down again; every change of an order or a trade is there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from orders.paper.server.row_texts import AT_ONCE, RowTexts


@dataclass(eq=False)
class Thing:
    name: str
    state: object


class Written:
    """Makes rows, and keeps of which things it did."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.texts = RowTexts[Thing](self.row, named=lambda thing: thing.name, says=lambda thing: (thing.state,))

    def of(self, things: Iterable[Thing]) -> list[bytes]:
        return asyncio.run(self.texts.of(things))

    def row(self, thing: Thing) -> dict[str, object]:
        self.names.append(thing.name)
        return {"name": thing.name, "state": repr(thing.state)}


def test_only_what_changed_is_written_again():
    written, things = Written(), [Thing("a", (1,)), Thing("b", (2,))]
    first = written.of(things)
    things[1].state = (3,)

    second = written.of(things)

    assert written.names == ["a", "b", "b"]
    assert second[0] == first[0]
    assert json.loads(second[1]) == {"name": "b", "state": "(3,)"}


def test_a_new_state_that_is_equal_to_the_old_one_is_written_again():
    """Two equal values may still be told apart, as 1 and True; what is the same cannot."""
    written, thing = Written(), Thing("a", 1.0)
    written.of([thing])
    thing.state = True

    assert json.loads(written.of([thing])[0])["state"] == "True"


def test_what_is_not_listed_any_more_is_forgotten():
    written, thing = Written(), Thing("a", (1,))
    written.of([thing])

    assert written.of([]) == []
    written.of([thing])

    assert written.names == ["a", "a"]


def test_rows_come_in_the_order_of_the_list():
    written, things = Written(), [Thing("b", (1,)), Thing("a", (2,))]

    written.of(things)

    assert [json.loads(text)["name"] for text in written.of(reversed(things))] == ["a", "b"]


def test_others_have_their_turn_every_few_rows_whether_they_changed_or_not():
    written, taken = Written(), list[int]()
    things = [Thing(f"{number}", (number,)) for number in range(2 * AT_ONCE + 1)]

    def counted() -> Iterator[Thing]:
        for number, thing in enumerate(things, start=1):
            taken[-1] = number
            yield thing

    async def turns() -> list[int]:
        taken[:] = [0]
        listing = asyncio.create_task(written.texts.of(counted()))
        while not listing.done():
            await asyncio.sleep(0)
            taken.append(taken[-1])
        assert [json.loads(text)["name"] for text in listing.result()] == [thing.name for thing in things]
        return sorted(set(taken))

    for _ in ("written", "unchanged"):
        # The next row is taken before the turn is given.
        assert asyncio.run(turns()) == [AT_ONCE + 1, 2 * AT_ONCE + 1]


def test_a_row_that_changes_while_others_have_their_turn_is_told_as_it_is_when_it_is_reached():
    written, things = Written(), [Thing(f"{number}", "old") for number in range(AT_ONCE + 1)]

    async def states() -> tuple[str, str]:
        listing = asyncio.create_task(written.texts.of(things))
        await asyncio.sleep(0)
        things[0].state = things[-1].state = "new"
        first, *_, last = await listing
        return json.loads(first)["state"], json.loads(last)["state"]

    assert asyncio.run(states()) == ("'old'", "'new'")
    assert json.loads(written.of(things)[0])["state"] == "'new'"
