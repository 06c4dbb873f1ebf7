"""Decisions that lead nowhere: many under one lock are those that would have been made one by one."""

from __future__ import annotations

import itertools
import json
import random
import re
import threading
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from orders import screening
from orders import worker as worker_module
from orders.agenda import agenda
from orders.deciding import decide
from orders.inbox import Received, record
from orders.models import Decision, Instrument, MissedExit, Order, Signal
from orders.screening import conclude_what_leads_nowhere
from orders.worker import Worker
from risk import control
from risk.models import AuditEntry, CalendarDay, Incident, InstrumentLimit, RiskSettings
from tests.conftest import StillClock, keep_the_market_open, open_the_limits

from .together import Together, held_up

pytestmark = pytest.mark.usefixtures("noon")

SYMBOLS = ("RELIANCE", "INFY", "TCS", "SBIN", "ITC", "NOSUCH")


@pytest.fixture
def clock():
    return StillClock()


@pytest.fixture(autouse=True)
def unhurried(monkeypatch):
    """A slow machine ends no run early."""
    monkeypatch.setattr(screening, "RUN_SECONDS_MAX", 60.0)


@pytest.fixture
def book(desk, held, resting, clock):
    """RELIANCE is held, INFY being bought, an incident is about TCS, and SBIN has limits of its own."""
    held(3)
    resting(symbol="INFY", quantity=2)
    Incident.objects.open(
        "POSITION_DIFFERENCE", mode="PAPER", title="x", symbol="TCS", stops_opening=True, now=desk.clock()
    )
    InstrumentLimit.objects.create(
        exchange="NSE", symbol="SBIN", blocked=True, changed_by="priya", changed_at=desk.clock()
    )
    open_the_limits()
    clock.advance(seconds=2)  # after the fills, so that the broker's position may be read


@pytest.fixture
def take_down(desk, message):
    """Record many signals at once: each is given by what differs from a strong BUY of RELIANCE."""
    numbers = itertools.count(1)

    def record_them(*signals):
        raws = [message(**{"signal_id": f"s-{next(numbers)}", **changes}) for changes in signals]
        record(desk, [Received(raw=raw, source=Signal.Source.CHANNEL) for raw in raws])

    return record_them


def drawn(seed, now):
    """Return forty signals of every kind, for few symbols, so that many meet in one."""
    draw = random.Random(seed)
    return [
        {
            "signal_type": draw.choice(["BUY", "SELL", "HOLD"]),
            "symbol": draw.choice(SYMBOLS),
            "cms_score": draw.choice([-75, -60, -5, 5, 60, 60.01, 75]),
            "timestamp": (now - timedelta(seconds=draw.choice([0, 1, 2, 299, 300, 301, 4000]))).isoformat(),
            "strategy": draw.choice(["", "", "slow"]),
            "price": draw.choice([None, "1400.05"]),
            "order_type": draw.choice([None, "LIMIT", "MARKET"]),
        }
        for _ in range(40)
    ]


def rows(model, *but):
    names = [each.attname for each in model._meta.concrete_fields if each.attname not in ("id", *but)]
    return [dict(zip(names, values, strict=True)) for values in model.objects.order_by("id").values_list(*names)]


def everything():
    return {
        "signals": [{**row, "raw": bytes(row["raw"])} for row in rows(Signal)],
        "decisions": sorted(rows(Decision), key=lambda row: row["signal_id"] or 0),
        "missed exits": rows(MissedExit),
        "incidents": rows(Incident),
        "orders": rows(Order, "decision_id"),
        # One run is a transaction, and its entries come in the order of its rows.
        "trail": sorted(
            AuditEntry.objects.values_list("table_name", "row_pk", "operation", "changes", "actor", "reason"),
            key=str,
        ),
    }


STATES = {
    "trading": lambda now: None,
    "auto-trading off": lambda now: control.auto_trading_off("PAPER", by="priya", reason="r", now=now),
    "halted": lambda now: control.halt("PAPER", by="priya", reason="r", now=now),
    "reduce only": lambda now: control.reduce_only("PAPER", by="priya", reason="r", now=now),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("seed", range(3))
def test_a_run_leaves_the_rows_that_one_decision_after_another_leaves(desk, book, take_down, clock, state, seed):
    STATES[state](desk.clock())
    take_down(*drawn(seed, clock()))
    before = transaction.savepoint()

    run = conclude_what_leads_nowhere(desk)
    at_once = everything()
    concluded = [row["signal_id"] for row in at_once["decisions"] if row["signal_id"]]
    transaction.savepoint_rollback(before)
    for signal in Signal.objects.filter(pk__in=concluded).order_by("id"):
        assert decide(desk, signal) is None

    assert run.concluded == len(concluded) >= 5
    assert everything() == at_once


@pytest.mark.parametrize("state", STATES)
def test_nothing_is_decided_before_what_came_earlier_for_its_symbol(desk, book, take_down, clock, state):
    STATES[state](desk.clock())
    take_down(*drawn(7, clock()))

    conclude_what_leads_nowhere(desk)

    for symbol in SYMBOLS:
        waits = [signal.status == "RECEIVED" for signal in Signal.objects.filter(symbol=symbol).order_by("id")]
        assert waits == sorted(waits)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="a strong BUY"),
        pytest.param({"symbol": "NOSUCH", "signal_type": "HOLD"}, id="of a symbol that is not listed"),
        pytest.param({"signal_type": "SELL", "cms_score": -75}, id="to sell what is held"),
        pytest.param({"signal_type": "SELL", "cms_score": -75, "symbol": "INFY"}, id="to sell what is being bought"),
    ],
)
def test_what_may_lead_somewhere_is_left_for_a_look_of_its_own(desk, book, take_down, changes):
    take_down(changes, {"signal_type": "HOLD", "symbol": changes.get("symbol", "RELIANCE")})

    run = conclude_what_leads_nowhere(desk)

    assert (run.concluded, len(run.held_up), run.is_the_end) == (0, 1, True)
    assert set(Signal.objects.values_list("status", flat=True)) == {"RECEIVED"}
    assert not Decision.objects.exclude(signal=None).exists()


@pytest.mark.parametrize("stop", ["halted", "auto-trading off"])
def test_a_sale_of_what_is_held_that_is_refused_waits_for_a_person_as_ever(desk, book, take_down, stop):
    STATES[stop](desk.clock())
    take_down({"signal_type": "SELL", "cms_score": -75}, {"signal_type": "HOLD", "symbol": "ITC"})

    Worker(desk, ready=set_event(), sent=lambda: None).turn()

    assert MissedExit.objects.get().signal.symbol == "RELIANCE"
    assert Incident.objects.filter(kind="EXIT_NOT_TAKEN").count() == 1
    assert not Signal.objects.filter(status="RECEIVED").exists()


def test_a_weak_sale_of_what_is_held_is_nothing_for_a_person(desk, book, take_down):
    take_down({"signal_type": "SELL", "cms_score": -60})

    assert conclude_what_leads_nowhere(desk).concluded == 1
    assert not MissedExit.objects.exists()


def test_a_buy_without_room_waits_and_is_no_refusal(desk, book, take_down, monkeypatch):
    """Also where it seemed to lead nowhere before the book was looked at."""
    monkeypatch.setattr(screening._Facts, "may_lead_nowhere", lambda *_: True)
    RiskSettings.objects.update(orders_per_second_max=0)
    take_down({"symbol": "ITC"}, {"symbol": "TCS", "cms_score": 60})

    assert conclude_what_leads_nowhere(desk).concluded == 1
    assert Signal.objects.get(symbol="ITC").status == "RECEIVED"


def test_a_signal_that_had_an_order_is_left(desk, book, take_down):
    take_down({"symbol": "ITC"})
    decide(desk, Signal.objects.get())
    Signal.objects.update(status="RECEIVED", cms_score=Decimal(1))

    assert conclude_what_leads_nowhere(desk).concluded == 0


@pytest.mark.parametrize(("minutes", "concluded"), [(4.99, 1), (5, 0), (359.99, 0), (360, 1)])
def test_in_its_hours_a_signal_to_open_is_looked_at_alone(live_hours, take_down, clock, minutes, concluded):
    """From five minutes after 09:15 until fifteen before 15:30; what comes outside leads nowhere."""
    desk = live_hours(minutes=minutes)
    take_down({"symbol": "ITC", "timestamp": clock().isoformat()})

    assert conclude_what_leads_nowhere(desk).concluded == concluded


@pytest.fixture
def live_hours(desk, book, wired, clock):
    def at(minutes):
        keep_the_market_open(clock())
        nine = clock.moment.replace(hour=3, minute=45, second=0, microsecond=0)  # 09:15 in Mumbai
        clock.moment, clock.ahead = nine + timedelta(days=1, minutes=minutes), timedelta(0)

        CalendarDay.objects.filter(kind="SPECIAL").update(opens="09:15", closes="15:30")
        return wired(desk, rules=replace(desk.rules, paper_keeps_market_hours=True))

    return at


@pytest.mark.django_db(transaction=True)
def test_a_run_waits_for_the_lock_and_goes_by_what_is_true_after_it(desk, take_down):
    take_down(*({"signal_type": "HOLD", "symbol": symbol} for symbol in ("ITC", "TCS")))

    with held_up("risk_tradingcontrol") as wait_for:
        late = Together(lambda: conclude_what_leads_nowhere(desk).concluded)
        wait_for(1)
        Signal.objects.filter(symbol="ITC").update(status="FAILED")

    assert late.join() == [1]
    assert Decision.objects.get().symbol == "TCS"


# --- Bounded ---------------------------------------------------------------------------------------------------------


def test_a_run_looks_at_so_many_and_the_next_goes_on_where_it_ended(desk, book, take_down, monkeypatch):
    monkeypatch.setattr(screening, "RUN_MAX", 10)
    take_down({"symbol": "ITC"}, *({"signal_type": "HOLD", "symbol": "TCS"} for _ in range(14)))

    first = conclude_what_leads_nowhere(desk)
    second = conclude_what_leads_nowhere(desk, since=first)

    assert (first.concluded, first.is_the_end, second.concluded, second.is_the_end) == (9, False, 14, True)
    assert second.held_up == {("NSE", "ITC")}


def test_a_run_that_finds_nothing_is_the_end(desk, take_down, monkeypatch):
    """As after a last one that was just full."""
    monkeypatch.setattr(screening, "RUN_MAX", 2)
    take_down(*({"signal_type": "HOLD", "symbol": "TCS"} for _ in range(2)))

    first = conclude_what_leads_nowhere(desk)
    second = conclude_what_leads_nowhere(desk, since=first)

    assert (first.is_the_end, second.is_the_end, second.concluded) == (False, True, 2)


def test_a_run_that_takes_too_long_writes_what_it_has(desk, book, take_down, monkeypatch):
    monkeypatch.setattr(screening, "RUN_SECONDS_MAX", -1.0)
    take_down(*({"signal_type": "HOLD"} for _ in range(3)))

    run = conclude_what_leads_nowhere(desk)

    assert (run.concluded, run.is_the_end) == (1, False)
    assert sorted(Signal.objects.values_list("status", flat=True)) == ["IGNORED", "RECEIVED", "RECEIVED"]


def statements(do):
    with CaptureQueriesContext(connection) as captured:
        do()
    return len(captured)


def test_two_hundred_of_as_many_symbols_take_the_statements_of_two(desk, take_down):
    """What no position, order, incident or limit is of has the same book as the next: it is read once."""
    others = Instrument.objects.filter(exchange="NSE").exclude(symbol__in=["ITC", "TCS"])
    symbols = others.values_list("symbol", flat=True)[:200]
    take_down(*({"signal_type": "HOLD", "symbol": symbol} for symbol in ("ITC", "TCS")))
    alone = statements(lambda: conclude_what_leads_nowhere(desk))
    take_down(*({"signal_type": "HOLD", "symbol": symbol} for symbol in symbols))

    assert statements(lambda: conclude_what_leads_nowhere(desk)) == alone
    assert Decision.objects.count() == 2 + len(symbols)


def test_years_of_orders_are_not_read_to_know_what_is_of_a_symbol(desk, take_down):
    """Two thousand of ITC, none of them of today: the run looks at none."""
    Order.objects.bulk_create(
        Order(
            mode="PAPER",
            client_order_id=f"C{number}",
            origin="AUTO",
            exchange="NSE",
            symbol="ITC",
            side="BUY",
            product="CNC",
            order_type="LIMIT",
            quantity=1,
            status="FILLED",
            trading_date=desk.today() - timedelta(days=30 + number // 20),
            created_at=desk.clock(),
        )
        for number in range(2000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE orders_order")
    take_down({"signal_type": "HOLD", "symbol": "ITC"})

    with CaptureQueriesContext(connection) as captured:
        assert conclude_what_leads_nowhere(desk).concluded == 1

    (asked,) = (query["sql"] for query in captured if "'tried'" in query["sql"])
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {asked}")
        plan = json.dumps(cursor.fetchone()[0])
    assert max(int(float(rows)) for rows in re.findall(r'"Actual Rows": ([0-9.]+)', plan)) == 0


# --- In the worker ---------------------------------------------------------------------------------------------------


def set_event():
    event = threading.Event()
    event.set()
    return event


@pytest.fixture
def worker(desk):
    return Worker(desk, ready=set_event(), sent=lambda: None)


def test_a_turn_decides_what_leads_nowhere_and_what_does_not(worker, take_down, paper):
    take_down({"symbol": "ITC"}, *({"signal_type": "HOLD", "symbol": "TCS"} for _ in range(30)), {"symbol": "TCS"})

    worker.turn()

    assert Signal.objects.filter(status="IGNORED").count() == 30
    assert Signal.objects.get(symbol="ITC").status == "APPROVED"
    worker.turn()
    assert Signal.objects.exclude(status="IGNORED").values_list("status", flat=True).distinct().get() == "APPROVED"


def test_a_symbol_that_is_held_up_fills_no_later_run(desk, book, take_down, monkeypatch):
    monkeypatch.setattr(screening, "RUN_MAX", 3)
    take_down(*({"symbol": "ITC"} for _ in range(9)), {"signal_type": "HOLD", "symbol": "TCS"})

    first = conclude_what_leads_nowhere(desk)
    second = conclude_what_leads_nowhere(desk, since=first)

    assert (first.concluded, second.concluded, second.is_the_end) == (0, 1, True)


def test_a_worker_rests_though_more_must_wait_than_its_runs_look_at(worker, take_down, monkeypatch):
    open_the_limits(orders_per_second_max=1)
    monkeypatch.setattr(screening, "RUN_MAX", 2)
    monkeypatch.setattr(worker_module, "RUNS_MAX", 1)
    take_down(*({"symbol": symbol} for symbol in ("ITC", "TCS", "SBIN", "INFY")))
    worker.turn()  # the first of them goes, and takes all the room

    assert worker._decide_what_waits(agenda("PAPER"))
    assert Signal.objects.filter(status="RECEIVED").count() == 3


def test_a_hold_behind_hundreds_that_must_wait_is_not_forgotten(worker, take_down, monkeypatch, desk):
    RiskSettings.objects.update(orders_per_second_max=1)
    monkeypatch.setattr(screening, "RUN_MAX", 2)
    monkeypatch.setattr(worker_module, "RUNS_MAX", 1)
    take_down(*({"symbol": "ITC"} for _ in range(9)), {"signal_type": "HOLD", "symbol": "TCS"})

    for _ in range(2):
        worker.turn()

    assert Signal.objects.get(symbol="TCS").status == "IGNORED"


def test_a_signal_to_close_waits_for_no_more_than_a_few_runs(worker, take_down, book, monkeypatch, paper):
    monkeypatch.setattr(screening, "RUN_MAX", 2)
    take_down(*({"signal_type": "HOLD", "symbol": "TCS"} for _ in range(50)), {"signal_type": "SELL", "cms_score": -75})

    worker.turn()

    assert Signal.objects.get(symbol="RELIANCE").status == "APPROVED"
    assert Signal.objects.filter(status="RECEIVED").count() == 50 - 2 * worker_module.RUNS_MAX


def test_a_signal_that_trips_a_run_is_failed_alone(worker, take_down, monkeypatch, desk):
    """Whatever it is, the others are decided."""
    real = screening.assess

    def tripping(proposed, *arguments, **more):
        if proposed.symbol == "ITC":
            raise ValueError("a defect")
        return real(proposed, *arguments, **more)

    monkeypatch.setattr(screening, "assess", tripping)
    monkeypatch.setattr("orders.deciding.assess", tripping)
    take_down(*({"signal_type": "HOLD", "symbol": symbol} for symbol in ("TCS", "ITC", "INFY", "TCS")))

    for _ in range(2):
        worker.turn()

    assert sorted(Signal.objects.values_list("symbol", "status")) == [
        ("INFY", "IGNORED"), ("ITC", "FAILED"), ("TCS", "IGNORED"), ("TCS", "IGNORED")
    ]  # fmt: skip
    assert Incident.objects.get().kind == "SIGNAL_FAILED"


def test_a_process_that_does_not_lead_runs_nothing(desk, take_down):
    take_down(*({"signal_type": "HOLD"} for _ in range(3)))

    Worker(desk, ready=set_event(), sent=lambda: None, leads=lambda: False).turn()

    assert not Decision.objects.exists()


def test_a_turn_asks_two_statements_whether_there_is_anything_to_do(worker):
    assert statements(worker.turn) == 2  # in one trip


def test_before_a_lone_signal_is_decided_a_turn_asks_for_no_more_than_that_it_is_there(worker, take_down, monkeypatch):
    take_down({"symbol": "ITC"})
    before = []
    monkeypatch.setattr(worker_module, "decide", lambda *_: before.append(len(captured)))

    with CaptureQueriesContext(connection) as captured:
        worker.turn()

    assert before == [2]
