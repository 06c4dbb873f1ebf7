"""Rows that say what they said are not written down again; every change of an order or a trade is there."""

from __future__ import annotations

import json
from dataclasses import dataclass

from orders.paper.server.row_texts import RowTexts


@dataclass(eq=False)
class Thing:
    name: str
    state: object


class Written:
    """Makes rows, and keeps of which things it did."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.texts = RowTexts[Thing](self.row, named=lambda thing: thing.name, says=lambda thing: (thing.state,))

    def row(self, thing: Thing) -> dict[str, object]:
        self.names.append(thing.name)
        return {"name": thing.name, "state": repr(thing.state)}


def test_only_what_changed_is_written_again():
    written, things = Written(), [Thing("a", (1,)), Thing("b", (2,))]
    first = written.texts.of(things)
    things[1].state = (3,)

    second = written.texts.of(things)

    assert written.names == ["a", "b", "b"]
    assert second[0] == first[0]
    assert json.loads(second[1]) == {"name": "b", "state": "(3,)"}


def test_a_new_state_that_is_equal_to_the_old_one_is_written_again():
    """Two equal values may still be told apart, as 1 and True; what is the same cannot."""
    written, thing = Written(), Thing("a", 1.0)
    written.texts.of([thing])
    thing.state = True

    assert json.loads(written.texts.of([thing])[0])["state"] == "True"


def test_what_is_not_listed_any_more_is_forgotten():
    written, thing = Written(), Thing("a", (1,))
    written.texts.of([thing])

    assert written.texts.of([]) == []
    written.texts.of([thing])

    assert written.names == ["a", "a"]


def test_rows_come_in_the_order_of_the_list():
    written, things = Written(), [Thing("b", (1,)), Thing("a", (2,))]

    written.texts.of(things)

    assert [json.loads(text)["name"] for text in written.texts.of(reversed(things))] == ["a", "b"]
