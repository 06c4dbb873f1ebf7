"""Each mishap does to the clients what it says, and nothing to those it does not concern."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import aiohttp
import pytest
from aiohttp import WSMsgType

from orders.paper.stream.mishaps import AT_HANDSHAKE, AT_TICK, StreamMishap, UpdateFault, UpdateKind

from .stand_ins import INFY
from .streaming import World, world

INFY_TOKEN = INFY.instrument_token


def run(scenario, **options) -> None:
    async def whole() -> None:
        async with world(**options) as served:
            await scenario(served)

    asyncio.run(whole())


def in_turn(*faults):
    """Return a question that is answered with these, one after another, and then with None."""
    queue = list(faults)
    return lambda now, *_: queue.pop(0) if queue else None


def row(number: int) -> dict:
    return {"order_id": f"paper-{number}", "status": "COMPLETE"}


async def told(client, how_many: int) -> list[str]:
    numbers = [(await client.hear_text())["data"]["order_id"].removeprefix("paper-") for _ in range(how_many)]
    assert await client.hears_nothing_more()
    return numbers


@pytest.mark.parametrize(
    ("kind", "order"),
    [
        (UpdateKind.DUPLICATE, ["1", "1", "2", "3"]),
        (UpdateKind.MISSING, ["2", "3"]),
        (UpdateKind.OUT_OF_ORDER, ["2", "1", "3"]),
        (UpdateKind.LATE, ["2", "3"]),
    ],
)
def test_an_update_fault_meets_the_one_update_that_it_was_given_for(kind, order):
    async def scenario(served: World) -> None:
        client = await served.connect()
        for number in (1, 2, 3):
            served.stream.order_update(row(number), served.setting.now)

        assert await told(client, len(order)) == order

    run(scenario, update_fault=in_turn(UpdateFault(kind=kind, after=timedelta(seconds=5))))


def test_a_late_update_is_released_when_the_clock_has_come_so_far():
    async def scenario(served: World) -> None:
        client = await served.connect()
        served.stream.order_update(row(1), served.setting.now)
        served.stream.release(served.setting.now + timedelta(seconds=4))
        assert await client.hears_nothing_more()

        served.stream.release(served.setting.now + timedelta(seconds=5))
        assert await told(client, 1) == ["1"]

    run(scenario, update_fault=in_turn(UpdateFault(kind=UpdateKind.LATE, after=timedelta(seconds=5))))


def test_an_update_that_nobody_hears_uses_up_no_fault():
    async def scenario(served: World) -> None:
        served.stream.order_update(row(1), served.setting.now)
        client = await served.connect()
        served.stream.order_update(row(2), served.setting.now)

        assert await told(client, 2) == ["2", "2"]

    run(scenario, update_fault=in_turn(UpdateFault(kind=UpdateKind.DUPLICATE)))


def test_a_silent_connection_stays_open_and_says_nothing_not_even_to_a_ping():
    async def scenario(served: World) -> None:
        client = await served.connect()
        await client.say("subscribe", [INFY_TOKEN])
        await client.hear_ticks()

        served.stream.suffer(StreamMishap.SILENT)
        served.prices.trade(INFY, "1600.00")
        await served.setting.tick()
        served.stream.beat()
        served.stream.beat()
        served.stream.order_update(row(1), served.setting.now)
        await client.say("subscribe", [INFY_TOKEN])
        await client.socket.ping()

        with pytest.raises(TimeoutError):
            await client.socket.receive(0.1)
        assert not client.socket.closed
        assert len(served.stream.connections) == 1

        again = await served.connect()
        served.stream.order_update(row(2), served.setting.now)
        assert await told(again, 1) == ["2"]

    run(scenario)


def test_for_a_client_that_is_told_nothing_no_price_is_looked_at():
    async def scenario(served: World) -> None:
        client = await served.connect()
        await client.say("subscribe", [INFY_TOKEN])
        await client.hear_ticks()
        served.stream.suffer(StreamMishap.SILENT)
        looks = served.prices.looks

        await served.setting.tick()

        assert served.prices.looks == looks

    run(scenario)


def test_a_silent_connection_that_is_let_speak_again_makes_up_for_what_it_missed():
    async def scenario(served: World) -> None:
        client = await served.connect()
        await client.say("subscribe", [INFY_TOKEN])
        await client.hear_ticks()
        served.stream.suffer(StreamMishap.SILENT)
        other = await served.connect()
        await other.say("subscribe", [INFY_TOKEN])
        await other.hear_ticks()
        served.prices.trade(INFY, "1600.00")
        await served.setting.tick()
        await other.hear_ticks()

        served.stream.forget()
        await served.setting.tick()

        assert (await client.hear_ticks())[INFY_TOKEN]["last_price"] == 1600.0
        assert await other.hears_nothing_more()

    run(scenario)


def test_a_dropped_connection_ends_without_a_goodbye_and_the_next_one_is_sound():
    async def scenario(served: World) -> None:
        clients = [await served.connect(), await served.connect()]

        served.stream.suffer(StreamMishap.DROP)

        for client in clients:
            assert (await client.hear()).type in {WSMsgType.CLOSED, WSMsgType.ERROR}
            assert client.socket.close_code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE
        assert await (await served.connect()).hears_nothing_more()

    run(scenario)


def test_as_many_handshakes_are_refused_as_were_asked_for():
    async def scenario(served: World) -> None:
        connected = await served.connect()
        served.stream.suffer(StreamMishap.REFUSE, times=2)

        refusals = [await served.refusal(), await served.refusal()]

        assert [(status, envelope["error_type"]) for status, envelope in refusals] == [(403, "TokenException")] * 2
        assert await (await served.connect()).hears_nothing_more()
        assert await connected.hears_nothing_more()

    run(scenario)


def test_a_stray_pong_is_sent_on_purpose():
    async def scenario(served: World) -> None:
        client = await served.connect()
        served.stream.suffer(StreamMishap.STRAY_PONG)

        message = await client.hear()

        assert (message.type, message.data) == (WSMsgType.PONG, b"")

    run(scenario)


def test_mishaps_are_asked_for_where_they_can_happen():
    asked = []

    def mishap(now, possible):
        asked.append(possible)
        return StreamMishap.REFUSE if possible == AT_HANDSHAKE and len(asked) == 1 else None

    async def scenario(served: World) -> None:
        await served.setting.tick()
        assert asked == []
        assert (await served.refusal())[0] == 403
        await served.connect()
        await served.setting.tick()
        assert asked == [AT_HANDSHAKE, AT_HANDSHAKE, AT_TICK]

    run(scenario, mishap=mishap)


def test_a_mishap_answered_at_a_tick_happens_then():
    async def scenario(served: World) -> None:
        client = await served.connect()
        await served.setting.tick()

        assert (await client.hear()).type is WSMsgType.PONG

    run(scenario, mishap=in_turn(None, StreamMishap.STRAY_PONG))
