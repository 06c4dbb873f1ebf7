"""
The executor broken on purpose: `manage.py soak --break NAME` must fail, or another test must when it is broken so.

What noticed each, forty kills from seed 3 in the soak; the tests are in tests/orders:

    skip-the-write-ahead     the soak, and test_execution: the_attempt_is_committed_before_anything_is_sent
    skip-a-modification-s-…  the soak, and test_modifying: one_whose_sender_died_is_in_doubt_and_then_…
    trust-a-timeout          the soak, and test_kite_gateway: an_answer_that_does_not_come_in_time_is_unknown
    resend-once              the soak, and test_execution: an_unknown_outcome_is_in_doubt_stops_signals_and_…
    acknowledge-early        the soak, and test_receivers: what_could_not_be_written_down_is_not_acknowledged_…
    drop-the-lock            test_execution: two_signals_cannot_share_the_last_trade_of_the_day
    believe-absence-at-once  test_reconciliation: absence_proves_something_only_in_a_read_begun_after_the_window

One executor of two sends at a time, so that the soak seldom misses a lock; what was believed absent is adopted when it
shows. `make mutations` applies these and more, one line at a time, each with its test.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import redis
from django.conf import settings

from orders import execution, modifying, receivers, reconciliation
from orders.broker.gateway import OrderRefused, OutcomeUnknown
from orders.broker.kite import KiteGateway
from risk.models.switch import TradingControlQuerySet


def skip_the_write_ahead() -> None:
    """Send without having committed SUBMITTING."""
    execution._claim = lambda desk, order, waited: order.status == "PENDING" and not order.broker_order_id


def skip_a_modification_s_write_ahead() -> None:
    """Send a modification without having committed SENDING."""
    modifying._claim = lambda desk, modification, waited: modification.state == "WISHED"


def trust_a_timeout() -> None:
    """Take an answer that never came for a refusal."""
    real = KiteGateway.place

    def place(self: KiteGateway, *args: Any, **kwargs: Any) -> str:
        try:
            return real(self, *args, **kwargs)
        except OutcomeUnknown as doubt:
            raise OrderRefused(str(doubt)) from doubt

    KiteGateway.place = place


def resend_once() -> None:
    """Try once more when the answer never came."""
    real = KiteGateway.place

    def place(self: KiteGateway, *args: Any, **kwargs: Any) -> str:
        try:
            return real(self, *args, **kwargs)
        except OutcomeUnknown:
            return real(self, *args, **kwargs)

    KiteGateway.place = place


def acknowledge_early() -> None:
    """Acknowledge stream entries before they are recorded."""
    real = receivers.record

    def record(desk: Any, messages: Any) -> Any:
        entries = [message.stream_entry_id for message in messages if message.stream_entry_id]
        if entries:
            with redis.Redis.from_url(settings.REDIS_URL) as client:
                client.execute_command("XACK", settings.SIGNAL_STREAM, settings.SIGNAL_GROUP, *entries)
        return real(desk, messages)

    receivers.record = record


def drop_the_lock() -> None:
    """Read the mode's row without locking it."""
    TradingControlQuerySet.locked = lambda self, mode: self.get(mode=mode)


def believe_absence_at_once() -> None:
    """Take an order for not placed as soon as one book lacks it."""
    real = reconciliation.compare

    def compare(*args: Any, **kwargs: Any) -> Any:
        return real(*args, **{**kwargs, "absence_window": timedelta(0)})

    def miss(desk: Any, pk: int, as_of: Any, *, then: Callable[..., object]) -> None:
        order = execution.Order.objects.get(pk=pk)
        then(order, desk.clock())

    reconciliation.compare = compare
    reconciliation._miss = miss


MUTATIONS: dict[str, Callable[[], None]] = {
    "skip-the-write-ahead": skip_the_write_ahead,
    "skip-a-modification-s-write-ahead": skip_a_modification_s_write_ahead,
    "trust-a-timeout": trust_a_timeout,
    "resend-once": resend_once,
    "acknowledge-early": acknowledge_early,
    "drop-the-lock": drop_the_lock,
    "believe-absence-at-once": believe_absence_at_once,
}
