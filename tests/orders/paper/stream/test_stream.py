"""The WebSocket as a client sees it that hides nothing: handshakes, ticks, updates, limits and endings."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import aiohttp
import pytest
from aiohttp import WSMsgType

from orders.paper.errors import BAD_TOKEN
from orders.paper.stream import stream as stream_module
from orders.paper.stream.connection import TICKS_WAITING_MAX
from orders.paper.stream.packets import HEARTBEAT

from .stand_ins import INFY, NIFTY, RELIANCE
from .streaming import World, until, world

INFY_TOKEN, RELIANCE_TOKEN, NIFTY_TOKEN = (one.instrument_token for one in (INFY, RELIANCE, NIFTY))
ROW = {"order_id": "paper-1", "status": "COMPLETE", "average_price": 1573.7}


def run(scenario) -> None:
    """Run the scenario in a world of its own."""

    async def whole() -> None:
        async with world() as served:
            await scenario(served)

    asyncio.run(whole())


def a_subscription_is_answered_at_once(path: str):
    async def scenario(served: World) -> None:
        client = await served.connect(path=path)
        await client.say("subscribe", [INFY_TOKEN, NIFTY_TOKEN])

        ticks = await client.hear_ticks()

        assert [tick["mode"] for tick in ticks.values()] == ["quote", "quote"]
        assert ticks[INFY_TOKEN]["last_price"] == 1573.7
        assert ticks[NIFTY_TOKEN]["last_price"] == 15834.35

    return scenario


@pytest.mark.parametrize("path", ["/", "/ws"])
def test_a_subscription_is_answered_at_once_with_quotes(path):
    run(a_subscription_is_answered_at_once(path))


def test_each_mode_is_told_in_its_own_packets():
    async def scenario(served: World) -> None:
        client = await served.connect()
        for mode in ("ltp", "quote", "full"):
            await client.say("mode", [mode, [INFY_TOKEN]])
            ticks = await client.hear_ticks()
            assert ticks[INFY_TOKEN]["mode"] == mode

    run(scenario)


def test_a_tick_tells_only_what_changed_and_only_to_who_wants_it():
    async def scenario(served: World) -> None:
        both, other = await served.connect(), await served.connect()
        await both.say("subscribe", [INFY_TOKEN, RELIANCE_TOKEN])
        await other.say("subscribe", [RELIANCE_TOKEN])
        await both.hear_ticks()
        await other.hear_ticks()

        served.prices.trade(INFY, "1580.00")
        await served.setting.tick()

        ticks = await both.hear_ticks()
        assert {token: tick["last_price"] for token, tick in ticks.items()} == {INFY_TOKEN: 1580.0}
        assert await other.hears_nothing_more()
        await served.setting.tick()
        assert await both.hears_nothing_more()

    run(scenario)


def test_time_alone_is_no_news_even_in_full_mode():
    async def scenario(served: World) -> None:
        client = await served.connect()
        await client.say("mode", ["full", [INFY_TOKEN]])
        await client.hear_ticks()

        await served.setting.tick(served.setting.now + timedelta(seconds=1))

        assert await client.hears_nothing_more()

    run(scenario)


def test_who_reads_gets_every_tick_however_many_there_are():
    async def scenario(served: World) -> None:
        client = await served.connect()
        await client.say("subscribe", [INFY_TOKEN])
        await client.hear_ticks()
        for price in range(1600, 1600 + 3 * TICKS_WAITING_MAX):
            served.prices.trade(INFY, f"{price}.00")
            await served.setting.tick()
            assert (await client.hear_ticks())[INFY_TOKEN]["last_price"] == price

    run(scenario)


def test_a_change_of_depth_is_told_in_full_mode_alone():
    async def scenario(served: World) -> None:
        full, ltp = await served.connect(), await served.connect()
        await full.say("mode", ["full", [INFY_TOKEN]])
        await ltp.say("mode", ["ltp", [INFY_TOKEN]])
        await full.hear_ticks()
        await ltp.hear_ticks()

        served.prices.change(INFY, depth=served.prices.by_token[NIFTY_TOKEN].depth)
        await served.setting.tick()

        assert (await full.hear_ticks())[INFY_TOKEN]["depth"]["buy"][0]["quantity"] == 0
        assert await ltp.hears_nothing_more()

    run(scenario)


def test_who_comes_later_does_not_take_a_change_from_who_was_there():
    async def scenario(served: World) -> None:
        first = await served.connect()
        await first.say("subscribe", [INFY_TOKEN])
        await first.hear_ticks()
        served.prices.trade(INFY, "1580.00")
        later = await served.connect()
        await later.say("subscribe", [INFY_TOKEN])
        assert (await later.hear_ticks())[INFY_TOKEN]["last_price"] == 1580.0

        await served.setting.tick()

        assert (await first.hear_ticks())[INFY_TOKEN]["last_price"] == 1580.0

    run(scenario)


def test_an_instrument_is_looked_at_once_for_all_connections():
    async def scenario(served: World) -> None:
        clients = [await served.connect() for _ in range(3)]
        for client in clients:
            await client.say("mode", ["full", [INFY_TOKEN]])
            await client.hear_ticks()
        looks = served.prices.looks

        await served.setting.tick()

        assert served.prices.looks == looks + 1

    run(scenario)


def test_after_unsubscribing_nothing_is_told_and_nothing_is_looked_at():
    async def scenario(served: World) -> None:
        client = await served.connect()
        await client.say("subscribe", [INFY_TOKEN])
        await client.hear_ticks()
        await client.say("unsubscribe", [INFY_TOKEN, 1])
        assert await client.hears_nothing_more()
        looks = served.prices.looks

        served.prices.trade(INFY, "1580.00")
        await served.setting.tick()

        assert await client.hears_nothing_more()
        assert served.prices.looks == looks
        assert served.stream.feed.seen == {}
        assert served.stream.feed.told == {}

    run(scenario)


def test_subscribing_again_brings_the_mode_back_to_quote():
    async def scenario(served: World) -> None:
        client = await served.connect()
        await client.say("mode", ["full", [INFY_TOKEN]])
        await client.hear_ticks()
        await client.say("subscribe", [INFY_TOKEN])

        assert (await client.hear_ticks())[INFY_TOKEN]["mode"] == "quote"

    run(scenario)


def test_unknown_tokens_are_ignored():
    async def scenario(served: World) -> None:
        client = await served.connect()
        await client.say("subscribe", [1, INFY_TOKEN, 4294967295])

        assert list(await client.hear_ticks()) == [INFY_TOKEN]
        await client.say("subscribe", [2])
        await served.setting.tick()
        assert await client.hears_nothing_more()

    run(scenario)


def test_nonsense_gets_an_error_message_and_the_conversation_goes_on():
    async def scenario(served: World) -> None:
        client = await served.connect()
        for nonsense in ("", "null", '{"a": 1}', "[" * 60_000, "x" * 70_000, '{"a":"subscribe","v":[[[1]]]}'):
            await client.socket.send_str(nonsense)
            answer = await client.hear_text()
            assert answer["type"] == "error"
            assert isinstance(answer["data"], str)
        await client.socket.send_bytes(b"\x00\x01")
        assert await client.hear_text() == {"type": "error", "data": "Messages should be text."}

        await client.say("subscribe", [INFY_TOKEN])
        assert INFY_TOKEN in await client.hear_ticks()

    run(scenario)


def test_a_message_beyond_a_mebibyte_closes_the_connection_and_no_other():
    async def scenario(served: World) -> None:
        rude, polite = await served.connect(), await served.connect()
        await rude.socket.send_str("x" * (1024 * 1024 + 1))
        message = await rude.hear()

        assert (message.type, message.data) == (WSMsgType.CLOSE, aiohttp.WSCloseCode.MESSAGE_TOO_BIG)
        assert await polite.hears_nothing_more()

    run(scenario)


def test_a_connection_takes_three_thousand_instruments_and_not_one_more():
    async def scenario(served: World) -> None:
        client = await served.connect()
        await client.say("subscribe", list(range(3000)))
        assert await client.hears_nothing_more()

        await client.say("subscribe", [INFY_TOKEN])
        assert await client.hear_text() == {
            "type": "error",
            "data": "More than 3000 instruments on one connection.",
        }
        await client.say("mode", ["full", [0, 1]])
        await client.say("unsubscribe", [0])
        await client.say("subscribe", [INFY_TOKEN])
        assert INFY_TOKEN in await client.hear_ticks()

    run(scenario)


def test_an_order_update_reaches_every_connection():
    async def scenario(served: World) -> None:
        clients = [await served.connect(), await served.connect()]
        served.stream.order_update(ROW, served.setting.now)

        for client in clients:
            assert await client.hear_text() == {"type": "order", "data": ROW}

    run(scenario)


def test_an_update_is_lost_on_who_is_not_connected():
    async def scenario(served: World) -> None:
        served.stream.order_update(ROW, served.setting.now)

        assert await (await served.connect()).hears_nothing_more()

    run(scenario)


def test_a_wrong_token_is_refused_before_the_upgrade_in_kites_envelope():
    async def scenario(served: World) -> None:
        envelope = {"status": "error", "message": BAD_TOKEN, "data": None, "error_type": "TokenException"}

        assert await served.refusal(("key", "stale")) == (403, envelope)
        assert await served.refusal(("", "")) == (403, envelope)

    run(scenario)


def test_what_is_no_handshake_is_told_so():
    async def scenario(served: World) -> None:
        url = served.setting.root.replace("ws://", "http://")
        async with served.session.get(f"{url}/?api_key=key&access_token=token") as answer:
            envelope = await answer.json()

        assert (answer.status, envelope["error_type"]) == (400, "InputException")

    run(scenario)


def test_a_fourth_connection_of_an_api_key_is_refused_until_one_of_three_ends():
    async def scenario(served: World) -> None:
        served.setting.tokens.valid.add(("other", "token"))
        first, *_ = [await served.connect() for _ in range(3)]

        status, envelope = await served.refusal()
        assert (status, envelope["error_type"], envelope["message"]) == (
            429,
            "NetworkException",
            "Too many requests",
        )
        assert await (await served.connect(("other", "token"))).hears_nothing_more()

        await first.socket.close()
        await until(lambda: len(served.stream.connections) == 3)
        assert await (await served.connect()).hears_nothing_more()

    run(scenario)


def test_a_heartbeat_is_one_byte_and_comes_only_when_nothing_else_did():
    async def scenario(served: World) -> None:
        client = await served.connect()
        served.stream.beat()  # what was before it connected does not count as silence
        assert await client.hears_nothing_more()

        for _ in range(2):
            served.stream.beat()
            message = await client.hear()
            assert (message.type, message.data) == (WSMsgType.BINARY, HEARTBEAT)

        await client.say("subscribe", [INFY_TOKEN])
        await client.hear_ticks()
        served.stream.beat()
        assert await client.hears_nothing_more()

    run(scenario)


def test_a_pong_comes_only_to_a_ping():
    async def scenario(served: World) -> None:
        client = await served.connect()
        served.stream.beat()
        heard = []
        for _ in range(20):
            served.stream.beat()
            await served.setting.tick()
            heard.append(await client.hear())

        assert {message.type for message in heard} == {WSMsgType.BINARY}
        await client.socket.ping(b"now")
        answer = await client.hear()
        assert (answer.type, answer.data) == (WSMsgType.PONG, b"now")
        await client.socket.pong(b"of the client's own accord")
        assert await client.hears_nothing_more()

    run(scenario)


def test_error_messages_are_json_whatever_they_quote():
    assert json.loads(stream_module.error_message('"quoted" \u20b9')) == {"type": "error", "data": '"quoted" \u20b9'}
