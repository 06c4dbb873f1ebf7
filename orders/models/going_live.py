"""The way to live money: each step that was passed, and each proof that an order reaches the broker."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import models
from django.db.models import Q

from risk.models import Mode
from risk.models.append_only import append_only

PROOF_LASTS = timedelta(minutes=2)  # longer than all its waits together: one that is older died with its process


class GoingLiveStep(models.Model):
    """What a person said of a step: passed, gone past without being green, or begun anew; and the limits held small."""

    class Step(models.TextChoices):
        REHEARSE = "REHEARSE", "Rehearse"
        SHADOW = "SHADOW", "Shadow"
        LINE = "LINE", "Prove the line"
        ONE_SHARE = "ONE_SHARE", "One share, one symbol"
        FULL = "FULL", "Full"

    class Said(models.TextChoices):
        PASSED = "PASSED", "Passed"
        OVERRIDDEN = "OVERRIDDEN", "Gone past"
        REOPENED = "REOPENED", "Begun anew"
        PRESET = "PRESET", "Limits held small"
        LIFTED = "LIFTED", "Limits wished back"

    step = models.CharField(max_length=10, choices=Step)
    said = models.CharField(max_length=10, choices=Said)
    at = models.DateTimeField()
    by = models.CharField(max_length=150)
    reason = models.TextField()
    facts = models.JSONField(help_text="What was measured then, or the limits before and after.")

    class Meta:
        verbose_name = "going live step"
        ordering = ["-id"]
        triggers = append_only()
        constraints = [
            models.CheckConstraint(
                condition=~Q(by="") & (Q(said="PASSED") | ~Q(reason="")), name="going_live_step_says_who_and_why"
            )
        ]
        permissions = [("pass_step", "Can pass the steps on the way to live money")]

    def __str__(self) -> str:
        return f"{self.get_step_display()}: {self.get_said_display().lower()}"


class LineProof(models.Model):
    """One share, a limit far away, placed and cancelled: whether address, login and permissions work."""

    class Verdict(models.TextChoices):
        PROVED = "PROVED", "The line works"
        LOGIN = "LOGIN", "The login was refused"
        ADDRESS = "ADDRESS", "The address was refused"
        PERMISSION = "PERMISSION", "The app lacks a permission"
        FUNDS = "FUNDS", "The funds do not suffice"
        REFUSED = "REFUSED", "The order was refused"
        DENIED = "DENIED", "Our risk desk refused it"
        MARKET = "MARKET", "The market does not allow it"
        UNREACHABLE = "UNREACHABLE", "The broker could not be reached"
        DOUBT = "DOUBT", "The order is in doubt"
        FILLED = "FILLED", "It was filled"
        NOT_CANCELLED = "NOT_CANCELLED", "Its cancel has not come about"
        BROKEN_OFF = "BROKEN_OFF", "It was broken off"

    mode = models.CharField(max_length=8, choices=Mode)
    token = models.CharField(max_length=40, unique=True, editable=False)
    exchange = models.CharField(max_length=10)
    symbol = models.CharField(max_length=40)
    price = models.DecimalField("limit price (₹)", max_digits=18, decimal_places=4, null=True, blank=True)
    order = models.OneToOneField("orders.Order", models.PROTECT, null=True, blank=True, related_name="line_proof")
    begun_at = models.DateTimeField()
    begun_by = models.CharField(max_length=150)
    ended_at = models.DateTimeField(null=True, blank=True)
    verdict = models.CharField(max_length=14, choices=Verdict, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["mode"], condition=Q(ended_at=None), name="line_proof_one_at_a_time"),
            models.CheckConstraint(
                condition=Q(ended_at=None, verdict="") | (Q(ended_at__isnull=False) & ~Q(verdict="")),
                name="line_proof_ends_with_a_verdict",
            ),
        ]
        permissions = [("prove_line", "Can prove the line with an order of one share")]

    def __str__(self) -> str:
        return f"{self.get_mode_display()}, {self.symbol}: {self.get_verdict_display() or 'under way'}"

    def is_overdue(self, now: datetime) -> bool:
        """Return whether it must have ended by now: whoever ran it died. Also when a clock was set back since."""
        return self.ended_at is None and not timedelta(0) <= now - self.begun_at <= PROOF_LASTS


class LineProofStage(models.Model):
    """One stage of a proof: what came of it, in our words and in the broker's own."""

    class Stage(models.TextChoices):
        LOGIN = "LOGIN", "Login"
        MARKET = "MARKET", "Price"
        ORDER = "ORDER", "Order"
        BOOK = "BOOK", "In the broker's book"
        CANCEL = "CANCEL", "Cancel"
        END = "END", "Cancelled in the book"

    proof = models.ForeignKey(LineProof, models.PROTECT, related_name="stages")
    stage = models.CharField(max_length=6, choices=Stage)
    at = models.DateTimeField()
    passed = models.BooleanField()
    measured = models.TextField()
    broker_words = models.TextField("the broker's own words", blank=True)

    class Meta:
        ordering = ["id"]
        triggers = append_only()

    def __str__(self) -> str:
        return f"{self.get_stage_display()}: {self.measured}"
