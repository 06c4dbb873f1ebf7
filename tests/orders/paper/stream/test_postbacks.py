"""Postbacks: what is told, what it looks like on the wire, and that a bad receiver costs nobody anything."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from orders.paper.stream import postbacks
from orders.paper.stream.postbacks import Postbacks, checksum, is_posted, payload

from .streaming import until

# The row of Zerodha's published sample (github.com/zerodha/kiteconnect-mocks, postback.json), as the order book has it.
ROW = {
    "placed_by": "AB1234",
    "order_id": "220303000308932",
    "exchange_order_id": "1000000001482421",
    "parent_order_id": None,
    "status": "COMPLETE",
    "status_message": None,
    "status_message_raw": None,
    "order_timestamp": "2022-03-03 09:24:25",
    "exchange_update_timestamp": "2022-03-03 09:24:25",
    "exchange_timestamp": "2022-03-03 09:24:25",
    "variety": "regular",
    "modified": False,
    "exchange": "NSE",
    "tradingsymbol": "SBIN",
    "instrument_token": 779521,
    "order_type": "MARKET",
    "transaction_type": "BUY",
    "validity": "DAY",
    "product": "CNC",
    "quantity": 1,
    "disclosed_quantity": 0,
    "price": 0,
    "trigger_price": 0,
    "average_price": 470,
    "filled_quantity": 1,
    "pending_quantity": 0,
    "cancelled_quantity": 0,
    "market_protection": 0,
    "meta": {},
    "tag": None,
    "tags": ["mktp"],
    "guid": "XXXXXX",
}
SAMPLE_KEYS = {
    *("user_id", "unfilled_quantity", "app_id", "checksum", "placed_by", "order_id", "exchange_order_id"),
    *("parent_order_id", "status", "status_message", "status_message_raw", "order_timestamp"),
    *("exchange_update_timestamp", "exchange_timestamp", "variety", "exchange", "tradingsymbol", "instrument_token"),
    *("order_type", "transaction_type", "validity", "product", "quantity", "disclosed_quantity", "price"),
    *("trigger_price", "average_price", "filled_quantity", "pending_quantity", "cancelled_quantity"),
    *("market_protection", "meta", "tag", "guid"),
}
OPEN = ROW | {"status": "OPEN", "quantity": 10, "filled_quantity": 0, "pending_quantity": 10, "order_type": "LIMIT"}
# printf '2203030003089322022-03-03 09:24:25paper-secret' | sha256sum
CHECKSUM = "2067f6cf8496aa54d35a6ff76b3d5d660843df6e66d7d7367696ecf6d9e40469"


def test_the_checksum_is_the_hash_of_id_time_and_secret():
    assert checksum("220303000308932", "2022-03-03 09:24:25", "paper-secret") == CHECKSUM


def test_the_payload_has_the_keys_of_zerodhas_sample_and_no_other():
    told = payload(ROW, api_secret="paper-secret", user_id="AB1234", app_id=1234)

    assert told.keys() == SAMPLE_KEYS
    assert (told["user_id"], told["app_id"], told["checksum"]) == ("AB1234", 1234, CHECKSUM)
    assert told["unfilled_quantity"] == 0
    assert {key: told[key] for key in ROW if key in told} == {
        key: value for key, value in ROW.items() if key not in {"modified", "tags"}
    }


def test_what_is_unfilled_is_what_is_pending():
    told = payload(OPEN | {"filled_quantity": 4, "pending_quantity": 6}, api_secret="s", user_id="u", app_id=1)

    assert told["unfilled_quantity"] == 6


@pytest.mark.parametrize("status", ["COMPLETE", "REJECTED", "CANCELLED", "UPDATE"])
def test_ends_and_updates_are_posted_unless_of_an_amo(status):
    assert is_posted(ROW | {"status": status})
    assert not is_posted(ROW | {"status": status, "variety": "amo"})


@pytest.mark.parametrize("status", ["OPEN", "TRIGGER PENDING", "PUT ORDER REQ RECEIVED", "MODIFIED"])
def test_an_order_that_merely_is_is_not_posted(status):
    assert not is_posted(ROW | {"status": status})


class Receiver:
    """The user's server: answers each request with the next status, and 200 when they are used up."""

    def __init__(self) -> None:
        self.got: list[dict] = []
        self.types: list[str] = []
        self.statuses: list[int] = []
        self.hold = asyncio.Event()
        self.hold.set()

    async def take(self, request: web.Request) -> web.Response:
        await self.hold.wait()
        self.types.append(request.content_type)
        self.got.append(json.loads(await request.read()))
        status = self.statuses.pop(0) if self.statuses else 200
        return web.Response(status=status, headers={"Location": "/elsewhere"} if status == 302 else None)


async def welcome(_request: web.Request) -> web.Response:
    return web.Response()


@asynccontextmanager
async def receiving():
    """Start a receiver and postbacks to it, whose pauses are noted and not waited for."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/kite", receiver.take)
    app.router.add_get("/elsewhere", welcome)  # where a redirect that is followed would arrive
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    pauses = []

    async def note(seconds: float) -> None:
        pauses.append(seconds)

    url = f"http://127.0.0.1:{runner.addresses[0][1]}/kite"
    sender = Postbacks(url, sleep=note)
    await sender.start()
    try:
        yield receiver, sender, pauses
    finally:
        receiver.hold.set()
        await sender.stop()
        await runner.cleanup()


def test_a_postback_is_posted_as_raw_json():
    async def scenario() -> None:
        async with receiving() as (receiver, sender, pauses):
            sender.send(ROW)
            await until(lambda: receiver.got)

        assert receiver.got == [ROW]
        assert receiver.types == ["application/json"]
        assert pauses == []

    asyncio.run(scenario())


def test_only_ends_and_updates_of_orders_that_are_no_amo_are_posted():
    async def scenario() -> None:
        async with receiving() as (receiver, sender, _):
            for status in ("OPEN", "TRIGGER PENDING", "PUT ORDER REQ RECEIVED", "AMO REQ RECEIVED"):
                sender.send(ROW | {"status": status})
            sender.send(ROW | {"variety": "amo"})
            told = ["UPDATE", "COMPLETE", "REJECTED", "CANCELLED"]
            for status in told:
                sender.send(ROW | {"status": status})
            await until(lambda: len(receiver.got) == 4)

        assert [row["status"] for row in receiver.got] == told

    asyncio.run(scenario())


def test_a_failed_postback_is_tried_again_before_the_next_and_so_they_stay_in_order():
    async def scenario() -> None:
        async with receiving() as (receiver, sender, pauses):
            receiver.statuses = [500, 302]
            sender.send(ROW | {"order_id": "1"})
            sender.send(ROW | {"order_id": "2"})
            await until(lambda: len(receiver.got) == 4)

        assert [row["order_id"] for row in receiver.got] == ["1", "1", "1", "2"]
        assert pauses == [1, 2]

    asyncio.run(scenario())


def test_after_four_attempts_a_postback_is_given_up_and_logged(caplog):
    async def scenario() -> None:
        async with receiving() as (receiver, sender, pauses):
            receiver.statuses = [500] * 4
            sender.send(ROW | {"order_id": "1"})
            sender.send(ROW | {"order_id": "2"})
            await until(lambda: len(receiver.got) == 5)

        assert [row["order_id"] for row in receiver.got] == ["1", "1", "1", "1", "2"]
        assert pauses == [1, 2, 4]

    with caplog.at_level(logging.WARNING, postbacks.__name__):
        asyncio.run(scenario())

    assert caplog.messages == ["The postback of order 1 was given up: it answered 500."]


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "no url", "http://", "ftp://127.0.0.1/x"])
def test_a_receiver_that_is_not_there_is_only_logged(caplog, url):
    async def scenario() -> None:
        async def at_once(_seconds: float) -> None:
            await asyncio.sleep(0)

        sender = Postbacks(url, sleep=at_once)
        await sender.start()
        sender.send(ROW)
        await until(lambda: caplog.messages)
        await sender.stop()

    asyncio.run(scenario())

    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("The postback of order 220303000308932 was given up: ")


def test_a_queue_that_is_full_drops_and_the_sender_never_waits(caplog, monkeypatch):
    monkeypatch.setattr(postbacks, "QUEUE_MAX", 2)

    async def scenario() -> None:
        async with receiving() as (receiver, sender, _):
            receiver.hold.clear()
            sender.send(ROW | {"order_id": "0"})
            await until(lambda: sender.queue.empty())  # it is on its way
            for number in (1, 2, 3):
                sender.send(ROW | {"order_id": str(number)})
            assert caplog.messages == ["The postback of order 3 is dropped: too many wait."]
            receiver.hold.set()
            await until(lambda: len(receiver.got) == 3)

        assert [row["order_id"] for row in receiver.got] == ["0", "1", "2"]

    asyncio.run(scenario())


def test_stopping_waits_for_nobody_and_says_what_was_left(caplog):
    async def scenario() -> None:
        async with receiving() as (receiver, sender, _):
            receiver.hold.clear()
            sender.send(ROW)
            await until(lambda: sender.queue.empty())
            sender.send(ROW)
            await sender.stop()

            assert sender.session.closed
            assert receiver.got == []

    asyncio.run(scenario())

    assert caplog.messages[0] == "1 postbacks were not sent before the end."
