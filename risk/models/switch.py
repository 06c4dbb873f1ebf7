"""TradingControl: the one row of a mode that says what may leave, and the lock every writer of the book holds."""

from __future__ import annotations

import secrets

from django.db import models

from risk.engine.facts import TradingState
from risk.models.append_only import append_only
from risk.questions import Later, Question, together

_PREFIX_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"


class Mode(models.TextChoices):
    """
    Paper trades at the paper Kite server, live at Zerodha. Every row of the book carries one of them.

    Shadow has Zerodha's login and prices, and sends its orders to a paper Kite server: a book of its own, so that it is
    mistaken neither for what was traded nor for what was rehearsed.
    """

    PAPER = "PAPER", "Paper"
    SHADOW = "SHADOW", "Shadow"
    LIVE = "LIVE", "Live"


STATE_CHOICES = [
    (TradingState.ACTIVE.value, "Active"),
    (TradingState.REDUCE_ONLY.value, "Reduce only"),
    (TradingState.HALTED.value, "Halted"),
]


def new_order_id_prefix() -> str:
    """Return four characters that mark the order ids of this installation at the broker."""
    return "".join(secrets.choice(_PREFIX_ALPHABET) for _ in range(4))


class TradingControlQuerySet(models.QuerySet["TradingControl"]):
    def locked(self, mode: str) -> TradingControl:
        """
        Return the mode's row, locked until the transaction ends.

        Whoever changes orders, fills or positions holds this lock, and takes it before any other row: that is what
        keeps two deciders from sharing the last free trade.
        """
        with together():  # with the beginning of the transaction
            locked = self.ask_locked(mode)
        return locked()

    def ask_locked(self, mode: str) -> Later[TradingControl]:
        """
        Ask for it `together` with other things. Each of those sees what was committed while the lock was waited for:
        a statement of its own sees what there is when it begins, and it begins once the lock is ours.
        """
        asked = _LOCKED.ask(mode=mode)

        def told() -> TradingControl:
            for control in asked():
                return control
            raise TradingControl.DoesNotExist(f"there is no trading control of {mode}")

        return told


class TradingControl(models.Model):
    """What may leave at all, for one mode. Changed by the functions of `risk.control` alone; never a form."""

    mode = models.CharField(max_length=8, choices=Mode, unique=True)
    state = models.CharField(max_length=12, choices=STATE_CHOICES, default=TradingState.ACTIVE.value)
    auto_trading = models.BooleanField(default=False)
    armed_user_id = models.CharField(
        "armed for", max_length=32, blank=True, help_text="The Kite user id that live trading was armed for."
    )
    lifts_to = models.CharField(
        max_length=12,
        blank=True,
        editable=False,
        help_text="What a new login and a clean comparison bring back; empty when only a person lifts a halt.",
    )
    restored_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="When this database was made from a backup. A signal of before may have been acted on already.",
    )
    order_id_prefix = models.CharField(max_length=4, default=new_order_id_prefix, editable=False)
    version = models.PositiveIntegerField(default=1, help_text="Counts every change.")
    changed_by = models.CharField(max_length=150)
    reason = models.TextField(blank=True)
    changed_at = models.DateTimeField()

    objects = TradingControlQuerySet.as_manager()

    class Meta:
        verbose_name = "trading control"
        verbose_name_plural = "trading control"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state__in=[state.value for state in TradingState]),
                name="trading_control_state_is_known",
            ),
            models.CheckConstraint(condition=models.Q(mode__in=Mode.values), name="trading_control_mode_is_known"),
        ]
        permissions = [
            ("halt_trading", "Can halt trading or restrict it to closing orders"),
            ("resume_trading", "Can resume trading"),
            ("switch_auto_trading", "Can turn auto-trading on and off"),
            ("arm_live", "Can arm live trading"),
        ]

    def __str__(self) -> str:
        return f"{self.get_mode_display()}: {self.state}, auto-trading {'on' if self.auto_trading else 'off'}"


_LOCKED = Question["TradingControl"](
    lambda mode: TradingControl.objects.select_for_update().filter(mode=mode), mode=str
)


class TradingControlEvent(models.Model):
    """One change of the switch: what, who, why and when."""

    mode = models.CharField(max_length=8, choices=Mode)
    at = models.DateTimeField(db_index=True)
    actor = models.CharField(max_length=150)
    reason = models.TextField(blank=True)
    state = models.CharField("state after", max_length=12, choices=STATE_CHOICES)
    auto_trading = models.BooleanField("auto-trading after")
    armed_user_id = models.CharField("armed for, after", max_length=32, blank=True)
    version = models.PositiveIntegerField()

    class Meta:
        verbose_name = "trading control change"
        ordering = ["-version"]
        triggers = append_only()
        constraints = [
            models.UniqueConstraint(fields=["mode", "version"], name="trading_control_event_once_per_version")
        ]

    def __str__(self) -> str:
        return f"{self.mode} version {self.version}: {self.state}"
