"""The exchange on its own, with days passed in as arguments."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from orders.paper.errors import KiteRefusal
from orders.paper.exchange.book import Status
from orders.paper.exchange.events import EVENTS, BookOpened, Event
from orders.paper.exchange.exchange import Exchange
from orders.paper.exchange.tickets import read_ticket
from orders.paper.indian_time import IST, trading_date
from orders.paper.market.instruments import INSTRUMENTS, tick_size
from orders.paper.market.market import Market
from orders.paper.money.positions import net_positions
from orders.paper.server.wire import position_row

INFY = INSTRUMENTS["NSE:INFY"]
MONDAY = datetime(2026, 11, 23, 10, 0, tzinfo=IST)
TUESDAY = MONDAY + timedelta(days=1)


class MemoryRecord:
    """A journal that forgets when the test ends, but reads back only what could be written as JSON."""

    def __init__(self, lines: Iterable[bytes] = ()) -> None:
        self.lines = list(lines)

    def replay(self) -> list[Event]:
        return [EVENTS.validate_json(line) for line in self.lines]

    def append(self, *events: Event) -> None:
        self.lines += [EVENTS.dump_json(event) for event in events]

    def restart(self, opening: BookOpened) -> str:
        self.lines = [EVENTS.dump_json(opening)]
        return "archive"


@pytest.fixture
def exchange():
    exchange = Exchange(Market(seed=1), MemoryRecord())
    exchange.set_price(INFY, Decimal("1500.00"), MONDAY)
    return exchange


def ticket(**changes):
    usual = {
        "exchange": "NSE",
        "tradingsymbol": "INFY",
        "transaction_type": "BUY",
        "quantity": "10",
        "product": "CNC",
        "order_type": "MARKET",
        "market_protection": "-1",
    }
    return read_ticket("regular", usual | changes)


def resting(**changes):
    return ticket(**{"order_type": "LIMIT", "price": "1400"} | changes)


def test_a_day_order_is_gone_the_next_day(exchange):
    order_id = exchange.place(resting(), MONDAY)

    exchange.match(TUESDAY)

    assert exchange.book.orders[order_id].state.status is Status.CANCELLED
    assert list(exchange.book.orders_of_day(TUESDAY)) == []
    with pytest.raises(KiteRefusal, match="404"):
        exchange.cancel(order_id, TUESDAY)


def test_an_old_order_cannot_fill_at_midnight(exchange):
    order_id = exchange.place(resting(), MONDAY)

    exchange.set_price(INFY, Decimal("1300.00"), TUESDAY)

    assert exchange.book.orders[order_id].state.filled_quantity == 0


def test_the_day_is_mumbais(exchange):
    before_midnight = datetime(2026, 11, 23, 23, 59, 59, tzinfo=IST)

    assert exchange.place(resting(), before_midnight).startswith("SIM20261123")
    assert exchange.place(resting(), before_midnight + timedelta(seconds=1)) == "SIM20261124000001"


def test_a_clock_set_back_repeats_no_id(exchange):
    ids = [exchange.place(resting(), moment) for moment in (MONDAY, TUESDAY, MONDAY, TUESDAY)]

    assert len(set(ids)) == 4


def test_what_was_bought_yesterday_can_be_sold_today(exchange):
    exchange.place(ticket(), MONDAY)

    order_id = exchange.place(ticket(transaction_type="SELL"), TUESDAY)

    assert exchange.book.orders[order_id].state.status is Status.COMPLETE


def test_a_replayed_journal_is_the_same_book(exchange):
    exchange.place(ticket(), MONDAY)
    exchange.place(resting(), MONDAY)

    replayed = Exchange(Market(seed=1), exchange.record)

    assert replayed.book.orders == exchange.book.orders
    assert replayed.book.trades == exchange.book.trades
    assert list(replayed.book.working) == list(exchange.book.working)


@pytest.mark.parametrize(("kept", "status"), [(2, Status.COMPLETE), (3, Status.COMPLETE), (4, Status.COMPLETE)])
def test_an_order_cut_off_in_the_middle_is_carried_on(exchange, kept, status):
    order_id = exchange.place(ticket(), MONDAY)
    assert len(exchange.record.lines) == 4  # the price, then accepted, opened, filled

    replayed = Exchange(Market(seed=1), MemoryRecord(exchange.record.lines[:kept]))
    replayed.match(MONDAY)

    assert replayed.book.orders[order_id].state.status is status


def test_an_ioc_cut_off_in_the_middle_does_not_rest(exchange):
    order_id = exchange.place(resting(validity="IOC"), MONDAY)

    replayed = Exchange(Market(seed=1), MemoryRecord(exchange.record.lines[:-1]))
    replayed.match(MONDAY)

    assert replayed.book.orders[order_id].state.status is Status.CANCELLED


def test_a_carried_position_is_overnight_at_its_cost(exchange):
    exchange.place(ticket(quantity="10"), MONDAY)
    exchange.set_price(INFY, Decimal("1520.00"), TUESDAY)
    exchange.place(ticket(quantity="4", transaction_type="SELL"), TUESDAY)

    (position,) = net_positions(exchange.book.trades, trading_date(TUESDAY))
    row = position_row(position, Decimal("1520.00"), Decimal("1510.00"))

    assert (row["quantity"], row["overnight_quantity"], row["day_sell_quantity"]) == (6, 10, 4)
    assert (row["average_price"], row["buy_value"], row["buy_m2m"]) == (1500.0, 15000.0, 15100.0)
    assert row["pnl"] == 10 * 20
    assert row["m2m"] == 10 * 10
    assert position.today_alone().quantity == -4


def test_a_position_closed_yesterday_is_not_listed_today(exchange):
    exchange.place(ticket(product="MIS"), MONDAY)
    exchange.place(ticket(product="MIS", transaction_type="SELL"), MONDAY)

    assert len(net_positions(exchange.book.trades, trading_date(MONDAY))) == 1
    assert net_positions(exchange.book.trades, trading_date(TUESDAY)) == []


def test_a_position_that_turned_around_has_the_price_of_its_turn(exchange):
    exchange.place(ticket(product="MIS"), MONDAY)
    exchange.set_price(INFY, Decimal("1600.00"), MONDAY)
    exchange.place(ticket(product="MIS", transaction_type="SELL", quantity="15"), MONDAY)

    (position,) = net_positions(exchange.book.trades, date(2026, 11, 24))

    assert (position.overnight_quantity, position.overnight_price) == (-5, Decimal("1600.00"))


def test_prices_are_a_function_of_seed_symbol_and_time():
    moments = [MONDAY + timedelta(seconds=second) for second in range(0, 7200, 60)]
    path = [Market(seed=1).last_price(INFY, moment) for moment in moments]

    assert path == [Market(seed=1).last_price(INFY, moment) for moment in moments]
    assert path != [Market(seed=2).last_price(INFY, moment) for moment in moments]
    assert len(set(path)) > 20
    assert all(price % INFY.tick_size == 0 for price in path)
    assert all(abs(price / INFY.base_price - 1) < Decimal("0.02") for price in path)


@pytest.mark.parametrize(
    ("price", "tick"),
    [("250", "0.01"), ("250.01", "0.05"), ("1000", "0.05"), ("5000", "0.1"), ("10000", "0.5"), ("20001", "5")],
)
def test_ticks_follow_the_exchanges_table(price, tick):
    assert tick_size(Decimal(price)) == Decimal(tick)
