"""How connections end: logged out, expired, shut down, or too slow for what there is to tell them."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import WSMsgType

from orders.paper.stream.connection import STALLED_BEATS_MAX
from orders.paper.stream.packets import HEARTBEAT
from tests.orders.paper.whole import whole

from .stand_ins import INFY
from .streaming import PAIR, SECONDS, Setting, World, decoded, until, world

INFY_TOKEN = INFY.instrument_token
ROW = {"order_id": "paper-1", "status": "COMPLETE", "average_price": 1573.7}


def run(scenario) -> None:
    """Run the scenario in a world of its own."""

    async def whole() -> None:
        async with world() as served:
            await scenario(served)

    asyncio.run(whole())


def test_a_session_that_ends_closes_its_connections_at_once_and_no_others():
    async def scenario(served: World) -> None:
        served.setting.tokens.valid.add(("key", "other"))
        gone, stays = await served.connect(), await served.connect(("key", "other"))
        served.setting.tokens.valid.remove(PAIR)

        served.stream.let_go(served.setting.now)

        message = await gone.hear()
        assert (message.type, message.data) == (WSMsgType.CLOSE, aiohttp.WSCloseCode.POLICY_VIOLATION)
        assert await stays.hears_nothing_more()
        await until(lambda: len(served.stream.connections) == 1)

    run(scenario)


def test_a_token_that_expires_ends_its_connections_at_the_next_tick():
    async def scenario(served: World) -> None:
        client = await served.connect()
        served.setting.tokens.valid.remove(PAIR)

        await served.setting.tick()

        assert (await client.hear()).type is WSMsgType.CLOSE

    run(scenario)


def test_when_the_application_shuts_down_it_says_goodbye():
    async def whole() -> None:
        setting = Setting()
        runner = await setting.serve()
        async with aiohttp.ClientSession() as session:
            client = await World(setting, session).connect()
            cleaning = asyncio.create_task(runner.cleanup())
            message = await client.hear()
            await cleaning

        assert (message.type, message.data) == (WSMsgType.CLOSE, aiohttp.WSCloseCode.GOING_AWAY)
        assert setting.stream.connections == []

    asyncio.run(whole())


def test_left_to_itself_the_stream_ticks_and_beats():
    async def whole() -> None:
        async with world(sleep=asyncio.sleep, look_seconds=0.01, beat_seconds=0.01) as served:
            client = await served.connect()
            assert (await client.hear()).data == HEARTBEAT
            await client.say("subscribe", [INFY_TOKEN])
            served.prices.trade(INFY, "1600.00")
            told = 0
            while told != 1600.0:
                told = decoded((await client.hear()).data).get(INFY_TOKEN, {}).get("last_price")

    asyncio.run(whole())


def test_a_stream_that_stops_ticking_says_so(caplog):
    async def whole() -> None:
        async with world(sleep=asyncio.sleep, look_seconds=0.01) as served:
            client = await served.connect()
            await client.say("subscribe", [INFY_TOKEN])
            await client.hear_ticks()
            served.prices.by_token.clear()
            await until(lambda: served.stream.running.done())

    asyncio.run(whole())

    assert "The stream stopped ticking." in caplog.text


def test_a_connection_that_is_being_ended_takes_no_place():
    async def scenario(served: World) -> None:
        first, *_ = [await served.connect() for _ in range(3)]
        assert (await served.refusal())[0] == 429

        served.stream.connections[0].abort()

        assert len(served.stream.connections) == 3
        assert await (await served.connect()).hears_nothing_more()
        assert (await first.hear()).type in {WSMsgType.CLOSED, WSMsgType.ERROR}

    run(scenario)


@asynccontextmanager
async def never_reading(served: World):
    """Connect a client that says hello, subscribes to INFY and then does not read."""
    host, port = served.setting.root.removeprefix("ws://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    writer.write(
        b"GET /?api_key=key&access_token=token HTTP/1.1\r\nHost: paper\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    reader._transport.pause_reading()
    try:
        yield served.stream.connections[-1]
    finally:
        writer.transport.abort()


def test_who_does_not_read_stops_nobody_else_and_is_let_go():
    async def scenario(served: World) -> None:
        reading = await served.connect()
        async with never_reading(served) as stuck:
            big = {"order_id": "paper-1", "padding": "x" * 500_000}
            sent = 0
            while not stuck.outbox:  # until the machine's own buffers are full
                served.stream.order_update(big, served.setting.now)
                await reading.hear()
                sent += 1
                assert sent < 200
            for _ in range(2000):
                served.stream.order_update(ROW, served.setting.now)
                assert len(stuck.outbox) <= 1000
                assert await reading.hear_text() == {"type": "order", "data": ROW}

            assert len(stuck.outbox) == 0
            await until(lambda: stuck not in served.stream.connections)
            assert await reading.hears_nothing_more()

    run(scenario)


def test_who_does_not_read_is_let_go_before_its_outbox_is_full():
    async def scenario(served: World) -> None:
        reading = await served.connect()
        async with never_reading(served) as stuck:
            big = {"order_id": "paper-1", "padding": "x" * 500_000}
            while len(stuck.outbox) < 5:  # until the machine's own buffers are full
                served.stream.order_update(big, served.setting.now)
                await reading.hear()
            for _ in range(STALLED_BEATS_MAX + 2):  # before the first, something was taken
                served.stream.beat()
                while not await reading.hears_nothing_more():
                    pass  # it was a heartbeat; the next answer is to the ping

            await until(lambda: stuck not in served.stream.connections)
            assert len(served.stream.connections) == 1

    run(scenario)


def test_the_kernel_is_asked_to_notice_a_client_that_vanished():
    async def scenario(served: World) -> None:
        await served.connect()

        wire = served.stream.connections[0].transport.get_extra_info("socket")

        assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000

    run(scenario)


@pytest.mark.parametrize("how", ["logout", "end of all sessions"])
def test_a_session_that_is_ended_closes_its_sockets_without_waiting_for_a_look_at_the_market(tmp_path, how):
    async def whole_scenario() -> None:
        async with whole(tmp_path) as server:
            server.stream.tick = lambda _now: None
            token = await server.log_in("app")
            client = await server.connect(("app", token))

            if how == "logout":
                await server.ask("DELETE", f"/session/token?api_key=app&access_token={token}")
            else:
                await server.control("DELETE", "sessions")

            message = await client.hear()
            while message.data == HEARTBEAT:
                message = await client.hear()
            assert (message.type, message.data) == (WSMsgType.CLOSE, aiohttp.WSCloseCode.POLICY_VIOLATION)

    asyncio.run(asyncio.wait_for(whole_scenario(), SECONDS))
