"""A look at many instruments lets others have their turn, and what they do meanwhile is not lost."""

from __future__ import annotations

import asyncio
import itertools

from orders.paper.stream.feed import AT_ONCE, Feed
from orders.paper.stream.packets import Mode

from .stand_ins import FULL_SAMPLE, NOW, Prices, instrument

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
