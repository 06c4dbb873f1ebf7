"""A look at many instruments lets others have their turn, and what they do meanwhile is not lost."""

from __future__ import annotations

import asyncio
import itertools

from orders.paper.stream.feed import AT_ONCE, Feed
from orders.paper.stream.packets import Mode
from orders.paper.stream.wishes import Action, Wish

from .stand_ins import FULL_SAMPLE, NOW, Prices, instrument
from .streaming import Setting, decoded
from .test_stream_outbox import a_connection

MANY = [instrument(number, f"SHARE{number}") for number in range(1, 3 * AT_ONCE + 2)]
WATCHED = {one.instrument_token: Mode.FULL for one in MANY}


def a_feed() -> Feed:
    prices = Prices()
    prices.by_token = dict.fromkeys(WATCHED, FULL_SAMPLE)
    return Feed(prices, MANY)


def test_others_have_their_turn_while_many_instruments_are_looked_at():
    async def scenario() -> list[int]:
        feed = a_feed()
        look = asyncio.create_task(feed.news(WATCHED.items, NOW))
        looked_at = [0]
        while not look.done():
            await asyncio.sleep(0)
            looked_at.append(feed.prices.looks)
        assert look.result().keys() == set(WATCHED.items())
        return looked_at

    looked_at = asyncio.run(scenario())

    steps = {after - before for before, after in itertools.pairwise(looked_at)} - {0}
    assert steps == {AT_ONCE, 1}


def test_what_is_watched_and_left_during_a_look_is_known_afterwards():
    async def scenario() -> None:
        feed, first, last = a_feed(), MANY[0], MANY[-1]
        watched = {token: mode for token, mode in WATCHED.items() if token != last.instrument_token}
        look = asyncio.create_task(feed.news(watched.items, NOW))
        await asyncio.sleep(0)
        assert feed.current({last.instrument_token: Mode.LTP}, NOW)
        watched[last.instrument_token] = Mode.LTP
        del watched[first.instrument_token]
        await look

        assert set(feed.told) == set(watched.items())
        assert set(feed.seen) == set(watched)
        assert await feed.news(watched.items, NOW) == {}

    asyncio.run(scenario())


def test_who_subscribes_during_a_look_is_not_told_the_older_price_of_that_look():
    async def scenario() -> None:
        setting = Setting(instruments=MANY)
        setting.prices.by_token = dict.fromkeys(WATCHED, FULL_SAMPLE)
        watching, newcomer = a_connection(), a_connection()
        watching.subscribe(WATCHED)
        setting.stream.connections += [watching, newcomer]
        look = asyncio.create_task(setting.tick())
        await asyncio.sleep(0)
        token = next(iter(setting.stream.feed.seen))
        one = next(each for each in MANY if each.instrument_token == token)
        setting.prices.trade(one, "1600.00")
        setting.stream._subscribe(newcomer, Wish(action=Action.SUBSCRIBE, tokens=(token,), mode=Mode.FULL))
        await look

        assert prices(watching) == [float(FULL_SAMPLE.last_price)]
        assert prices(newcomer) == [1600.0]
        setting.prices.trade(one, str(FULL_SAMPLE.last_price))
        await setting.tick()
        assert prices(newcomer) == [1600.0, float(FULL_SAMPLE.last_price)]

    def prices(connection):
        told = [decoded(message.payload) for message in connection.outbox]
        return [next(iter(ticks.values()))["last_price"] for ticks in told]

    asyncio.run(scenario())
