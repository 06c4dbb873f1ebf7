"""What waits for a client is bounded: ticks are left out and made up for, updates never are."""

from __future__ import annotations

import asyncio

from aiohttp import WSMsgType, web

from orders.paper.stream.connection import OUTBOX_MAX, STALLED_BEATS_MAX, TICKS_WAITING_MAX, Connection, Credentials
from orders.paper.stream.packets import HEARTBEAT, Mode

from .stand_ins import INFY, RELIANCE
from .streaming import Setting, decoded, until

WHO = Credentials(api_key="key", access_token="token")


class Transport:
    aborted = False

    def abort(self) -> None:
        self.aborted = True


def a_connection() -> Connection:
    """Return a connection whose client takes nothing: there is no writer."""
    return Connection(web.WebSocketResponse(), Transport(), WHO)


def test_ticks_are_taken_up_to_the_limit_and_then_left_out():
    connection = a_connection()

    assert all(connection.offer_tick(b"tick") for _ in range(TICKS_WAITING_MAX))
    assert not connection.offer_tick(b"tick")
    assert len(connection.outbox) == TICKS_WAITING_MAX
    assert not connection.transport.aborted


def test_an_update_finds_room_where_a_tick_does_not():
    connection = a_connection()
    while connection.offer_tick(b"tick"):
        pass

    connection.tell(b"update")

    assert (connection.outbox[-1].kind, connection.outbox[-1].payload) == (WSMsgType.TEXT, b"update")


def test_updates_are_kept_up_to_the_limit_and_one_more_breaks_the_connection():
    connection = a_connection()
    for _ in range(OUTBOX_MAX):
        connection.tell(b"update")
    assert (len(connection.outbox), connection.transport.aborted) == (OUTBOX_MAX, False)

    connection.tell(b"update")

    assert (len(connection.outbox), connection.transport.aborted) == (0, True)
    connection.tell(b"update")
    assert len(connection.outbox) == 0


def test_no_heartbeat_waits_behind_something_else():
    connection = a_connection()
    connection.tell(b"update")
    connection.beat()
    connection.beat()

    assert [message.payload for message in connection.outbox] == [b"update"]


def test_what_was_left_out_comes_with_the_first_tick_that_finds_room():
    setting = Setting()
    connection = a_connection()
    setting.stream.connections.append(connection)
    connection.subscribe({INFY.instrument_token: Mode.FULL, RELIANCE.instrument_token: Mode.LTP})
    for price in range(TICKS_WAITING_MAX):
        setting.prices.trade(RELIANCE, f"{1500 + price}.00")
        asyncio.run(setting.tick())
    setting.prices.trade(INFY, "1600.00")
    asyncio.run(setting.tick())
    assert connection.behind == {INFY.instrument_token}

    connection.outbox.clear()
    connection.ticks_waiting = 0
    setting.prices.trade(RELIANCE, "1510.00")
    asyncio.run(setting.tick())

    ticks = decoded(connection.outbox[-1].payload)
    assert {token: tick["last_price"] for token, tick in ticks.items()} == {408065: 1600.0, 738561: 1510.0}
    assert connection.behind == set()
    asyncio.run(setting.tick())
    assert len(connection.outbox) == 1


def test_what_was_left_out_and_then_unsubscribed_is_not_made_up_for():
    setting = Setting()
    connection = a_connection()
    setting.stream.connections.append(connection)
    connection.subscribe({INFY.instrument_token: Mode.FULL})
    connection.behind.add(INFY.instrument_token)

    connection.unsubscribe((INFY.instrument_token,))
    asyncio.run(setting.tick())

    assert len(connection.outbox) == 0
    assert connection.behind == set()  # else tokens that come and go would fill the memory


def test_answering_pings_does_not_put_off_the_heartbeat():
    connection = a_connection()
    connection.beat()
    connection.pong(b"here")
    connection.outbox.clear()  # it was sent

    connection.beat()

    assert [message.payload for message in connection.outbox] == [HEARTBEAT]


def test_pings_without_end_break_the_connection_of_who_does_not_read():
    connection = a_connection()
    for _ in range(OUTBOX_MAX + 1):
        connection.pong(b"here")

    assert (len(connection.outbox), connection.transport.aborted) == (0, True)


def test_who_takes_nothing_for_thirty_seconds_of_beats_is_let_go():
    connection = a_connection()
    connection.offer_tick(b"tick")
    for _ in range(STALLED_BEATS_MAX):
        connection.beat()
    assert not connection.transport.aborted

    connection.beat()

    assert (connection.transport.aborted, len(connection.outbox)) == (True, 0)


def test_a_heartbeat_that_is_not_taken_counts_too():
    connection = a_connection()
    for _ in range(STALLED_BEATS_MAX + 3):
        connection.beat()

    assert connection.transport.aborted


class SlowSocket:
    """Takes a message each time it is let."""

    def __init__(self) -> None:
        self.may = asyncio.Semaphore(0)
        self.taken: list[bytes] = []

    async def send_frame(self, payload: bytes, _kind: WSMsgType) -> None:
        await self.may.acquire()
        self.taken.append(payload)


def test_who_takes_one_message_now_and_then_is_kept():
    async def scenario() -> None:
        connection = Connection(SlowSocket(), Transport(), WHO)
        for number in range(4):
            connection.tell(b"%d" % number)
        writing = asyncio.create_task(connection.write())
        for taken in range(1, 4):
            for _ in range(STALLED_BEATS_MAX):
                connection.beat()
            connection.socket.may.release()
            await until(lambda taken=taken: len(connection.socket.taken) == taken)

        writing.cancel()
        assert not connection.transport.aborted
        assert connection.socket.taken == [b"0", b"1", b"2"]

    asyncio.run(scenario())


def test_who_is_told_nothing_is_not_taken_for_one_that_takes_nothing():
    connection = a_connection()
    connection.fall_silent()
    for _ in range(STALLED_BEATS_MAX * 2):
        connection.beat()

    assert not connection.transport.aborted
