"""
A day at the desk, made by its use cases: what the pages show when all of them have something to show.

Wednesday, 25 November 2026, to a quarter past two. Signals of two strategies buy and sell a few shares, some are
refused, each for another reason; Tara places orders of her own; one answer of the broker is lost and found again; a
limit waits for a second person. Each price is set and each minute is, so that the day is the same whenever it is made.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from importlib import import_module
from typing import Any

from django.apps import apps
from django.contrib.auth.models import Group, User
from django.db import connection, transaction

from orders import alert_urls, by_hand, end_of_day, modifying
from orders.alerting import outbox, watching
from orders.broker.kite_rows import IST
from orders.deciding import ManualOrder, OrderDenied, decide
from orders.desk import Desk
from orders.execution import cancel, submit
from orders.inbox import Received, record
from orders.models import AlertDelivery, AlertSender, BrokerSession, ExecutorHeartbeat, Order, Signal
from orders.observations import Observations
from orders.reconciliation import carry_out_cancels, reconcile
from risk import approvals, calendar_approvals, control, four_eyes, limit_versions
from risk.audit.who import acting
from risk.calendar_edits import RowEdit
from risk.engine.facts import OrderType, Side
from risk.models import CalendarDay, CalendarYear, InstrumentLimit, SessionRule, TradingControl
from tests.conftest import WITHOUT_TRIGGERS
from tests.orders.paper.paper_process import PaperProcess

from .staged_time import StagedTime

TICK = Decimal("0.05")  # INR
START = datetime(2026, 11, 25, 9, 0, tzinfo=IST)
LIMITS: dict[str, Any] = {
    "position_size": Decimal(10_000),
    "order_value_max": Decimal(50_000),
    "position_value_max": Decimal(75_000),
    "gross_exposure_max": Decimal(300_000),
    "daily_trades_max": 40,
    "daily_loss_max": Decimal(5_000),
    "order_quantity_max": 500,
}
# What the installation's environment says of them.
FIRST_LIMITS = {
    "POSITION_SIZE": LIMITS["position_size"],
    "MAX_POSITION_SIZE": LIMITS["position_value_max"],
    "MAX_DAILY_TRADES": LIMITS["daily_trades_max"],
    "CMS_BUY_THRESHOLD": Decimal(60),
    "CMS_SELL_THRESHOLD": Decimal(-60),
}
# INR, by the time from which on it holds; between two of them the price goes in a straight line.
PRICES = {
    "RELIANCE": {"09:15": "1538.00", "10:30": "1546.40", "11:40": "1541.20", "14:15": "1559.80"},
    "INFY": {"09:15": "1542.00", "10:40": "1561.50", "12:00": "1549.00", "14:15": "1545.30"},
    "HDFCBANK": {"09:15": "996.50", "11:15": "989.30", "12:30": "993.10", "14:15": "1004.70"},
    "ICICIBANK": {"09:15": "1374.00", "10:20": "1378.20", "13:10": "1371.40", "14:15": "1380.10"},
    "SBIN": {"09:15": "971.00", "12:10": "966.40", "14:15": "969.90"},
    "TCS": {"09:15": "3148.00", "11:00": "3129.00", "14:15": "3162.50"},
    "ITC": {"09:15": "404.20", "11:30": "402.70", "14:15": "405.60"},
    "TATASTEEL": {"09:15": "172.10", "14:15": "170.35"},
}


class StagedDay:
    """One day. `times` is everybody's clock; in quiet hours the desk looks once a `step`."""

    def __init__(self, desk: Desk, paper: PaperProcess, times: StagedTime, *, step: timedelta) -> None:
        self.desk, self.paper, self.times = replace(desk, clock=times, pause=times.pass_seconds), paper, times
        self._seq = 0
        self._step, self._dated_to = step, 0
        self._quoted: set[str] = set()  # whose book stands as it was made
        self._observations = Observations(self.desk, stopwatch=lambda: times.moment.timestamp())

    def play(self) -> None:
        """Let the day go by until 14:15."""
        with acting("executor"):
            self._open()
            for time, happens in self._happenings():
                self._pass_until(time)
                happens()
            self._pass_until("14:14:52")
            self.look()
            self._alerts()

    def look(self) -> None:
        """Compare the book, and keep what the executor would."""
        reconcile(self.desk)
        carry_out_cancels(self.desk)
        self._observations.keep(with_funds=True)
        ExecutorHeartbeat.objects.update(beat_at=self.times.moment)
        BrokerSession.objects.filter(mode=self.desk.mode).update(stream_heard_at=self.times.moment)
        self._date_the_trail()

    def end(self) -> None:
        """Let the exchange close, and take the day's report."""
        with acting("executor"):
            self.times.at("15:46")
            self.look()
            end_of_day.take(self.desk, self.desk.today(), by="executor")

    def _open(self) -> None:
        self.times.at("09:02")
        TradingControl.objects.filter(mode=self.desk.mode).update(order_id_prefix="DESK")  # the same ids each time
        if not CalendarYear.objects.exists():  # an earlier test of the session emptied what the migrations load
            import_module("risk.migrations.0003_calendar").load_the_nse(apps, None)
        for kept in (CalendarDay, CalendarYear, SessionRule):
            kept.objects.update(entered_at=self.times.moment)
        for symbol, shares, price in (("TATASTEEL", 120, "151.20"), ("ITC", 60, "411.35")):
            self.paper.control("POST", f"holdings/NSE/{symbol}", {"quantity": shares, "average_price": price})
        self._people()
        self._limits()
        self._move_prices()
        ExecutorHeartbeat.objects.create(
            mode=self.desk.mode, host="desk-1", pid=2417, backend_pid=2431,
            started_at=self.times.moment, beat_at=self.times.moment,
        )  # fmt: skip
        self.look()

    def _people(self) -> None:
        for name, role in (("tara", "Trader"), ("rita", "Risk manager"), ("arun", "Risk manager"), ("vera", "Viewer")):
            user = User.objects.create_user(name, is_staff=True, is_superuser=name == "tara")
            user.groups.add(Group.objects.get(name=role))
        User.objects.filter(username="tara").update(first_name="Tara")

    @acting("rita")
    def _limits(self) -> None:
        edited = limit_versions.in_force(now=self.times())
        for name, value in LIMITS.items():
            setattr(edited, name, value)
        limit_versions.save(edited, list(LIMITS), by="rita", reason="the sizes agreed for November", now=self.times())
        self.times.at("09:05")
        own = InstrumentLimit(exchange="NSE", symbol="TATASTEEL", blocked=True)
        limit_versions.save_instrument(own, by="rita", reason="results on Friday", now=self.times())

    def _happenings(self) -> list[tuple[str, Callable[[], Any]]]:
        buy, sell = self._buy, self._sell
        return [
            ("09:16", self._auto_trading_on),
            ("09:21:04", lambda: self.signal("BUY", "RELIANCE", 78.4)),
            ("09:24:31", lambda: self.signal("BUY", "INFY", 71.0)),
            ("09:31:07", lambda: self.signal("HOLD", "TCS", 12.5)),
            ("09:40:12", lambda: self.signal("BUY", "SBIN", 54.2)),
            ("09:47:45", lambda: self.signal("BUY", "HDFCBANK", 82.9, strategy="mean-reversion")),
            ("09:52:20", lambda: buy("RELIANCE", 20, "1545.00")),
            ("09:58:03", lambda: buy("ICICIBANK", 30, "1380.00")),
            ("10:05:30", lambda: self.signal("BUY", "TATASTEEL", 66.1)),
            ("10:12:10", lambda: self._refused("place", "INFY", 25, "1565.00")),
            ("10:20:00", lambda: self.signal("SELL", "WIPRO", -71.3)),
            ("10:34:50", lambda: sell("ICICIBANK", 10, "1377.00")),
            ("10:41:22", lambda: self.signal("SELL", "INFY", -74.6)),
            ("10:55:00", lambda: self._late("BUY", "TCS", 69.7)),
            ("11:02:15", lambda: self._raw(b'{"signal_type": "BYU", "symbol": "TCS", "cms_score": 70}')),
            ("11:20:00", lambda: self.signal("BUY", "TCS", 73.2, strategy="mean-reversion")),
            ("11:36:40", lambda: buy("ITC", 100, "398.50")),
            ("11:48:00", lambda: self._lost_answer("SBIN", 15, "968.90")),
            ("12:10:05", lambda: buy("HDFCBANK", 12, "985.00")),
            ("12:26:30", lambda: self._part("SBIN", 40, "967.00", at_once=16)),
            ("12:41:00", lambda: self._modify("ITC", 80, "399.80")),
            ("12:58:10", lambda: self._too_much("RELIANCE", 30, "1556.00")),
            ("13:09:00", lambda: self._cancel("HDFCBANK", "too far below the market")),
            ("13:22:45", lambda: self.signal("BUY", "ICICIBANK", 64.8)),
            ("13:31:00", self._ask_for_more),
            ("13:40:12", lambda: self._gap("momentum")),
            ("13:55:20", lambda: sell("RELIANCE", 8, "1553.00")),
            ("14:06:00", lambda: buy("TCS", 4, "3130.00")),
        ]  # fmt: skip

    @acting("rita")
    def _auto_trading_on(self) -> None:
        shown = TradingControl.objects.get(mode=self.desk.mode).version
        control.auto_trading_on(
            self.desk.mode, by="rita", reason="start of day is clean", now=self.times(), version_shown=shown
        )

    def signal(self, kind: str, symbol: str, score: float, *, strategy: str = "momentum", **more: Any) -> None:
        """Publish a signal, and let the worker take its turn."""
        if strategy == "momentum":
            self._seq += 1
            more["seq"] = self._seq
        published = self.times() - timedelta(milliseconds=420)
        fields = {"signal_type": kind, "symbol": symbol, "cms_score": score, "timestamp": published.isoformat()}
        name = f"{published:%H%M%S}-{symbol}".lower()
        self._raw(json.dumps({**fields, "signal_id": name, "strategy": strategy, **more}).encode())

    def _raw(self, raw: bytes) -> None:
        record(self.desk, [Received(raw=raw, source=Signal.Source.STREAM, stream_entry_id="")])
        for signal in Signal.objects.undecided(self.desk.mode):
            self.times.pass_seconds(0.04)
            order = decide(self.desk, signal)
            if order is not None:
                submit(self.desk, order)
        self.look()

    def _late(self, kind: str, symbol: str, score: float) -> None:
        old = self.times() - timedelta(hours=5, minutes=30)
        self.signal(kind, symbol, score, strategy="mean-reversion", timestamp=old.isoformat())

    def _gap(self, strategy: str) -> None:
        self._seq += 3
        self.signal("HOLD", "INFY", 3.0, strategy=strategy)

    def _wish(self, side: Side, symbol: str, quantity: int, price: str) -> ManualOrder:
        return ManualOrder(
            token=f"{side} {symbol} {price} {self.times():%H%M}", side=side, exchange="NSE", symbol=symbol,
            quantity=quantity, order_type=OrderType.LIMIT, limit_price=Decimal(price), by="tara",
        )  # fmt: skip

    def _buy(self, symbol: str, quantity: int, price: str) -> Order:
        with acting("tara"):
            order = by_hand.place(self.desk, self._wish(Side.BUY, symbol, quantity, price))
        self.times.pass_seconds(0.6)
        self.look()
        return order

    def _sell(self, symbol: str, quantity: int, price: str) -> Order:
        with acting("tara"):
            order = by_hand.place(self.desk, self._wish(Side.SELL, symbol, quantity, price))
        self.times.pass_seconds(0.6)
        self.look()
        return order

    def _refused(self, route: str, symbol: str, quantity: int, price: str) -> None:
        self.paper.fault(route, "refuse_margin")
        self._buy(symbol, quantity, price)

    def _too_much(self, symbol: str, quantity: int, price: str) -> None:
        try:
            self._buy(symbol, quantity, price)
        except OrderDenied:
            self.look()

    def _lost_answer(self, symbol: str, quantity: int, price: str) -> None:
        self.paper.fault("place", "drop_after")
        self._buy(symbol, quantity, price)
        self.times.pass_seconds(21)
        self.signal("SELL", "RELIANCE", -63.8, strategy="mean-reversion")  # with auto-trading off it waits for a person
        self.times.pass_seconds(24)
        shown = TradingControl.objects.get(mode=self.desk.mode).version
        why = "the order was found at the broker"
        control.auto_trading_on(self.desk.mode, by="rita", reason=why, now=self.times(), version_shown=shown)
        self.look()

    def _part(self, symbol: str, quantity: int, price: str, *, at_once: int) -> None:
        self._quoted.add(symbol)
        level = [{"price": price, "quantity": at_once, "orders": 1}]
        self.paper.control("PUT", f"prices/NSE/{symbol}", {"price": price, "sell": level})
        self._buy(symbol, quantity, price)

    @acting("tara")
    def _modify(self, symbol: str, quantity: int, price: str) -> None:
        order = Order.objects.unfinished(self.desk.mode).get(symbol=symbol)
        wish = modifying.Wish(
            token=f"modify {symbol}", quantity=quantity, price=Decimal(price), by="tara", reason="the market went up"
        )
        modifying.modify(self.desk, order, wish)
        self.look()

    @acting("tara")
    def _cancel(self, symbol: str, reason: str) -> None:
        cancel(self.desk, Order.objects.unfinished(self.desk.mode).get(symbol=symbol), by="tara", reason=reason)
        self.look()

    @acting("arun")
    def _ask_for_more(self) -> None:
        house = four_eyes.House.of(needs="second_person", mode=self.desk.mode, ceilings={})
        arun = User.objects.get(username="arun")
        edited = limit_versions.in_force(now=self.times())
        edited.daily_trades_max = 60
        approvals.save(
            edited, ["daily_trades_max"], author=arun, reason="the second strategy starts tomorrow", now=self.times(),
            house=house, version_shown=edited.version,
        )  # fmt: skip
        year = RowEdit.put(CalendarYear(year=2027, complete=True))
        author = calendar_approvals.Author.person(arun)
        calendar_approvals.change(
            [year], what="2027 complete", author=author, reason="circular of 20 November", now=self.times(), house=house
        )

    def _alerts(self) -> None:
        """Tell of the day at once, as a sender would that was started late: one channel takes it, one does not."""
        addresses = ["jsons://hooks.example.com/desk", "tgram://123456789:a-token/42"]
        channels, now, mode = alert_urls.addresses(addresses, secret_key="staged"), self.times.moment, self.desk.mode
        mark = {"low": 0, "high": 0, "at": now.isoformat(), "transaction": 0}
        row = AlertSender(mode=mode, watched={table.name: dict(mark) for table in watching.TABLES})
        for table in watching.TABLES:
            outbox.note(mode, filter(None, map(table.news, watching.look(table, row, now))), now=now)
        outbox.join(mode, channels, now=now, base_url="https://desk.example.com")
        taken, refused = (AlertDelivery.objects.filter(channel=each.key) for each in channels)
        taken.update(state="DELIVERED", attempts=1, delivered_at=now)
        refused.update(state="GIVEN_UP", attempts=outbox.ATTEMPTS_MAX, last_error="Failed to send: Unauthorized, 401")

    def _date_the_trail(self) -> None:
        """Put what the trail has just got at this time of the day: its trigger asks PostgreSQL's own clock."""
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(WITHOUT_TRIGGERS)
            cursor.execute("UPDATE risk_auditentry SET at = %s WHERE id > %s", [self.times.moment, self._dated_to])
            cursor.execute("SELECT coalesce(max(id), 0) FROM risk_auditentry")
            self._dated_to = cursor.fetchone()[0]

    def _pass_until(self, time: str) -> None:
        """Let the minutes go by, so that the day's line has its points, then go there."""
        end = self.times.today_at(time)
        while self.times.moment + self._step * 1.5 < end:
            self.times.go_to(self.times.moment + self._step)
            self._move_prices()
            self.look()
        self.times.go_to(end)
        self._move_prices()
        reconcile(self.desk)

    def _move_prices(self) -> None:
        minute = _minutes(f"{self.times().astimezone(IST):%H:%M}")
        for symbol in PRICES.keys() - self._quoted:
            self.paper.set_price(f"NSE:{symbol}", str(_price_at(PRICES[symbol], minute)))


def _minutes(time: str) -> int:
    hours, minutes = time.split(":")
    return int(hours) * 60 + int(minutes)


def _price_at(path: dict[str, str], minute: int) -> Decimal:
    """Return the price at this minute of the day, on a tick of five paise."""
    points = [(_minutes(time), Decimal(price)) for time, price in path.items()]
    before = max((point for point in points if point[0] <= minute), default=points[0])
    after = min((point for point in points if point[0] >= minute), default=points[-1])
    if before[0] >= after[0]:
        return before[1]
    part = Decimal(minute - before[0]) / (after[0] - before[0])
    wave = Decimal((minute * 7919 + len(path) * 104729) % 17 - 8) * before[1] / 40_000
    ticks = (before[1] + (after[1] - before[1]) * part + wave) / TICK
    return ticks.quantize(Decimal(1)) * TICK
