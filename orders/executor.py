"""
OrderExecutor: the same code for a script or a notebook, under the names of the original system.

Limits given to the constructor hold this executor to less than the stored limits allow, never to more.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.conf import settings

from orders import by_hand, modifying
from orders.broker.gateway import Gateway
from orders.deciding import InvalidOrder, ManualOrder, OrderDenied, UnknownInstrument
from orders.desk import Desk
from orders.execution import halt
from orders.flattening import flatten
from orders.ledger import own_quantity
from orders.listener import Listener
from orders.models import Flatten, Instrument, Order, OrderModification
from orders.observed import NOTHING_OBSERVED, observe
from orders.portfolio import snapshot
from orders.reconciliation import reconcile
from orders.stopping import reduce_only
from risk import limit_versions
from risk.engine.decision import assess
from risk.engine.exposure_rules import money_left, value_elsewhere
from risk.engine.facts import Holding, OrderType, Origin, Portfolio, ProposedOrder, Side, SignalFacts, TradingSignalType
from risk.engine.limits import Limits
from risk.engine.rules import CATALOGUE, RULES, Applies
from risk.engine.sizing import marketable_limit, size_entry
from risk.models import TradingControl

__all__ = ["OrderExecutor", "RiskManagementError", "TradingSignalType"]

# What can be said of a signal before it is known which instrument it is for.
_ASKED_OF_A_SIGNAL = frozenset(
    {
        "TRADING_HALTED",
        "TRADING_REDUCE_ONLY",
        "AUTO_TRADING_DISABLED",
        "HOLD_SIGNAL",
        "CMS_SCORE_TOO_WEAK",
        "DAILY_TRADES_EXCEEDED",
    }
)


class RiskManagementError(Exception):
    """
    The risk desk refuses; `control` is the code of the first control that does.

    `title` and `sentence` are what the catalogue says of it; of a code that is no control they are empty.
    """

    def __init__(self, message: str, *, control: str) -> None:
        super().__init__(message)
        self.control = control
        row = CATALOGUE.get(control)
        self.title = row.title if row else ""
        self.sentence = row.sentence if row else ""


class OrderExecutor:
    """Drives signals and orders through the same risk desk, ledger and gateway as the running executor."""

    def __init__(
        self,
        desk: Desk | None = None,
        *,
        redis_client: Any = None,
        kite_client: Gateway | None = None,
        enable_auto_trading: bool | None = None,
        position_size: Decimal | float | None = None,
        max_position_size: Decimal | float | None = None,
        max_daily_trades: int | None = None,
    ) -> None:
        """
        `kite_client` is a `Gateway`; `redis_client` only tells which Redis `listen` hears.

        Raise `ValueError` for a limit looser than the stored one: change it on the Risk settings page instead.
        """
        caps = _caps(position_size, max_position_size, max_daily_trades)
        desk = desk or Desk.from_settings()
        _check_only_tightens(caps, auto_trading=enable_auto_trading, mode=settings.TRADING_MODE, now=desk.clock())
        self.desk = replace(
            desk,
            gateway=kite_client or desk.gateway,
            stream=None if kite_client else desk.stream,  # which tells of another broker's orders and prices
            tighten=lambda limits: _tightened(desk.tighten(limits), caps),
            auto_trading_allowed=enable_auto_trading is not False,
        )
        self._redis_url = _url_of(redis_client) if redis_client is not None else settings.REDIS_URL
        self._listener: Listener | None = None

    @classmethod
    def from_settings(cls, **limits: Any) -> OrderExecutor:
        """Return an executor for the mode, broker and Redis that the settings name."""
        return cls(Desk.from_settings(), **limits)

    def validate_signal(self, signal_type: TradingSignalType, cms_score: float | Decimal) -> bool:
        """
        Return True when a signal of this type and score could be acted on now.

        Asks the controls that need no instrument: state, auto-trading, score, trades left. Raise `RiskManagementError`.
        """
        control = TradingControl.objects.get(mode=self.desk.mode)
        now = self.desk.clock()
        limits = self.desk.tighten(limit_versions.in_force(now=now).limits())
        score = _score(cms_score)
        proposed = _bare_proposal(TradingSignalType(signal_type), score, now, self.desk)
        portfolio = _bare_portfolio(self.desk, control, limits, now)
        sells = signal_type == TradingSignalType.SELL  # which only closes, and closing is not limited by count
        rules = tuple(
            rule
            for rule in RULES
            if rule.code in _ASKED_OF_A_SIGNAL and not (sells and rule.applies == Applies.OPENING)
        )
        decision = assess(proposed, portfolio, limits, now, rules=rules)
        if decision.breaches:
            reasons = "; ".join(f"{breach.control}: {breach.reason}" for breach in decision.breaches)
            raise RiskManagementError(reasons, control=decision.breaches[0].control)
        return True

    def execute_order(
        self, signal_type: TradingSignalType, symbol: str, signal_data: Mapping[str, Any] | None = None
    ) -> Order:
        """
        Place a manual order and return it as it stands after sending.

        `signal_data` may hold `cms_score`, which must pass its threshold, and `quantity`, `price` (a LIMIT), `token`
        (the same token never makes a second order). Raise `RiskManagementError`, saying which control refused.
        """
        fields = dict(signal_data or {})
        action = TradingSignalType(signal_type)
        if "cms_score" in fields:
            self._check_score(action, _score(fields["cms_score"]))
        if action == TradingSignalType.HOLD:
            raise RiskManagementError("HOLD asks for nothing", control="HOLD_SIGNAL")
        exchange, _, name = symbol.upper().rpartition(":")
        wish = self._wish(Side(action.value), exchange or self.desk.rules.default_exchange, name, fields)
        try:
            return by_hand.place(self.desk, wish)
        except OrderDenied as denial:
            raise _told(denial) from denial
        except UnknownInstrument as unknown:
            raise RiskManagementError(str(unknown), control="UNKNOWN_INSTRUMENT") from unknown
        except InvalidOrder as invalid:
            raise RiskManagementError(str(invalid), control="ORDER_TERMS") from invalid

    def check_order_status(self, order: Order) -> str:
        """Ask the broker, update the row and return its status. Raise `BrokerUnreachable`, `SessionRefused`."""
        reconcile(self.desk)
        order.refresh_from_db()
        return order.status

    def handle_fill(
        self, order: Order, *, quantity: int, price: Decimal | float, by: str = "script", reason: str = "by script"
    ) -> Order:
        """Record what was filled in all by hand. Raise `by_hand.MarkRefused` when the broker's book says otherwise."""
        fill = by_hand.HandFill(
            token=secrets.token_hex(8), quantity=quantity, price=Decimal(str(price)), by=by, reason=reason
        )
        return by_hand.mark_filled(self.desk, order, fill)

    def halt(self, *, reason: str, by: str = "script") -> list[Order]:
        """Halt trading, then ask for the cancel of every unfinished order; those are returned."""
        return halt(self.desk, by=by, reason=reason)

    def reduce_only(self, *, reason: str, by: str = "script") -> list[Order]:
        """Let only closing orders go; the entries that are asked to cancel are returned."""
        return reduce_only(self.desk, by=by, reason=reason)

    def flatten(self, *, reason: str, by: str = "script", token: str = "") -> Flatten:
        """
        Exit every open position, also while halted; `.positions` of the answer says what became of each so far.

        A running executor does what is left, or `orders.flattening.carry_on`. Raise `FlattenRefused`.
        """
        return flatten(self.desk, token=token or secrets.token_hex(16), by=by, reason=reason)

    def modify_order(
        self,
        order: Order,
        *,
        quantity: int | None = None,
        price: Decimal | float | None = None,
        reason: str,
        by: str = "script",
        token: str = "",
    ) -> OrderModification:
        """
        Ask the broker for another quantity in all, limit price in INR, or both, and return what it answered.

        The order has them when `check_order_status` finds them in the broker's book. The same `token` is never sent
        twice. Raise `RiskManagementError`, or `modifying.ModificationRefused` for an order that cannot be modified so.
        """
        wish = modifying.Wish(
            token=token or secrets.token_hex(16),
            quantity=quantity,
            price=None if price is None else Decimal(str(price)),
            by=by,
            reason=reason,
        )
        try:
            return modifying.modify(self.desk, order, wish)
        except OrderDenied as denial:
            raise _told(denial) from denial

    def start(self) -> None:
        """Get ready to listen. Another executor that leads already keeps leading; this one then stands by."""
        self._listener = Listener(
            self.desk,
            redis_url=self._redis_url,
            channel=settings.SIGNAL_CHANNEL,
            stream=settings.SIGNAL_STREAM,
            group=settings.SIGNAL_GROUP,
        )

    async def listen(self) -> None:
        """Act on signals until `stop`. Raise what `Listener.run` raises."""
        if self._listener is None:
            self.start()
        assert self._listener is not None, "start() makes one"
        await asyncio.to_thread(self._listener.run)

    def stop(self) -> None:
        """Have `listen` return after the turns under way."""
        if self._listener is not None:
            self._listener.stop()

    def _check_score(self, action: TradingSignalType, score: Decimal) -> None:
        limits = self.desk.tighten(limit_versions.in_force(now=self.desk.clock()).limits())
        control = TradingControl.objects.get(mode=self.desk.mode)
        now = self.desk.clock()
        rules = tuple(rule for rule in RULES if rule.code == "CMS_SCORE_TOO_WEAK")
        decision = assess(
            _bare_proposal(action, score, now, self.desk),
            _bare_portfolio(self.desk, control, limits, now),
            limits,
            now,
            rules=rules,
        )
        if decision.breaches:
            raise RiskManagementError(decision.reason, control="CMS_SCORE_TOO_WEAK")

    def _wish(self, side: Side, exchange: str, symbol: str, fields: Mapping[str, Any]) -> ManualOrder:
        limit_price = Decimal(str(fields["price"])) if fields.get("price") else None
        quantity = int(fields.get("quantity") or 0)
        if not quantity or limit_price is None:
            quantity, limit_price = self._sized(side, exchange, symbol, quantity, limit_price)
        return ManualOrder(
            token=str(fields.get("token") or secrets.token_hex(16)),
            side=side,
            exchange=exchange,
            symbol=symbol,
            quantity=quantity,
            order_type=OrderType.MARKET if limit_price is None else OrderType.LIMIT,
            limit_price=limit_price,
            by=str(fields.get("by") or "script"),
        )

    def _sized(
        self, side: Side, exchange: str, symbol: str, quantity: int, limit_price: Decimal | None
    ) -> tuple[int, Decimal | None]:
        """Fill in what was not said: an entry of the position size, a whole position to sell, a marketable limit."""
        instrument = Instrument.objects.filter(exchange=exchange, symbol=symbol).first()
        if instrument is None:
            return quantity, limit_price  # which decide_manual names
        limits = self.desk.tighten(limit_versions.for_instrument(exchange, symbol, now=self.desk.clock()))
        observed = observe(self.desk, exchange, symbol, with_position=False, with_funds=side == Side.BUY)
        quote = observed.quote
        if limit_price is None and quote is not None and limits.slippage_percent is not None:
            limit_price = marketable_limit(quote, side, percent=limits.slippage_percent, tick_size=instrument.tick_size)
        if quantity == 0 and side == Side.SELL:
            quantity = own_quantity(self.desk.mode, exchange, symbol)
        elif quantity == 0 and limit_price is not None:
            control = TradingControl.objects.get(mode=self.desk.mode)
            book = snapshot(self.desk, control, instrument, observed, limits=limits, now=self.desk.clock())
            quantity, _ = size_entry(
                price=limit_price,
                lot_size=instrument.lot_size,
                holding=book.holding,
                limits=limits,
                quote=quote,
                elsewhere=value_elsewhere(book, limits),
                spendable=money_left(book, limits),
            )
        return quantity, limit_price


def _told(denial: OrderDenied) -> RiskManagementError:
    """Return the denial as the face tells it: with the code of the control that decided."""
    refusals = [verdict for verdict in denial.decision.verdicts if not verdict["passed"]]
    control = next(each["control"] for each in refusals if each["outcome"] == denial.decision.outcome)
    return RiskManagementError(str(denial), control=control)


def _score(given: Any) -> Decimal:
    try:
        score = Decimal(str(given))
    except InvalidOperation:
        score = Decimal("NaN")
    if not score.is_finite() or abs(score) > 100:
        raise RiskManagementError(f"a CMS score is a number from -100 to 100, not {given}", control="SIGNAL")
    return score


def _bare_proposal(action: TradingSignalType, score: Decimal, now: datetime, desk: Desk) -> ProposedOrder:
    return ProposedOrder(
        action=action,
        exchange=desk.rules.default_exchange,
        symbol="",
        product=desk.rules.product,
        quantity=0,
        order_type=OrderType.LIMIT,
        limit_price=None,
        origin=Origin.AUTO,
        lot_size=None,
        tick_size=None,
        signal=SignalFacts(cms_score=score, signal_at=now, newest_decided_at=None),
    )


def _bare_portfolio(desk: Desk, control: TradingControl, limits: Limits, now: datetime) -> Portfolio:
    """Return the book without any instrument's part of it."""
    nowhere = Instrument(exchange="", symbol="")
    return replace(snapshot(desk, control, nowhere, NOTHING_OBSERVED, limits=limits, now=now), holding=Holding())


def _caps(
    position_size: Decimal | float | None, max_position_size: Decimal | float | None, max_daily_trades: int | None
) -> dict[str, Any]:
    caps: dict[str, Any] = {
        "position_size": None if position_size is None else Decimal(str(position_size)),
        "position_value_max": None if max_position_size is None else Decimal(str(max_position_size)),
        "daily_trades_max": max_daily_trades,
    }
    return {name: cap for name, cap in caps.items() if cap is not None}


def _check_only_tightens(caps: Mapping[str, Any], *, auto_trading: bool | None, mode: str, now: datetime) -> None:
    stored = limit_versions.in_force(now=now)
    for name, cap in caps.items():
        if cap > getattr(stored, name):
            raise ValueError(
                f"{name} {cap} is above the stored limit {getattr(stored, name)}: raise it on the Risk settings page "
                "first, where the change is kept with its reason"
            )
    if auto_trading and not TradingControl.objects.get(mode=mode).auto_trading:
        raise ValueError("auto-trading is off: turn it on at the Trading control page, or with auto_trading on")


def _tightened(limits: Limits, caps: Mapping[str, Any]) -> Limits:
    return replace(limits, **{name: min(cap, getattr(limits, name)) for name, cap in caps.items()})


def _url_of(client: Any) -> str:
    parameters = client.connection_pool.connection_kwargs
    password = f":{parameters['password']}@" if parameters.get("password") else ""
    return f"redis://{password}{parameters['host']}:{parameters['port']}/{parameters.get('db', 0)}"
