"""
A walk through the running parts, saying what it sees: risk management, manual execution, automatic listening, status.

Each step says beforehand what should come of it, the limits as they are included, so that the walk can be taken again
and again: when the day's trades are used up, the right outcome of a buy is its denial by name.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

from orders.by_hand import HandFill, mark_filled
from orders.execution import cancel
from orders.executor import OrderExecutor, RiskManagementError, TradingSignalType
from orders.lifecycle import OrderStatus
from orders.models import ExecutorHeartbeat, Instrument, Order, Position, Signal
from orders.quotes import last_quote
from risk import control, limit_versions
from risk.engine.facts import Quote, Side, TradingState
from risk.engine.sizing import marketable_limit
from risk.models import Incident, Mode, TradingControl

SYMBOLS = ("ITC", "SBIN", "WIPRO", "NTPC", "ONGC", "POWERGRID", "COALINDIA", "INFY")
WAIT_SECONDS = 10.0
HEARTBEAT_AGE_MAX = timedelta(seconds=5)
BY = "demo"


class DemoRefused(Exception):
    """The walk cannot be taken now; the text says why and what to do."""


class Demo:
    """One walk. `say` prints a line, `publish` puts a signal's fields on the channel."""

    def __init__(self, executor: OrderExecutor, say: Callable[[str], object], publish: Callable[..., str]) -> None:
        self._executor = executor
        self._desk = executor.desk
        self._say = say
        self._publish = publish
        self.failures = 0

    def run(self) -> None:
        """Take the walk, counting in `failures` what was not as it should be. Raise `DemoRefused`."""
        self._check_it_can_be_taken()
        switch = TradingControl.objects.get(mode=self._desk.mode)
        was_on = switch.auto_trading
        try:
            if not was_on:
                control.auto_trading_on(
                    self._desk.mode, by=BY, reason="demo", now=self._desk.clock(), version_shown=switch.version
                )
                self._say("auto-trading was off: turned on for the demo")
            symbol, quote = self._pick()
            self._say_room(symbol)
            self._risk_management()
            bought = self._manual_execution(symbol, quote)
            self._automatic_listening(self._pick(besides=symbol)[0])  # of the first it would be a duplicate
            self._status_tracking(bought)
        finally:
            if not was_on:
                control.auto_trading_off(self._desk.mode, by=BY, reason="demo is over", now=self._desk.clock())
                self._say("auto-trading is off again")

    def _check_it_can_be_taken(self) -> None:
        if self._desk.mode != Mode.PAPER:
            raise DemoRefused(f"this is {self._desk.mode}: the demo sends orders and runs on paper only")
        alive = self._desk.clock() - HEARTBEAT_AGE_MAX
        if not ExecutorHeartbeat.objects.filter(mode=self._desk.mode, beat_at__gt=alive).exists():
            raise DemoRefused("no executor is running: start one with `make run`, or manage.py listen_signals")
        switch = TradingControl.objects.get(mode=self._desk.mode)
        if switch.state != TradingState.ACTIVE:
            raise DemoRefused(f"trading is {switch.state} ({switch.reason}): resume it on the Trading control page")
        if Order.objects.in_doubt(self._desk.mode).exists():
            raise DemoRefused("an order is in doubt, so nothing new is opened: see Incidents")

    def _pick(self, besides: str = "") -> tuple[str, Quote]:
        """Return a symbol that we neither hold nor bought just now and that nothing stops, with its last price."""
        window = timedelta(seconds=limit_versions.in_force(now=self._desk.clock()).duplicate_window_seconds)
        bought = Order.objects.ours(self._desk.mode).filter(side=Side.BUY.value)
        lately = set(bought.filter(created_at__gt=self._desk.clock() - window).values_list("symbol", flat=True))
        for symbol in SYMBOLS:
            if symbol == besides or symbol in lately:
                continue
            same = {"mode": self._desk.mode, "symbol": symbol}
            held = Position.objects.filter(**same).exclude(quantity=0).exists()
            working = Order.objects.unfinished(self._desk.mode).filter(symbol=symbol).exists()
            stopped = Incident.objects.stopping(self._desk.mode, symbol).exists()
            quote = last_quote(self._desk, self._desk.rules.default_exchange, symbol)
            if not (held or working or stopped) and quote is not None:
                return symbol, quote
        raise DemoRefused(f"none of {', '.join(SYMBOLS)} is free: they are held, just bought, working or stopped")

    def _trades_left(self) -> int:
        done = Order.objects.trades_of(self._desk.mode, self._desk.today()).count()
        return max(0, limit_versions.in_force(now=self._desk.clock()).daily_trades_max - done)

    def _say_room(self, symbol: str) -> None:
        limits = limit_versions.in_force(now=self._desk.clock())
        self._say(
            f"room: {self._trades_left()} trades left of {limits.daily_trades_max} today (a walk takes 4), "
            f"₹{limits.position_value_max} in {symbol}; an entry is ₹{limits.position_size}"
        )

    def _risk_management(self) -> None:
        self._say("1. Risk management")
        no_room = None if self._trades_left() else "DAILY_TRADES_EXCEEDED"
        for signal_type, score, refusal in (
            (TradingSignalType.BUY, 75.0, no_room),
            (TradingSignalType.BUY, 55.0, "CMS_SCORE_TOO_WEAK"),
            (TradingSignalType.SELL, -75.0, None),
            (TradingSignalType.SELL, -55.0, "CMS_SCORE_TOO_WEAK"),
        ):
            try:
                self._executor.validate_signal(signal_type, score)
                seen = None
            except RiskManagementError as error:
                seen = error.control
            self._expect(seen == refusal, f"{signal_type} at {score}: {seen or 'passes'}")

    def _manual_execution(self, symbol: str, quote: Quote) -> Order | None:
        self._say("2. Manual execution")
        room = self._trades_left() > 0
        try:
            bought = self._executor.execute_order(TradingSignalType.BUY, symbol, {"cms_score": 75.0, "by": BY})
        except RiskManagementError as error:
            self._expect(not room and error.control == "DAILY_TRADES_EXCEEDED", f"BUY {symbol}: denied, {error}")
            return None
        self._expect(bool(bought.broker_order_id), f"BUY {bought.quantity} {symbol}: {bought.broker_order_id}")
        self._wait(bought, {OrderStatus.FILLED})
        self._cancel_and_mark(symbol, quote, bought.quantity)
        return bought

    def _cancel_and_mark(self, symbol: str, quote: Quote, quantity: int) -> None:
        """Rest a sale far above the market, cancel it at the broker, and mark its fill by hand."""
        instrument = Instrument.objects.get(exchange=self._desk.rules.default_exchange, symbol=symbol)
        above = marketable_limit(quote, Side.SELL, percent=Decimal(-5), tick_size=instrument.tick_size)
        resting = self._executor.execute_order(
            TradingSignalType.SELL, symbol, {"quantity": quantity, "price": above, "by": BY}
        )
        self._wait(resting, {OrderStatus.OPEN})
        cancel(self._desk, resting, by=BY, reason="demo")
        self._wait(resting, {OrderStatus.CANCELLED})
        fill = HandFill(token=secrets.token_hex(8), quantity=quantity, price=above, by=BY, reason="demo")
        mark_filled(self._desk, resting, fill)
        self._expect(resting.status == OrderStatus.FILLED, f"marked by hand: {resting.status} at ₹{above}")

    def _automatic_listening(self, symbol: str) -> None:
        self._say("3. Automatic listening")
        room = self._trades_left() > 0
        buy = self._publish("BUY", symbol, 75.0)
        self._await_signal(buy, "APPROVED" if room else "DENIED", "one order" if room else "denied by name")
        self._await_signal(
            self._publish("SELL", symbol, -75.0),
            "APPROVED" if room else "IGNORED",
            "closes it" if room else "nothing to sell",
        )
        self._await_signal(self._publish("HOLD", symbol, 0.0), "IGNORED", "asks for nothing")

    def _status_tracking(self, bought: Order | None) -> None:
        self._say("4. Status tracking")
        if bought is None:
            self._say("   no order to follow: the limits left no room for one")
            return
        status = self._executor.check_order_status(bought)
        self._expect(status == OrderStatus.FILLED, f"{bought.broker_order_id} is {status} at ₹{bought.average_price}")
        steps = " → ".join(event.after for event in bought.events.all() if event.before != event.after)
        self._say(f"   PENDING → {steps}")

    def _await_signal(self, signal_id: str, status: str, meaning: str) -> None:
        """Wait for the signal's conclusion, and for the end of the order it became."""
        end = time.monotonic() + WAIT_SECONDS
        seen = None
        while time.monotonic() < end:
            seen = Signal.objects.filter(mode=self._desk.mode, signal_id=signal_id).first()
            if seen is not None and seen.status != Signal.Status.RECEIVED:
                break
            time.sleep(0.05)
        if seen is None:
            self._expect(False, f"signal {signal_id} was not heard")
            return
        self._expect(
            seen.status == status, f"{seen.signal_type} {seen.symbol}: {seen.status} ({meaning}) {seen.reason}"
        )
        for order in seen.orders.all():
            self._wait(order, {OrderStatus.FILLED})

    def _wait(self, order: Order, wanted: set[OrderStatus]) -> None:
        end = time.monotonic() + WAIT_SECONDS
        while order.status not in wanted and time.monotonic() < end:
            time.sleep(0.05)
            order.refresh_from_db()
        self._expect(order.status in wanted, f"{order} {order.broker_order_id}: {order.status}")

    def _expect(self, held: bool, line: str) -> None:
        self.failures += not held
        self._say(f"   {'ok ' if held else 'NOT AS IT SHOULD BE'} {line}")
