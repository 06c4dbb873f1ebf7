"""The whole path with real processes: Redis, executor, paper Kite; killed at every point, each signal is one order."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from django.conf import settings as django_settings
from django.utils import timezone

from orders.models import ExecutorHeartbeat, Order, OrderEvent, Position, Signal
from risk import control
from risk.models import Incident, Mode, RiskSettings, TradingControl
from tests.conftest import ROOMY, open_the_limits
from tests.dying_executor import POINTS_SENT_ONCE
from tests.executor_process import ExecutorProcess, manage
from tests.orders.paper.paper_process import PaperProcess, until
from tests.proofs import telling

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]


@pytest.fixture
def valkey() -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(django_settings.REDIS_URL)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def start(paper: PaperProcess, valkey: redis.Redis, tmp_path: Path) -> Iterator[Callable[..., ExecutorProcess]]:
    started: list[ExecutorProcess] = []

    def begin(**options: str) -> ExecutorProcess:
        log = tmp_path / f"executor-{len(started)}.log"
        started.append(ExecutorProcess(paper.root, log, **options))
        return started[-1]

    yield begin
    for executor in started:
        executor.end()
        sys.stdout.write(executor.log.read_text(errors="replace")[-20_000:])  # shown when the test has failed


@pytest.fixture
def auto_trading(paper: PaperProcess) -> None:
    shown = TradingControl.objects.get(mode=Mode.PAPER).version
    control.auto_trading_on(Mode.PAPER, by="priya", reason="test", now=timezone.now(), version_shown=shown)
    RiskSettings.objects.filter(pk=1).update(**ROOMY)


def signal_bytes(**changes: object) -> bytes:
    fields = {"signal_type": "BUY", "symbol": "RELIANCE", "cms_score": 75.0, "timestamp": timezone.now().isoformat()}
    return json.dumps({**fields, **changes}).encode()


def publish(valkey: redis.Redis, **changes: object) -> None:
    message = signal_bytes(**changes)
    until(lambda: valkey.publish("signals", message), 15)  # nobody hears it before the executor has subscribed


def concluded(signal_id: str) -> Signal:
    rows = Signal.objects.filter(signal_id=signal_id).exclude(status=Signal.Status.RECEIVED)
    return until(rows.first, 15)


def filled(signal: Signal) -> Order:
    return until(signal.orders.filter(status="FILLED").first, 10)


def test_a_published_signal_is_a_filled_order_within_two_seconds(start, valkey, auto_trading):
    start()
    publish(valkey, signal_id="warm-up", signal_type="HOLD")
    concluded("warm-up")

    asked_at = timezone.now()
    publish(valkey, signal_id="buy")
    order = filled(concluded("buy"))

    assert order.broker_order_id.startswith("SIM")
    assert (order.ended_at - asked_at).total_seconds() < 2
    publish(valkey, signal_id="sell", signal_type="SELL", cms_score=-75)
    assert filled(concluded("sell")).side == "SELL"
    assert Position.objects.get().quantity == 0
    publish(valkey, signal_id="weak", cms_score=55)
    assert concluded("weak").reason == "CMS_SCORE_TOO_WEAK: a BUY needs a score above 60, got 55"


def test_what_the_stream_got_while_no_executor_ran_is_acted_on(start, valkey, auto_trading):
    symbols = ("RELIANCE", "INFY", "TCS")
    for symbol in symbols:
        valkey.xadd("signals:stream", {"signal": signal_bytes(signal_id=f"early-{symbol}", symbol=symbol)})

    start()

    for symbol in symbols:
        assert filled(concluded(f"early-{symbol}")).quantity == 1
    until(lambda: valkey.xpending("signals:stream", "order-executor")["pending"] == 0)


@pytest.mark.parametrize(
    "point",
    telling(POINTS_SENT_ONCE, "recorded, not acknowledged", "decided, not sent", "sent, answer not written"),
)
def test_killed_at_any_point_a_signal_still_is_one_order(point, start, valkey, auto_trading, paper):
    dying = start(dies_at=point)
    valkey.xadd("signals:stream", {"signal": signal_bytes(signal_id="one")})
    assert dying.process.wait(30) == -9

    start()

    order = filled(concluded("one"))
    placed = [row for row in paper.journal() if row["event"] == "accepted"]
    assert [row["tag"] for row in placed] == [order.client_order_id]
    assert Position.objects.get().quantity == order.quantity == 1
    assert order.fills.count() == 1


def test_killed_after_it_said_it_was_sending_an_order_is_in_doubt_and_never_sent_again(
    start, valkey, auto_trading, paper
):
    dying = start(dies_at="submitting, not sent")
    valkey.xadd("signals:stream", {"signal": signal_bytes(signal_id="one")})
    assert dying.process.wait(30) == -9

    start(ABSENCE_WINDOW_SECONDS="3")

    order = until(Order.objects.filter(status="NOT_PLACED").first, 40)
    assert OrderEvent.objects.filter(order=order, after="IN_DOUBT").exists()
    assert Incident.objects.filter(kind=Incident.Kind.ORDER_IN_DOUBT).exists()
    assert not TradingControl.objects.get(mode=Mode.PAPER).auto_trading
    assert paper.accepted() == []


def test_a_second_executor_stands_by_and_takes_over(start, valkey, auto_trading):
    first = start()
    publish(valkey, signal_id="first")
    filled(concluded("first"))
    second = start()
    until(lambda: b"leadership.standing_by" in second.log.read_bytes(), 15)

    first.end()
    valkey.xadd("signals:stream", {"signal": signal_bytes(signal_id="second", symbol="INFY")})

    assert filled(concluded("second")).sender.endswith(str(second.process.pid))


@pytest.mark.proof
def test_ten_thousand_messages_at_once_are_all_accounted_for(start, valkey):
    start()
    publish(valkey, signal_id="warm-up", signal_type="HOLD")
    concluded("warm-up")
    hold = signal_bytes(signal_type="HOLD", signal_id="same")

    with valkey.pipeline(transaction=False) as pipe:
        for number in range(10_000):
            pipe.publish("signals", hold if number % 2 else b"not a signal %d" % number)
        pipe.execute()

    until(lambda: Signal.objects.filter(status="MALFORMED").count() == 5000, 60)
    until(lambda: Signal.objects.get(signal_id="same").duplicates == 4999, 60)


def test_the_demo_finds_everything_as_it_should_be_and_puts_the_switch_back(start, paper):
    open_the_limits(daily_trades_max=6)
    start()

    until(ExecutorHeartbeat.objects.exists, 15)

    walks = [manage("demo", paper_url=paper.root) for _ in range(3)]

    assert [walk.returncode for walk in walks] == [0, 0, 0], walks[-1].stdout + walks[-1].stderr
    assert "DAILY_TRADES_EXCEEDED" in walks[-1].stdout
    assert not TradingControl.objects.get(mode=Mode.PAPER).auto_trading
