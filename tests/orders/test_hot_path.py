"""
What one order costs: how few statements and questions to the broker it takes, and that a full book makes them no more.

Not milliseconds: those are for `make bench`. Here a statement too many, or a table that is read from end to end, fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from orders import committed_funds, deciding, execution, portfolio, traffic
from orders.broker.asked import AskedFunds
from orders.broker.prices import StreamedPrices
from orders.broker.ticks import Tick
from orders.deciding import decide
from orders.desk import Desk
from orders.execution import submit
from orders.inbox import Received, record
from orders.models import Decision, Instrument, Order, Signal
from orders.quotes import available_funds
from orders.reconciliation import reconcile
from risk import control as switch
from risk.engine.facts import PriceBand
from risk.engine.rules import RULES, SCREEN
from risk.prepared import numbered
from risk.questions import Question, ask
from tests.conftest import StillClock, open_the_limits
from tests.orders.admin import full_book, full_walk
from tests.orders.together import direct_connection

D = Decimal
RELIANCE = ("NSE", "RELIANCE")


@pytest.fixture
def informed(desk) -> Callable[..., Desk]:
    """
    Return the desk as a running executor has it: prices are streamed, and the funds were read this second.

    Its clock stands still at the moment of the call, so that what is at hand stays so however slow the machine is.
    """

    def make(price: str = "1400.00") -> Desk:
        still, instrument = StillClock(), Instrument.objects.get(exchange="NSE", symbol="RELIANCE")
        prices = StreamedPrices(age_max=timedelta(seconds=2))
        prices.follow({RELIANCE: instrument.token})
        tick = Tick(token=instrument.token, last_price=D(price), traded_at=None, exchange_at=still())
        prices.hear([tick], heard_at=still())
        prices.band(*RELIANCE, now=still())
        prices.remember_bands({RELIANCE: PriceBand(lower=D(1260), upper=D(1540), as_of=still())}, now=still())
        made = replace(desk, clock=still, pause=still.pause, streamed_prices=prices, asked_funds=AskedFunds())
        available_funds(made)
        return made

    return make


@pytest.fixture
def unasked(informed, monkeypatch) -> Callable[[], Desk]:
    """Return such a desk whose broker must not be asked for anything but to place an order."""

    def make() -> Desk:
        desk = informed()
        for question in ("quotes", "available_funds", "positions"):

            def refuse(*_, name=question, **__):
                raise AssertionError(f"the broker was asked for {name}")

            monkeypatch.setattr(desk.gateway, question, refuse)
        return desk

    return make


def test_a_purchase_whose_price_and_funds_are_at_hand_asks_the_broker_nothing(unasked, received):
    order = decide(unasked(), received())

    portfolio = order.decision.facts["portfolio"]
    assert (order.status, order.quantity) == ("PENDING", 1)
    assert (D(portfolio["quote"]["price"]), D(portfolio["funds"]["available"])) == (1400, 1_000_000_000)
    assert [verdict["control"] for verdict in order.decision.verdicts] == [control.code for control in RULES]


@pytest.mark.parametrize(
    ("changes", "outcome"), [({"cms_score": 55}, "IGNORED"), ({"timestamp": "2020-01-01T00:00:00+05:30"}, "EXPIRED")]
)
def test_what_the_book_refuses_is_kept_by_the_book_alone_whatever_was_at_hand(unasked, received, changes, outcome):
    signal = received(**changes)

    assert decide(unasked(), signal) is None

    decision = Decision.objects.get(signal=signal)
    assert decision.outcome == outcome
    assert [verdict["control"] for verdict in decision.verdicts] == [control.code for control in SCREEN]
    assert {decision.facts["portfolio"][name] for name in ("quote", "band", "funds")} == {None}


def test_a_halted_desk_refuses_what_it_would_have_had_at_hand(unasked, received):
    switch.halt("PAPER", by="asha", reason="stop", now=timezone.now())
    signal = received()

    assert decide(unasked(), signal) is None

    assert signal.reason.startswith("TRADING_HALTED")
    assert [verdict["control"] for verdict in Decision.objects.get().verdicts] == [control.code for control in SCREEN]


@pytest.mark.parametrize("seconds", [2.001, 300])
def test_a_price_that_is_too_old_to_be_at_hand_is_asked_for(informed, received, seconds):
    desk, signal = informed("1300.00"), received()
    desk.clock.advance(seconds=seconds)
    reconcile(desk)

    order = decide(desk, signal)

    assert D(order.decision.facts["portfolio"]["quote"]["price"]) == 1400


def test_funds_are_at_hand_for_less_than_two_seconds(informed, received):
    desk, signal = informed(), received()
    read_at = desk.clock()
    desk.clock.advance(seconds=1.999)
    assert desk.asked_funds.at_hand(desk.clock()).as_of == read_at
    desk.clock.advance(seconds=0.001)
    assert desk.asked_funds.at_hand(desk.clock()) is None

    order = decide(desk, signal)

    assert order.decision.facts["portfolio"]["funds"]["as_of"] == desk.clock().isoformat()


def test_funds_at_hand_that_an_order_of_ours_takes_up_are_not_spent_twice(unasked, received):
    open_the_limits(position_size=D(7000), duplicate_window_seconds=0)
    desk = unasked()
    funds = replace(desk.asked_funds.at_hand(desk.clock()), available=D(8000))
    desk.asked_funds._latest = (funds, desk.clock())

    first = submit(desk, decide(desk, received()))
    Order.objects.filter(pk=first.pk).update(status="FILLED")  # a second beside it is for another control
    second = decide(desk, received())

    assert (first.quantity, second.quantity) == (4, 1)  # at 1,407 INR: of 7,000, then of what is left


# --- What it costs ----------------------------------------------------------------------------------------------------


def statements(act: Callable[[], object]) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        act()
    return [query["sql"] for query in captured.captured_queries]


def costs(desk, received, message) -> dict[str, list[str]]:
    """Follow one signal from its bytes to the broker's answer; return the statements of each step."""
    signal = received()
    first = decide(desk, signal)  # the SQL that is made once is made now
    assert first is not None, signal.reason
    Order.objects.filter(pk=first.pk).update(status="FILLED")
    found: dict[str, list[str]] = {}
    raw = message(signal_id="counted", symbol="RELIANCE")
    found["record"] = statements(lambda: record(desk, [Received(raw=raw, source=Signal.Source.CHANNEL)]))
    signal = Signal.objects.get(signal_id="counted")
    orders: list[Order] = []
    found["decide"] = statements(lambda: orders.append(decide(desk, signal)))
    found["submit"] = statements(lambda: submit(desk, orders[0]))
    assert orders[0].status == "OPEN"
    return found


MOST = {"record": 6, "decide": 26, "submit": 19}  # what is read together, in one trip, counts each by itself


def test_an_order_takes_few_statements(unasked, received, message, monkeypatch):
    monkeypatch.setattr("orders.under_lock.boot_clock", lambda: 0.0)  # nothing waits so long that it is asked again
    found = costs(unasked(), received, message)

    assert {step: len(made) for step, made in found.items() if len(made) > MOST[step]} == {}


@pytest.fixture
def swept(django_db_setup: None) -> Iterator[None]:
    """Give back the room of the rows that were rolled back: the tests after this one are about small tables."""
    yield
    with direct_connection() as database:
        database.execute("vacuum analyze")


INDEXES_MAX = 16  # of an order: each change of its status writes into nearly all of them


@pytest.mark.django_db
def test_an_order_is_written_into_few_indexes_and_none_that_nothing_looks_into():
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE tablename = 'orders_order'")
        indexes = [definition for (definition,) in cursor.fetchall()]

    assert len(indexes) <= INDEXES_MAX
    assert [each for each in indexes if "pattern_ops" in each] == []  # for LIKE, which Django makes unasked


ROWS_MAX = 500  # that one step of one statement reads of a big table


BOOK = ("Signal", "Decision", "Order", "OrderEvent", "BrokerMessage", "Fill")


@pytest.fixture
def fill_the_book(swept, follow, received, monkeypatch) -> Callable[..., None]:
    """Write forty thousand orders of before, and what belongs to them; other columns are SQL."""

    def fill(**columns: str) -> None:
        open_the_limits()
        follow(received())
        copied = tuple(
            replace(each, columns={**each.columns, **{name: columns[name] for name in columns if name in each.columns}})
            for each in full_book.THE_BOOK
            if each.model.removeprefix("orders.") in BOOK
        )
        monkeypatch.setattr(full_book, "THE_BOOK", copied)
        full_book.fill(40_000, each_at_most=1)

    return fill


@pytest.fixture
def full(fill_the_book) -> None:
    fill_the_book()


def test_a_full_book_is_not_read_for_an_order(full, unasked, received, message):
    big = full_book.big_tables()
    desk = unasked()

    found = costs(desk, received, message)
    found["reconcile"] = statements(lambda: reconcile(desk))

    greedy = {}
    for step, made in found.items():
        queries = [{"sql": each, "time": "0"} for each in made]
        measured = full_walk.Measured(address=step, status=200, seconds=0, cpu_seconds=0, queries=queries)
        assert not (scanned := full_walk.scanned(measured, big)), "\n".join(scanned)
        read = full_walk.rows_read(measured, big)
        greedy |= {(step, table): rows for table, rows in read.items() if rows > ROWS_MAX}
    assert greedy == {}
    assert {"orders_order", "orders_fill", "orders_signal", "orders_decision"} <= big


def test_of_a_symbol_that_was_traded_for_years_only_what_moved_since_is_read_for_a_sale(fill_the_book, desk):
    """The broker's position holds until something of the symbol happened: that was asked of each order it ever had."""
    fill_the_book(symbol="'RELIANCE'")
    here = {"mode": desk.mode, "exchange": "NSE", "symbol": "RELIANCE"}
    values = {**here, "since": desk.clock(), "now": desk.clock()}
    sql = statements(lambda: portfolio._MOVED.rows(**values))

    measured = full_walk.Measured(
        address="sale", status=200, seconds=0, cpu_seconds=0, queries=[{"sql": each, "time": "0"} for each in sql]
    )
    big = full_book.big_tables()
    assert full_walk.scanned(measured, big) == []
    assert {table: rows for table, rows in full_walk.rows_read(measured, big).items() if rows > ROWS_MAX} == {}


TYPES = {str: "text", int: "bigint", date: "date", datetime: "timestamptz"}


def is_planned_anew(question: Question, values: dict[str, object]) -> bool:
    """Return whether PostgreSQL, having tried five plans of a question for these values, keeps none for any values."""
    sql = numbered(question._compiled.sql).decode()
    asked = [place.value(values) for place in question._compiled.places]
    types = ", ".join(next(TYPES[kind] for kind in type(value).__mro__ if kind in TYPES) for value in asked)
    places = ", ".join(["%s"] * len(asked))
    with connection.cursor() as cursor:
        cursor.execute(f"PREPARE asked{f'({types})' if asked else ''} AS {sql}")
        for _ in range(10):
            cursor.execute(f"EXECUTE asked{f'({places})' if asked else ''}", asked or None)
        cursor.execute("SELECT generic_plans FROM pg_prepared_statements WHERE name = 'asked'")
        [[kept]] = cursor.fetchall()
        cursor.execute("DEALLOCATE asked")
    return kept == 0


def test_no_question_of_an_order_is_planned_anew_each_time_however_full_the_book_is(
    full, unasked, received, monkeypatch
):
    """To plan one takes PostgreSQL many times as long as to answer it, and the longer the more it knows of a table."""
    desk, asked, ask = unasked(), {}, Question.ask

    def noted(question: Question, **values: object) -> object:
        asked[question] = values
        return ask(question, **values)

    monkeypatch.setattr(Question, "ask", noted)
    assert submit(desk, decide(desk, received())).status == "OPEN"
    monkeypatch.setattr(Question, "ask", ask)

    anew = [question._compiled.sql for question, values in asked.items() if is_planned_anew(question, values)]
    assert anew == []
    assert {committed_funds._BUYS_LEARNT_OF, traffic._COUNTED} <= asked.keys()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("side", "plans"), [("BUY", "force_generic_plan"), ("SELL", "auto")])
def test_what_is_asked_of_a_purchase_is_planned_once(desk, held, received, monkeypatch, side, plans):
    """As a day fills PostgreSQL would plan it anew each time; what a sale asks is planned well for its values alone."""
    held(2)
    seen = {}

    def noted(module, step):
        whole = getattr(module, step)

        def look(*arguments, **more):
            ((seen[step],),) = ask("SHOW plan_cache_mode", [])()
            return whole(*arguments, **more)

        monkeypatch.setattr(module, step, look)

    noted(deciding, "assess")
    noted(execution, "withdrawal")

    order = submit(desk, decide(desk, received(signal_type=side, cms_score=75 if side == "BUY" else -75)))

    assert (order.side, order.status) == (side, "OPEN")
    assert seen == {"assess": plans, "withdrawal": plans}
