"""What we know of the broker: its instruments, our login there, and which executor follows the book."""

from __future__ import annotations

from datetime import datetime

from django.db import models

from risk.models import Mode
from risk.questions import Later, Question

NO_EXECUTOR_AFTER_SECONDS = 10


class InstrumentQuerySet(models.QuerySet["Instrument"]):
    def named(self, exchange: str, symbol: str) -> Instrument | None:
        """Return what the broker lists under that name; None when it lists nothing."""
        return self.ask_named(exchange, symbol)()

    def ask_named(self, exchange: str, symbol: str) -> Later[Instrument | None]:
        """Ask for it `together` with other things."""
        asked = _NAMED.ask(exchange=exchange, symbol=symbol)
        return lambda: next(iter(asked()), None)


class Instrument(models.Model):
    """One line of the broker's daily instruments dump."""

    exchange = models.CharField(max_length=10)
    symbol = models.CharField(max_length=40)
    name = models.CharField(max_length=100, blank=True)
    token = models.BigIntegerField("instrument token")
    lot_size = models.PositiveIntegerField()
    tick_size = models.DecimalField(max_digits=12, decimal_places=4)
    instrument_type = models.CharField(max_length=10)
    segment = models.CharField(max_length=20, blank=True)
    underlies_futures = models.BooleanField(
        "has derivatives",
        null=True,
        help_text="Whether the broker lists futures on it, which decides its hours; empty while that is not known.",
    )
    read_at = models.DateTimeField()

    objects = InstrumentQuerySet.as_manager()

    class Meta:
        ordering = ["exchange", "symbol"]
        constraints = [
            models.UniqueConstraint(fields=["exchange", "symbol"], name="instrument_once"),
            models.CheckConstraint(condition=models.Q(lot_size__gt=0), name="instrument_lot_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.exchange}:{self.symbol}"


_NAMED = Question[Instrument](
    lambda exchange, symbol: Instrument.objects.filter(exchange=exchange, symbol=symbol), exchange=str, symbol=str
)


class BrokerSession(models.Model):
    """
    Our login at the broker, and how fresh what we know of its book is. One row a mode.

    `access_token` is encrypted; nothing shows it.
    """

    mode = models.CharField(max_length=8, choices=Mode, unique=True)
    user_id = models.CharField("Kite user id", max_length=32, blank=True)
    access_token = models.TextField(blank=True, editable=False)
    logged_in_at = models.DateTimeField(null=True, blank=True)
    valid_until = models.DateTimeField(null=True, blank=True)
    refused_at = models.DateTimeField(
        null=True, blank=True, help_text="When the broker last refused this login; a new login clears it."
    )
    environment_token_digest = models.CharField(max_length=64, blank=True, editable=False)
    reconciled_at = models.DateTimeField(
        null=True, blank=True, help_text="When the last complete comparison with the broker's book began."
    )
    last_error = models.TextField(blank=True)
    stream_heard_at = models.DateTimeField(
        null=True, blank=True, help_text="When the executor last heard the broker's stream of prices."
    )
    stream_connects = models.PositiveIntegerField(
        default=0, editable=False, help_text="How often an executor connected to the broker's stream, ever."
    )
    funds = models.DecimalField(
        "funds (₹)",
        max_digits=18,
        decimal_places=2,
        null=True,
        blank=True,
        help_text="What the broker lets be spent, as the executor last read it.",
    )
    funds_at = models.DateTimeField("funds read", null=True, blank=True)
    postback_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When the broker last posted an order update to us."
    )

    class Meta:
        permissions = [("log_in_to_kite", "Can log in to Kite")]

    def __str__(self) -> str:
        return f"{self.get_mode_display()} session"


class LoginAttempt(models.Model):
    """One press of the login button, and what came of it. The state that went to Kite and back is kept as a digest."""

    state_digest = models.CharField(max_length=64, unique=True, editable=False)
    begun_at = models.DateTimeField()
    begun_by = models.CharField(max_length=150)
    account = models.BigIntegerField(editable=False, help_text="Of the member of staff, whose name may change.")
    session_digest = models.CharField(max_length=64, editable=False)
    returned_at = models.DateTimeField(null=True, blank=True)
    succeeded = models.BooleanField(default=False)
    outcome = models.TextField(blank=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"login by {self.begun_by}"


class ExecutorHeartbeat(models.Model):
    """Which executor leads, and when it was last seen alive. One row a mode."""

    mode = models.CharField(max_length=8, choices=Mode, unique=True)
    host = models.CharField(max_length=100)
    pid = models.PositiveIntegerField()
    backend_pid = models.PositiveIntegerField(help_text="The PostgreSQL backend that holds the leader's lock.")
    started_at = models.DateTimeField()
    beat_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.host} pid {self.pid}"

    def is_alive(self, now: datetime) -> bool:
        return (now - self.beat_at).total_seconds() <= NO_EXECUTOR_AFTER_SECONDS
