"""
Alerts: what leaves the screen, as rows from the moment it is noticed to each channel's answer.

An `Alert` is one thing that happened; an `AlertMessage` tells of one of them, or of many at once; an `AlertDelivery` is
one message on its way through one channel. `AlertSender` is how far the sending process has looked.
"""

from __future__ import annotations

from datetime import timedelta

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from risk.models import Mode

LEASE = timedelta(seconds=8)


class AlertQuerySet(models.QuerySet["Alert"]):
    def waiting(self, mode: str) -> AlertQuerySet:
        """Return what no message tells of yet, oldest first."""
        return self.filter(mode=mode, message=None, is_quiet=False).order_by("pk")


class Alert(models.Model):
    """One thing that happened and that a person should know of away from the screen."""

    class Kind(models.TextChoices):
        ORDER_FILLED = "ORDER_FILLED", "Order filled"
        ORDER_REJECTED = "ORDER_REJECTED", "Order rejected"
        ORDER_IN_DOUBT = "ORDER_IN_DOUBT", "Order in doubt"
        DOUBT_ENDED = "DOUBT_ENDED", "Doubt ended"
        LIMIT_WARNING = "LIMIT_WARNING", "Limit nears"
        BREAKER = "BREAKER", "Limit reached"
        HALTED = "HALTED", "Trading halted"
        REDUCED = "REDUCED", "Reduce only"
        RESUMED = "RESUMED", "Trading resumed"
        LOGIN_NEEDED = "LOGIN_NEEDED", "Login needed"
        NOT_READY = "NOT_READY", "Not ready to trade"
        END_OF_DAY_BREAK = "END_OF_DAY_BREAK", "End-of-day break"
        EXECUTOR_SILENT = "EXECUTOR_SILENT", "Executor silent"
        EXECUTOR_BACK = "EXECUTOR_BACK", "Executor back"
        STOPS_OPENING = "STOPS_OPENING", "Incident that stops opening"
        ATTENTION = "ATTENTION", "Incident"
        UNDELIVERED = "UNDELIVERED", "Alerts not delivered"
        DATABASE_BACK = "DATABASE_BACK", "Database back"

    mode = models.CharField(max_length=8, choices=Mode)
    kind = models.CharField(max_length=20, choices=Kind)
    source = models.CharField(max_length=120, editable=False, help_text="What it was made from: told once.")
    at = models.DateTimeField(help_text="When it happened.")
    noticed_at = models.DateTimeField()
    is_urgent = models.BooleanField("urgent", default=False)
    is_quiet = models.BooleanField("quiet", default=False, help_text="Kept, and not sent: ALERT_QUIET names its kind.")
    title = models.CharField(max_length=200)
    text = models.TextField(blank=True)
    what_to_do = models.TextField(blank=True)
    path = models.CharField("page", max_length=200, blank=True, help_text="Where a person sees to it.")
    message = models.ForeignKey(
        "orders.AlertMessage", models.PROTECT, null=True, blank=True, related_name="alerts", editable=False
    )

    objects = AlertQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["mode", "source"], name="alert_once")]
        indexes = [
            models.Index(fields=["mode", "noticed_at"], name="alert_noticed"),
            models.Index(fields=["mode", "id"], condition=Q(message=None, is_quiet=False), name="alert_waiting"),
        ]
        permissions = [("send_alert", "Can send alerts again and test their channels")]

    def __str__(self) -> str:
        return self.title


class AlertMessage(models.Model):
    """What was sent: of one alert, or of all that came while a message had to wait."""

    mode = models.CharField(max_length=8, choices=Mode)
    formed_at = models.DateTimeField()
    is_urgent = models.BooleanField("urgent", default=False)
    title = models.CharField(max_length=300)
    text = models.TextField()
    tone = models.CharField(max_length=10, default="info", help_text="As the services name it: info to failure.")

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["mode", "is_urgent", "formed_at"], name="alert_message_formed")]

    def __str__(self) -> str:
        return self.title


class AlertDelivery(models.Model):
    """One message through one channel."""

    class State(models.TextChoices):
        WAITING = "WAITING", "Waiting"
        SENDING = "SENDING", "Being sent"
        DELIVERED = "DELIVERED", "Delivered"
        GIVEN_UP = "GIVEN_UP", "Given up"

    message = models.ForeignKey(AlertMessage, models.PROTECT, related_name="deliveries")
    channel = models.CharField(max_length=16, editable=False, help_text="A digest of its address.")
    label = models.CharField("channel", max_length=120)
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    attempts = models.PositiveIntegerField(default=0)
    asked_at = models.DateTimeField(help_text="When it was wished for, the last time.")
    next_at = models.DateTimeField("next attempt")
    sender = models.CharField(max_length=120, blank=True, editable=False, help_text="The process that sends it now.")
    delivered_at = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(blank=True)
    maybe_twice = models.BooleanField(
        "maybe twice", default=False, help_text="An attempt before had no answer: that one may have arrived, too."
    )

    class Meta:
        verbose_name_plural = "alert deliveries"
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["message", "channel"], name="alert_delivery_once"),
            models.CheckConstraint(
                condition=Q(state__in=["WAITING", "SENDING", "DELIVERED", "GIVEN_UP"]), name="alert_delivery_state"
            ),
        ]
        indexes = [
            models.Index(fields=["next_at"], condition=Q(state__in=["WAITING", "SENDING"]), name="alert_delivery_due")
        ]

    def __str__(self) -> str:
        return f"{self.label}: {self.get_state_display().lower()}"


class AlertSender(models.Model):
    """The sending process of a mode: who it is, and how far it has looked. One row a mode."""

    mode = models.CharField(max_length=8, choices=Mode, unique=True)
    holder = models.CharField(max_length=120, blank=True)
    until = models.DateTimeField(null=True, blank=True, help_text="By the database's clock; then another may lead.")
    watched = models.JSONField(default=dict, help_text="Of each table, up to which row everything was looked at.")
    mornings = models.JSONField(default=dict, help_text="Of each look of the morning, the date it was taken on.")
    pinged_at = models.DateTimeField(null=True, blank=True)
    ping_error = models.TextField(blank=True)

    def __str__(self) -> str:
        return f"{self.mode}: {self.holder or 'nobody'}"

    @staticmethod
    def lead(mode: str, holder: str) -> bool:
        """
        Take or renew the lease, and return whether the holder leads now.

        By the database's clock, so that no two clocks are compared. What is sent does not rest on it: rows are unique
        and claimed one by one.
        """
        free = Q(holder=holder) | Q(until=None) | Q(until__lt=Now()) | Q(until__gt=Now() + 2 * LEASE)
        return bool(AlertSender.objects.filter(free, mode=mode).update(holder=holder, until=Now() + LEASE))

    @staticmethod
    def give_up(mode: str, holder: str) -> None:
        AlertSender.objects.filter(mode=mode, holder=holder).update(until=Now())
