"""Which changes of an order are told, and as what: over the socket, and by postback."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from orders.paper.stream.mishaps import StreamMishap
from tests.orders.paper.stream.streaming import SECONDS, Client, until
from tests.orders.paper.whole import Whole, whole

NEXT_SESSION = "2026-11-25T09:15:00+05:30"  # Tuesday is a holiday
JUST_BEFORE = "2026-11-23T10:00:59+05:30"
LATER = "2026-11-23T10:02:00+05:30"
LATER_STILL = "2026-11-23T10:04:00+05:30"
DEEP_ENOUGH_FOR_FOUR = {"price": "1500", "sell": [{"price": "1500", "quantity": 4}]}


class Receiver:
    """The user's server: keeps every postback, and takes none while `status` is not 200."""

    def __init__(self) -> None:
        self.got: list[dict] = []
        self.status = 200

    async def take(self, request: web.Request) -> web.Response:
        self.got.append(json.loads(await request.read()))
        return web.Response(status=self.status)

    async def posted(self, how_many: int) -> list[tuple[str, str]]:
        await until(lambda: len(self.got) >= how_many)
        return [(row["order_id"], row["status"]) for row in self.got]


@asynccontextmanager
async def receiving() -> AsyncIterator[tuple[Receiver, str]]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/kite", receiver.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield receiver, f"http://127.0.0.1:{runner.addresses[0][1]}/kite"
    finally:
        await runner.cleanup()


async def heard(client: Client, how_many: int) -> list[dict]:
    """Return the rows of the next updates; heartbeats are passed over."""
    rows: list[dict] = []
    async with asyncio.timeout(SECONDS):
        while len(rows) < how_many:
            message = await client.hear()
            if isinstance(message.data, str):
                rows.append(json.loads(message.data)["data"])
    return rows


async def told(client: Client, how_many: int) -> list[tuple[str, str]]:
    return [(row["order_id"], row["status"]) for row in await heard(client, how_many)]


@pytest.fixture
def story(tmp_path: Path):
    """Return what runs a scenario against a server with a client on its socket and a receiver of its postbacks."""

    def run(scenario, *options: str) -> None:
        async def complete() -> None:
            state = tmp_path / "state"
            async with receiving() as (receiver, url), whole(state, "--postback-url", url, *options) as server:
                await scenario(server, await server.connect(), receiver)

        asyncio.run(complete())

    return run


def test_a_market_order_that_becomes_a_limit_order_on_its_way_is_open_and_no_update(story):
    async def scenario(server: Whole, client: Client, receiver: Receiver) -> None:
        order_id = await server.place(order_type="MARKET", market_protection=-1)

        opened, done = await heard(client, 2)

        assert (opened["status"], opened["order_type"], opened["price"]) == ("OPEN", "LIMIT", 1507.5)
        assert done["status"] == "COMPLETE"
        assert await receiver.posted(1) == [(order_id, "COMPLETE")]

    story(scenario)


def test_the_rest_of_a_market_order_that_left_its_band_is_told_for_the_fill_alone(story):
    async def scenario(server: Whole, client: Client, receiver: Receiver) -> None:
        await server.control("PUT", "prices/NSE/INFY", DEEP_ENOUGH_FOR_FOUR)

        order_id = await server.place(order_type="MARKET", market_protection=-1)

        assert await told(client, 2) == [(order_id, "OPEN"), (order_id, "UPDATE")]
        assert await receiver.posted(1) == [(order_id, "UPDATE")]
        assert receiver.got[0]["filled_quantity"] == 4

    story(scenario)


def test_a_stop_is_told_as_it_waits_and_as_it_goes_out_and_posted_at_its_end(story):
    async def scenario(server: Whole, client: Client, receiver: Receiver) -> None:
        order_id = await server.place(order_type="SL", price=1600, trigger_price=1590)
        await server.control("PUT", "prices/NSE/INFY", {"price": "1590"})

        assert await told(client, 3) == [(order_id, "TRIGGER PENDING"), (order_id, "OPEN"), (order_id, "COMPLETE")]
        assert await receiver.posted(1) == [(order_id, "COMPLETE")]

    story(scenario)


def test_a_modification_is_an_update_whether_or_not_it_was_partly_filled(story):
    async def scenario(server: Whole, client: Client, receiver: Receiver) -> None:
        await server.control("PUT", "prices/NSE/INFY", DEEP_ENOUGH_FOR_FOUR)
        order_id = await server.place(price=1500)
        assert await told(client, 2) == [(order_id, "OPEN"), (order_id, "UPDATE")]

        await server.ask("PUT", f"/orders/regular/{order_id}", price=1495)
        await server.ask("DELETE", f"/orders/regular/{order_id}")

        assert await told(client, 2) == [(order_id, "UPDATE"), (order_id, "CANCELLED")]
        statuses = [status for _, status in await receiver.posted(3)]
        assert statuses == ["UPDATE", "UPDATE", "CANCELLED"]

    story(scenario)


def test_of_an_order_that_waits_for_the_morning_nothing_is_told_and_of_an_amo_nothing_posted(story):
    async def scenario(server: Whole, client: Client, receiver: Receiver) -> None:
        await server.stand_at("2026-11-23T20:00:00+05:30")
        waiting = await server.place("amo", price=1500)
        await server.ask("PUT", f"/orders/amo/{waiting}", price=1501)
        await server.stand_at(NEXT_SESSION)
        await server.control("PUT", "prices/NSE/INFY", {"price": "1500"})

        assert await told(client, 2) == [(waiting, "OPEN"), (waiting, "COMPLETE")]
        regular = await server.place(price=1500)
        assert await receiver.posted(1) == [(regular, "COMPLETE")]

    story(scenario, "--market-hours", "nse")


def test_a_refusal_of_the_exchange_is_told_and_posted_as_it_is(story):
    async def scenario(server: Whole, client: Client, receiver: Receiver) -> None:
        order_id = await server.place(quantity=100_000)

        assert await told(client, 1) == [(order_id, "REJECTED")]
        assert await receiver.posted(1) == [(order_id, "REJECTED")]

    story(scenario)


def test_socket_and_postback_say_the_same_and_sign_it_with_the_secret_of_the_app(story):
    async def scenario(server: Whole, client: Client, receiver: Receiver) -> None:
        order_id = await server.place(price=1500)
        _, told_of = await heard(client, 2)
        await receiver.posted(1)

        signed = f"{order_id}{told_of['order_timestamp']}hush"
        assert told_of["checksum"] == hashlib.sha256(signed.encode()).hexdigest()
        assert (told_of["user_id"], told_of["app_id"]) == ("PAPER1", 1)
        assert receiver.got == [told_of]

    story(scenario, "--api-secret", "hush")


def test_a_hidden_order_is_not_told_of_before_its_time(story):
    async def scenario(server: Whole, client: Client, _: Receiver) -> None:
        await server.fault("place", "hide", seconds=60)
        hidden = await server.place(price=1500)
        await server.stand_at(JUST_BEFORE)

        server.stream.release(server.paper.clock())

        shown = await server.place(price=1400)
        assert await told(client, 1) == [(shown, "OPEN")]
        await server.stand_at(LATER)
        assert await told(client, 1) == [(hidden, "COMPLETE")]

    story(scenario)


@pytest.mark.parametrize("fault", [("late", {"seconds": 60}), ("out_of_order", {})])
def test_a_fresh_start_hears_no_update_that_was_held_back_before_it(story, fault):
    kind, more = fault

    async def scenario(server: Whole, client: Client, _: Receiver) -> None:
        await server.fault("updates", kind, **more)
        await server.place()

        await server.control("POST", "reset")
        await server.stand_at(LATER)

        order_id = await server.place(price=1400)
        assert await told(client, 1) == [(order_id, "OPEN")]

    story(scenario)


def test_a_fresh_start_hears_of_no_order_that_was_hidden_before_it(story):
    async def scenario(server: Whole, client: Client, receiver: Receiver) -> None:
        await server.fault("place", "hide", seconds=60)
        await server.place(price=1500)

        await server.control("POST", "reset")
        await server.control("PUT", "prices/NSE/INFY", {"price": "1500"})
        await server.stand_at(LATER)
        await server.fault("place", "hide", seconds=60)
        after = await server.place(price=1500)
        await server.stand_at(LATER_STILL)

        assert await told(client, 1) == [(after, "COMPLETE")]
        assert await receiver.posted(1) == [(after, "COMPLETE")]

    story(scenario)


def test_a_fresh_journal_says_nothing_of_an_order_that_had_appeared_before_it(story):
    async def scenario(server: Whole, _: Client, __: Receiver) -> None:
        tell_appeared, server.stream.at_release = server.stream.at_release, lambda _now: None
        await server.fault("place", "hide", seconds=0)
        await server.place()

        await server.control("POST", "reset")
        tell_appeared(server.paper.clock())

        assert [event.kind for event in server.paper.journal.events()] == ["book.opened", "clock.set"]

    story(scenario)


def test_a_fresh_start_is_not_refused_a_handshake_for_a_fault_of_before(tmp_path: Path):
    async def scenario() -> None:
        async with whole(tmp_path / "state") as server:
            server.stream.suffer(StreamMishap.REFUSE, times=2)

            await server.control("POST", "reset")

            await server.connect()

    asyncio.run(scenario())


def test_a_fresh_start_is_heard_by_a_client_that_a_fault_had_made_deaf(story):
    async def scenario(server: Whole, client: Client, _: Receiver) -> None:
        server.stream.suffer(StreamMishap.SILENT)

        await server.control("POST", "reset")

        order_id = await server.place(price=1400)
        assert await told(client, 1) == [(order_id, "OPEN")]

    story(scenario)


def test_a_fresh_start_gets_no_postback_that_was_not_taken_before_it(story):
    async def scenario(server: Whole, _: Client, receiver: Receiver) -> None:
        receiver.status = 500
        first, second = await server.place(price=1500), await server.place(price=1500)
        assert await receiver.posted(1) == [(first, "COMPLETE")]

        await server.control("POST", "reset")
        receiver.status = 200
        await server.control("PUT", "prices/NSE/INFY", {"price": "1500"})
        third = await server.place(price=1500)

        assert await receiver.posted(2) == [(first, "COMPLETE"), (third, "COMPLETE")]
        assert second not in {row["order_id"] for row in receiver.got}

    story(scenario)
