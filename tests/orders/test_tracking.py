"""
Tracking: whatever the stream tells, loses, doubles or turns round, our book ends equal to the broker's.

Here nothing is polled: a tracker that waits a minute, beside the stream, so that only what was heard can have brought a
change about; where polling is the floor under a loss, the test says so.

Broken on purpose, and what went red: the book changed as the update says instead of read — the tests of updates that
come doubled, late or in the wrong order, and of an update that lies; no read on connect — an update lost to a cut link;
no watchdog — an update lost to a link that fell silent; the nudge cleared after the read — a nudge during a read; no
pause between reads, no look at what other processes did, no look for postbacks — the tests of how often the book is
read; a refused login kept — the test of that login.
"""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

from orders import by_hand
from orders.broker.kite import KiteGateway
from orders.broker.sessions import TokenVault
from orders.desk import Desk, StreamAddress
from orders.execution import cancel
from orders.listener import ExecutorDied, Listener, broker_stream, streamed_prices
from orders.loops import Loop
from orders.models import BrokerSession, Fill, Order, Position
from orders.quotes import FOLLOWED_MAX, follow_prices, last_quote, quote_and_band
from orders.tracker import Tracker
from orders.traffic import traffic
from risk.engine.facts import Quote
from risk.models import Mode
from tests.conftest import open_the_limits

from .paper.paper_process import until

STATUSES = {"COMPLETE": "FILLED", "CANCELLED": "CANCELLED", "REJECTED": "REJECTED"}


class Tracked:
    """A desk with a tracker and the broker's stream in threads, as the listener runs them."""

    def __init__(self, desk: Desk, *, busy_seconds: float, idle_seconds: float) -> None:
        self.desk = replace(desk, streamed_prices=streamed_prices(desk))
        self.tracker = Tracker(self.desk, ready=threading.Event(), busy_seconds=busy_seconds, idle_seconds=idle_seconds)
        self.stream = broker_stream(self.desk, nudge=self.tracker.nudge)
        self._stopping = threading.Event()
        self._loops = [
            Loop(name, turns, self._stopping) for name, turns in (("tracker", self.tracker), ("stream", self.stream))
        ]
        for loop in self._loops:
            loop.start()

    def stop(self) -> None:
        self._stopping.set()
        self.tracker.nudge()
        for loop in self._loops:
            loop.join(20)
            assert not loop.is_alive()
        self.stream.close()


class Counting:
    """A gateway that counts how often the book and prices were asked for, and when."""

    def __init__(self, gateway: Any) -> None:
        self._gateway = gateway
        self.reads: list[float] = []
        self.questions = 0

    def book(self, as_of):
        self.reads.append(time.monotonic())
        return self._gateway.book(as_of)

    def quotes(self, keys):
        self.questions += 1
        return self._gateway.quotes(keys)

    def __getattr__(self, name):
        return getattr(self._gateway, name)


@pytest.fixture
def streaming(desk, paper) -> Desk:
    """The desk at a broker whose stream is heard, counting what is asked of it."""
    address = StreamAddress(url=paper.root.replace("http", "ws", 1) + "/ws", api_key="paper")
    return replace(desk, stream=address, gateway=Counting(desk.gateway))


@pytest.fixture
def track(streaming) -> Iterator[Callable[..., Tracked]]:
    made: list[Tracked] = []

    def start(desk: Desk = streaming, *, busy_seconds: float = 60, idle_seconds: float = 60) -> Tracked:
        tracked = Tracked(desk, busy_seconds=busy_seconds, idle_seconds=idle_seconds)
        made.append(tracked)
        until(tracked.stream.is_alive, seconds=20)
        settled(tracked)
        return tracked

    yield start
    for each in made:
        each.stop()


def settled(tracked: Tracked) -> None:
    """Wait until the read that a connect asks for is over, so that a later change can only be heard."""
    reads = tracked.desk.gateway.reads
    until(lambda: reads and not tracked.tracker._nudge.is_set(), seconds=20)
    count = -1
    while count != len(reads):
        count = len(reads)
        time.sleep(1.0)


def the_books(paper) -> tuple[list[tuple], list[tuple]]:
    """Return our orders and the broker's, in one shape: id, status, shares, filled, price, trades."""
    trades: dict[str, set[str]] = {}
    for row in paper.kite().trades():
        trades.setdefault(row["order_id"], set()).add(row["trade_id"])
    theirs = [
        (
            row["order_id"],
            STATUSES.get(row["status"], "PARTIALLY_FILLED" if row["filled_quantity"] else "OPEN"),
            row["quantity"],
            row["filled_quantity"],
            Decimal(str(row["price"])),
            frozenset(trades.get(row["order_id"], ())),
        )
        for row in paper.kite().orders()
    ]
    ours = [
        (
            order.broker_order_id,
            order.status,
            order.quantity,
            order.filled_quantity,
            order.price,
            frozenset(order.fills.values_list("trade_id", flat=True)),
        )
        for order in Order.objects.prefetch_related("fills")
    ]
    return sorted(ours), sorted(theirs)


def agreed(paper, seconds: float = 15) -> list[tuple]:
    """Wait until both books say the same, and return what they say."""
    with suppress(AssertionError):
        until(lambda: (books := the_books(paper))[0] == books[1], seconds)
    ours, theirs = the_books(paper)
    assert ours == theirs
    return ours


def bought_elsewhere(paper, price: float = 1405.0, **changes: Any) -> str:
    return paper.kite().place_order(
        "regular",
        **{
            "exchange": "NSE",
            "tradingsymbol": "RELIANCE",
            "transaction_type": "BUY",
            "quantity": 1,
            "product": "CNC",
            "order_type": "LIMIT",
            "price": price,
            "validity": "DAY",
            **changes,
        },
    )


def status_of(order: Order) -> str:
    return Order.objects.values_list("status", flat=True).get(pk=order.pk)


pytestmark = pytest.mark.django_db(transaction=True)


# --- What is heard ---------------------------------------------------------------------------------------------------


def test_an_order_that_fills_is_filled_here_without_waiting_for_a_poll(track, resting, paper):
    order = resting()
    track()

    paper.set_price("NSE:RELIANCE", "1390.00")

    until(lambda: status_of(order) == "FILLED", seconds=10)
    agreed(paper)
    assert Position.objects.get(symbol="RELIANCE").quantity == 1


@pytest.mark.parametrize("fault", ["duplicate", "out_of_order", "late"])
def test_updates_that_come_doubled_late_or_in_the_wrong_order_end_in_the_brokers_book(track, resting, paper, fault):
    order = resting(quantity=2)
    track()
    paper.fault("updates", fault, times=2, **({"seconds": 1.0} if fault == "late" else {}))

    paper.kite().modify_order("regular", order.broker_order_id, price=1391.0, quantity=3)
    paper.set_price("NSE:RELIANCE", "1391.00")
    paper.set_price("NSE:INFY", "1499.00")
    bought_elsewhere(paper, 1300.0)
    bought_elsewhere(paper)  # which ends, and so is told: what was overtaken comes after it

    ours = agreed(paper)
    assert ("FILLED", 3, 3) in [row[1:4] for row in ours]


def test_an_update_after_complete_changes_nothing(track, resting, paper):
    order = resting(quantity=2)
    track()
    # The modification's UPDATE overtaken by COMPLETE.
    paper.fault("updates", "out_of_order", times=1)

    paper.kite().modify_order("regular", order.broker_order_id, price=1391.0)
    paper.set_price("NSE:RELIANCE", "1391.00")

    until(lambda: status_of(order) == "FILLED", seconds=10)
    assert agreed(paper)[0][1:4] == ("FILLED", 2, 2)
    order.refresh_from_db()
    assert [event.after for event in order.events.all() if event.before != event.after][-1] == "FILLED"


def test_an_update_that_lies_is_not_believed(track, streaming, resting, paper):
    order = resting()
    lie = {"order_id": order.broker_order_id, "status": "COMPLETE", "filled_quantity": 1, "tag": order.client_order_id}
    said = threading.Event()

    def handler(link):
        with suppress(ConnectionClosed):
            while True:
                if said.is_set():
                    link.send(json.dumps({"type": "order", "data": lie}))
                link.send(b"\x00")
                time.sleep(0.2)

    with serve(handler, "127.0.0.1", 0) as liar:
        threading.Thread(target=liar.serve_forever, daemon=True).start()
        url = f"ws://127.0.0.1:{liar.socket.getsockname()[1]}"
        tracked = track(replace(streaming, stream=StreamAddress(url=url, api_key="paper")))
        reads = len(tracked.desk.gateway.reads)
        said.set()
        until(lambda: len(tracked.desk.gateway.reads) >= reads + 2, seconds=15)
        tracked.stop()
        liar.shutdown()

    assert agreed(paper)[0][1] == "OPEN"


# --- What is lost ----------------------------------------------------------------------------------------------------


def test_an_update_that_is_lost_is_made_up_by_the_poll(track, resting, paper):
    order = resting()
    track(busy_seconds=1)
    paper.fault("updates", "missing", times=10)

    paper.set_price("NSE:RELIANCE", "1390.00")

    until(lambda: status_of(order) == "FILLED", seconds=10)
    agreed(paper)


@pytest.mark.parametrize("fault", ["drop", "silent"])
def test_an_update_lost_to_a_dead_link_is_made_up_by_the_read_on_connect(track, resting, paper, fault):
    order = resting()
    tracked = track()
    paper.fault("updates", "missing", times=10)  # as nobody hears what is told between two links

    paper.set_price("NSE:RELIANCE", "1390.00")
    until(lambda: paper.kite().orders()[0]["status"] == "COMPLETE")
    assert status_of(order) == "OPEN"
    paper.fault("stream", fault)

    until(lambda: status_of(order) == "FILLED", seconds=30)
    assert tracked.stream.connects == 2
    agreed(paper)


# --- What others do --------------------------------------------------------------------------------------------------


def test_an_order_changed_in_kites_own_app_is_changed_here(track, resting, paper):
    order = resting()
    track()

    paper.kite().modify_order("regular", order.broker_order_id, quantity=3, price=1391.0)

    # A modification is told as UPDATE.
    assert agreed(paper)[0][1:5] == ("OPEN", 3, 0, Decimal("1391"))


def test_an_order_cancelled_in_kites_own_app_is_cancelled_here(track, resting, paper):
    order = resting()
    track()

    paper.kite().cancel_order("regular", order.broker_order_id)

    assert agreed(paper)[0][1] == "CANCELLED"


def test_an_order_placed_in_kites_own_app_is_shown_and_not_ours(track, paper):
    track()

    bought_elsewhere(paper)

    assert agreed(paper)[0][1] == "FILLED"
    assert Order.objects.get().origin == "EXTERNAL"
    assert not Position.objects.exclude(quantity=0).exists()


def test_a_fill_that_crosses_our_cancel_is_a_fill(track, streaming, resting, paper):
    order = resting()
    track()
    paper.fault("cancel", "fill_first")

    cancel(streaming, order, by="priya", reason="test")

    assert agreed(paper)[0][1] == "FILLED"
    assert Position.objects.get(symbol="RELIANCE").quantity == 1


def test_an_order_filled_in_parts_follows_each_part(track, streaming, wish, paper):
    open_the_limits()
    track()
    paper.fault("place", "partial_fill", shares=2)

    order = by_hand.place(streaming, wish(quantity=5))

    until(lambda: status_of(order) == "PARTIALLY_FILLED", seconds=10)
    assert agreed(paper)[0][1:4] == ("PARTIALLY_FILLED", 5, 2)
    cancel(streaming, Order.objects.get(), by="priya", reason="test")
    until(lambda: status_of(order) == "CANCELLED", seconds=10)
    assert agreed(paper)[0][1:4] == ("CANCELLED", 5, 2)
    assert Position.objects.get(symbol="RELIANCE").quantity == 2


def has_room_to_spare(desk: Desk) -> bool:
    """Return whether an order may be sent now, and still may when what was placed elsewhere is seen a moment later."""
    now = desk.clock()
    return sum(moment > now - timedelta(seconds=2) for moment in traffic(desk, now).placed) <= 4


def test_a_storm_of_changes_with_every_fault_of_updates_ends_in_the_brokers_book(track, streaming, wish, paper):
    """Seeded: orders placed, changed, cancelled and filled, at ours and elsewhere; a slow poll is the floor."""
    open_the_limits()
    rng = random.Random(20261126)
    track(busy_seconds=2)
    for number, fault in enumerate(("duplicate", "out_of_order", "late", "missing")):
        more = {"seconds": 0.5} if fault == "late" else {}
        paper.fault("updates", fault, times=50, probability=0.3, seed=number, **more)
    for _ in range(12):
        until(lambda: has_room_to_spare(streaming))
        price = Decimal(rng.randrange(1385, 1400))
        by_hand.place(streaming, wish(quantity=rng.randrange(1, 4), limit_price=price))
        bought_elsewhere(paper, float(price) - 5)
        paper.set_price("NSE:RELIANCE", str(rng.randrange(1388, 1401)))
        working = [row["order_id"] for row in paper.kite().orders() if row["status"] == "OPEN"]
        if working:
            victim = rng.choice(working)
            with suppress(Exception):  # it may have filled meanwhile
                if rng.random() < 0.5:
                    paper.kite().cancel_order("regular", victim)
                else:
                    paper.kite().modify_order("regular", victim, price=float(rng.randrange(1380, 1399)))

    ours = agreed(paper, seconds=30)

    assert len(ours) == 24
    filled = sum(order.filled_quantity for order in Order.objects.ours("PAPER"))
    assert sum((position.quantity for position in Position.objects.all()), 0) == filled
    assert Fill.objects.count() == len({trade for row in ours for trade in row[5]})


# --- How often the book is read --------------------------------------------------------------------------------------


@pytest.fixture
def live(streaming) -> Desk:
    """The same desk, keeping to what the live one may ask."""

    class Live(Desk):
        @property
        def is_live(self):
            return True

    return Live(**{name: getattr(streaming, name) for name in Desk.__dataclass_fields__})


def test_a_live_desk_reads_at_most_once_a_second_however_often_it_is_nudged(track, live):
    tracked = track(live)
    end = time.monotonic() + 4
    reads = tracked.desk.gateway.reads
    reads.clear()

    while time.monotonic() < end:
        tracked.tracker.nudge()
        time.sleep(0.01)

    assert 2 <= len(reads) <= 5
    assert min(later - earlier for earlier, later in itertools.pairwise(reads)) >= 0.95


@pytest.mark.parametrize(
    ("took", "apart"), [(0.03, 0.5), (0.5 / 6, 0.5), (0.1, 0.6), (1 / 6, 1.0), (0.4, 1.0), (2.0, 2.0)]
)
def test_a_paper_book_is_read_for_a_sixth_of_the_time_or_once_a_second_if_that_is_more(desk, monkeypatch, took, apart):
    """The beginnings of two turns are so many seconds apart when the first one took so many, however often nudged."""
    now = [100.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr("orders.tracker.time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    tracker = Tracker(desk, ready=threading.Event())
    tracker._read_at = now[0]
    now[0] += took

    tracker._hold_back()

    assert now[0] - 100.0 == pytest.approx(apart)


def test_a_nudge_during_a_read_leads_to_another_read(streaming, monkeypatch):
    tracker = Tracker(streaming, ready=threading.Event(), busy_seconds=60)
    gateway = streaming.gateway
    real = gateway.book

    def read_while_an_update_comes(as_of):
        if not gateway.reads:
            tracker.nudge()
        return real(as_of)

    monkeypatch.setattr(gateway, "book", read_while_an_update_comes)
    started = time.monotonic()
    tracker.turn()

    assert time.monotonic() - started < 30, "it waited although an update had come"


def test_an_idle_live_desk_is_not_read_every_second(track, live):
    tracked = track(live, busy_seconds=1)
    reads = len(tracked.desk.gateway.reads)

    time.sleep(4)

    assert len(tracked.desk.gateway.reads) == reads


def test_an_idle_live_desk_notices_within_seconds_what_another_process_sent(track, live, streaming, wish, paper):
    """The web process has no tracker to nudge, and here the update about it is lost."""
    track(live, busy_seconds=1)
    paper.fault("updates", "missing", times=10)

    order = by_hand.place(streaming, wish())

    until(lambda: status_of(order) == "FILLED", seconds=10)


def test_a_postback_makes_an_idle_desk_read(track, live):
    tracked = track(live)
    reads = len(tracked.desk.gateway.reads)

    BrokerSession.objects.filter(mode="PAPER").update(postback_at=live.clock())

    until(lambda: len(tracked.desk.gateway.reads) == reads + 1, seconds=10)


def test_a_wished_cancel_of_an_order_that_is_not_ours_keeps_a_live_desk_busy(live, paper, db):
    bought_elsewhere(paper, 1300.0)
    Tracker(live, ready=threading.Event(), busy_seconds=0, idle_seconds=0).turn()
    external = Order.objects.get()
    tracker = Tracker(live, ready=threading.Event())
    assert not tracker._is_busy()

    external.request_cancel(by="priya", reason="test", at=live.clock())

    assert tracker._is_busy()


# --- Prices ----------------------------------------------------------------------------------------------------------


def test_a_streamed_price_spares_the_quote(track, paper):
    tracked = track(busy_seconds=1)
    gateway = tracked.desk.gateway
    asked_at = last_quote(tracked.desk, "NSE", "RELIANCE").as_of

    paper.set_price("NSE:RELIANCE", None)  # it moves again, and so is told again and again
    until(lambda: tracked.desk.streamed_prices.last("NSE", "RELIANCE", now=tracked.desk.clock()), seconds=15)
    asked = gateway.questions
    quote = until(
        lambda: (
            (found := tracked.desk.streamed_prices.last("NSE", "RELIANCE", now=tracked.desk.clock()))
            and last_quote(tracked.desk, "NSE", "RELIANCE") == found
            and found
        )
    )

    assert quote.as_of >= asked_at.replace(microsecond=0)
    assert gateway.questions <= asked + 1


def test_an_old_streamed_price_is_asked_for_anew(streaming, paper, clock):
    desk = replace(streaming, streamed_prices=streamed_prices(streaming))
    desk.streamed_prices.last = lambda *_, **__: None

    assert last_quote(desk, "NSE", "RELIANCE").price == Decimal("1400.00")
    assert desk.gateway.questions == 1


def test_a_streamed_price_goes_with_the_band_that_was_asked_for_lately(streaming, clock):
    desk = replace(streaming, streamed_prices=streamed_prices(streaming))
    streamed = Quote(price=Decimal("1401.00"), as_of=clock())
    desk.streamed_prices.last = lambda *_, **__: streamed

    asked, band = quote_and_band(desk, "NSE", "RELIANCE")
    assert (asked.price, desk.gateway.questions) == (1400, 1)  # no band was known
    assert quote_and_band(desk, "NSE", "RELIANCE") == (streamed, band)
    assert desk.gateway.questions == 1

    clock.advance(minutes=5)
    assert quote_and_band(desk, "NSE", "RELIANCE")[1].as_of > band.as_of
    assert desk.gateway.questions == 2


def test_a_streamed_price_is_used_without_a_band_when_the_broker_names_none(streaming, clock, paper):
    desk = replace(streaming, streamed_prices=streamed_prices(streaming))
    streamed = Quote(price=Decimal("1401.00"), as_of=clock())
    desk.streamed_prices.last = lambda *_, **__: streamed
    paper.fault("quote", "error_503")

    assert quote_and_band(desk, "NSE", "RELIANCE") == (streamed, None)


def test_without_a_stream_every_price_is_asked_for(desk):
    assert desk.streamed_prices is None

    assert last_quote(desk, "NSE", "RELIANCE").price == Decimal("1400.00")


def test_what_works_is_held_and_was_asked_about_is_followed_and_bounded(streaming, resting, held, paper, monkeypatch):
    desk = replace(streaming, streamed_prices=streamed_prices(streaming))
    held(1)
    last_quote(desk, "NSE", "INFY")
    last_quote(desk, "NSE", "NO SUCH SHARE")

    follow_prices(desk)
    assert len(desk.streamed_prices.followed()) == 2

    monkeypatch.setattr("orders.quotes.FOLLOWED_MAX", 1)
    follow_prices(desk)
    assert desk.streamed_prices.followed() == {738561}  # what is held comes first
    assert FOLLOWED_MAX <= 3000


@pytest.fixture
def aged(streaming):
    return replace(streaming, rules=replace(streaming.rules, streamed_price_age_max_seconds=7))


def test_the_age_of_a_streamed_price_is_a_setting(aged):
    assert streamed_prices(aged)._age_max == timedelta(seconds=7)


# --- The login -------------------------------------------------------------------------------------------------------


@pytest.fixture
def zerodha(desk, paper, clock) -> Desk:
    """A live desk whose Zerodha is a paper server, logged in."""
    vault = TokenVault(Mode.LIVE, secret_key="a secret of the suite")
    vault.keep(paper.log_in("live-key"), user_id="PAPER1", now=clock())
    gateway = Counting(KiteGateway(api_key="live-key", root=paper.root, access_token=vault.token))
    address = StreamAddress(url=paper.root.replace("http", "ws", 1) + "/ws", api_key="live-key")
    return replace(desk, mode=Mode.LIVE, gateway=gateway, vault=vault, stream=address)


def test_a_login_that_the_stream_refuses_is_refused_everywhere_until_the_next_one(track, zerodha, paper, clock):
    tracked = track(zerodha, busy_seconds=1)

    paper.fault("stream", "refuse")
    paper.fault("stream", "drop")

    until(lambda: BrokerSession.objects.get(mode="LIVE").refused_at, seconds=15)
    assert not zerodha.vault.is_valid(clock())
    until(lambda: tracked.stream._token == "", seconds=10)
    assert (tracked.stream.is_alive(), tracked.stream.connects) == (False, 1)

    zerodha.vault.keep(paper.log_in("live-key"), user_id="PAPER1", now=clock())

    until(tracked.stream.is_alive, seconds=10)
    assert tracked.stream.connects == 2


def test_a_login_that_expires_ends_the_link_before_the_broker_does(track, zerodha, clock):
    tracked = track(zerodha, busy_seconds=1)

    clock.advance(days=1)

    until(lambda: not tracked.stream.is_alive(), seconds=10)
    assert BrokerSession.objects.get(mode="LIVE").refused_at is None


# --- The executor ----------------------------------------------------------------------------------------------------


@pytest.fixture
def listener(streaming, settings):
    return Listener(streaming, redis_url=settings.REDIS_URL, channel="tracking", stream="tracking:s", group="g")


def test_the_death_of_the_streams_thread_ends_the_executor(listener, monkeypatch):
    def defect():
        raise RuntimeError("a defect of ours")

    monkeypatch.setattr(listener._broker_stream, "turn", defect)

    with pytest.raises(ExecutorDied, match="broker stream"):
        listener.run()


def test_a_stream_that_is_down_ends_nothing_and_a_stop_is_heard_at_once(listener, paper, monkeypatch):
    monkeypatch.setattr(listener._broker_stream, "_address", ("127.0.0.1", 9))
    ended = threading.Event()

    def run():
        listener.run()
        ended.set()

    threading.Thread(target=run, daemon=True).start()
    assert listener.ready.wait(20)
    until(lambda: listener._broker_stream._failures >= 2, seconds=20)
    assert not ended.is_set()

    listener.stop()

    assert ended.wait(20)


def test_the_desk_of_the_settings_hears_the_stream_of_its_mode(settings, paper, db):
    settings.PAPER_KITE_URL = paper.root
    assert Desk.from_settings().stream == StreamAddress(url=f"ws://127.0.0.1:{paper.port}/ws", api_key="paper")

    settings.TRADING_MODE, settings.KITE_API_KEY = "LIVE", "key"
    assert Desk.from_settings().stream == StreamAddress(url="wss://ws.kite.trade", api_key="key")
