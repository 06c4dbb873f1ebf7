"""What a kill costs: updates and postbacks on their way are lost, as at Kite; a hidden order is told all the same."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

from orders.paper.clock import Setting
from orders.paper.exchange.journal import JournalUnwritable
from tests.orders.paper.stream.streaming import until
from tests.orders.paper.whole import Whole, whole

from .test_updates import LATER, LATER_STILL, receiving, told

HIDDEN = {"seconds": 60}


def run(scenario) -> None:
    async def complete() -> None:
        async with receiving() as (receiver, url):
            await scenario(receiver, url)

    asyncio.run(complete())


async def told_of_nothing_but_a_new_order(server: Whole, client) -> None:
    order_id = await server.place(price=1400)
    assert await told(client, 1) == [(order_id, "OPEN")]


def test_a_hidden_order_whose_time_comes_after_the_restart_is_told_then_and_not_before(tmp_path: Path):
    async def scenario(receiver, url) -> None:
        async with whole(tmp_path, "--postback-url", url) as server:
            await server.fault("place", "hide", **HIDDEN)
            hidden = await server.place(price=1500)

        async with whole(tmp_path, "--postback-url", url) as server:
            client = await server.connect()
            await told_of_nothing_but_a_new_order(server, client)
            await server.stand_at(LATER)

            assert await told(client, 1) == [(hidden, "COMPLETE")]
            assert await receiver.posted(1) == [(hidden, "COMPLETE")]

    run(scenario)


def test_a_hidden_order_whose_time_came_while_the_server_was_down_is_posted_at_the_start(tmp_path: Path):
    async def scenario(receiver, url) -> None:
        async with whole(tmp_path, "--postback-url", url) as server:
            await server.fault("place", "hide", **HIDDEN)
            hidden = await server.place(price=1500)

        async with whole(tmp_path, "--postback-url", url, "--clock", LATER):
            assert await receiver.posted(1) == [(hidden, "COMPLETE")]

    run(scenario)


def test_an_order_that_has_appeared_is_not_told_again_by_the_next_server(tmp_path: Path):
    async def scenario(receiver, url) -> None:
        async with whole(tmp_path, "--postback-url", url) as server:
            await server.fault("place", "hide", **HIDDEN)
            hidden = await server.place(price=1500)
            await server.stand_at(LATER)
            assert await receiver.posted(1) == [(hidden, "COMPLETE")]

        async with whole(tmp_path, "--postback-url", url) as server:
            await server.fault("place", "hide", **HIDDEN)
            another = await server.place(price=1500)
            await server.stand_at(LATER_STILL)
            assert await receiver.posted(2) == [(hidden, "COMPLETE"), (another, "COMPLETE")]

    run(scenario)


def test_an_order_that_happened_on_as_it_appeared_is_told_of_that_and_not_again(tmp_path: Path):
    async def scenario(receiver, url) -> None:
        async with whole(tmp_path, "--postback-url", url) as server:
            await server.fault("place", "hide", seconds=0)
            order_id = await server.place(price=1500)
            assert await receiver.posted(1) == [(order_id, "COMPLETE")]

        async with whole(tmp_path, "--postback-url", url) as server:
            another = await server.place(price=1500)
            assert await receiver.posted(2) == [(order_id, "COMPLETE"), (another, "COMPLETE")]

    run(scenario)


def test_an_order_that_has_appeared_does_not_hide_again_when_the_clock_is_set_back(tmp_path: Path):
    async def scenario(receiver, url) -> None:
        async with whole(tmp_path, "--postback-url", url) as server:
            await server.fault("place", "hide", **HIDDEN)
            hidden = await server.place(price=1400)
            client = await server.connect()
            await server.stand_at(LATER)
            assert await told(client, 1) == [(hidden, "OPEN")]

            await server.stand_at("2026-11-23T10:00:30+05:30")

            _, envelope = await server.ask("GET", "/orders")
            assert [row["order_id"] for row in envelope["data"]] == [hidden]

    run(scenario)


def test_a_disk_that_is_full_for_a_while_neither_ends_the_stream_nor_forgets_what_appeared(tmp_path: Path, monkeypatch):
    async def scenario(receiver, url) -> None:
        async with whole(tmp_path) as server:
            client, journal = await server.connect(), server.paper.journal
            await server.fault("place", "hide", **HIDDEN)
            hidden = await server.place(price=1400)
            later = Setting(moment=datetime.fromisoformat(LATER), speed=0, set_at=server.paper.clock.wall())
            refusals = []

            def refuse(*_events) -> None:
                refusals.append("full")
                raise JournalUnwritable("full")

            with monkeypatch.context() as patch:
                patch.setattr(journal, "append", refuse)
                server.paper.clock.set(later)
                assert await told(client, 1) == [(hidden, "OPEN")]
                await until(lambda: len(refusals) > 1)
            await until(lambda: [event for event in journal.events() if event.kind == "order.appeared"])

            await told_of_nothing_but_a_new_order(server, client)

    run(scenario)


def test_an_update_that_was_held_back_is_lost_with_the_server_and_the_book_still_has_the_order(tmp_path: Path):
    async def scenario(receiver, url) -> None:
        async with whole(tmp_path) as server:
            await server.connect()
            await server.fault("updates", "late", seconds=60)
            late = await server.place()

        async with whole(tmp_path) as server:
            client = await server.connect()
            await server.stand_at(LATER)

            _, envelope = await server.ask("GET", "/orders")
            assert [(row["order_id"], row["status"]) for row in envelope["data"]] == [(late, "OPEN")]
            await told_of_nothing_but_a_new_order(server, client)

    run(scenario)


def test_a_postback_that_was_not_taken_is_lost_with_the_server(tmp_path: Path):
    async def scenario(receiver, url) -> None:
        async with whole(tmp_path, "--postback-url", url) as server:
            receiver.status = 500
            lost = await server.place(price=1500)
            assert await receiver.posted(1) == [(lost, "COMPLETE")]

        receiver.status = 200
        async with whole(tmp_path, "--postback-url", url) as server:
            order_id = await server.place(price=1500)

            assert await receiver.posted(2) == [(lost, "COMPLETE"), (order_id, "COMPLETE")]

    run(scenario)
