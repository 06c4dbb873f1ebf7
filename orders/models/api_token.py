"""ApiToken: what a program shows instead of a password. What is done by it, its owner does."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q


class ApiToken(models.Model):
    """
    A key to the JSON API, of which only a digest is kept.

    It may do what its scopes name, as far as its owner may do that at the time.
    """

    name = models.CharField(max_length=60, help_text="What or who uses it: it is in the trail.")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        related_name="+",
        help_text="What is done by the token is done in this user's name, and is no more than the user may do.",
    )
    key_id = models.CharField("id", max_length=16, unique=True, help_text="The token's first part, which is no secret.")
    digest = models.CharField(max_length=64, editable=False)
    scopes = models.JSONField(default=list)
    in_body = models.BooleanField(
        "TradingView",
        default=False,
        help_text="It is sent in an alert's text, by who can set no header, and good for nothing but alerts.",
    )
    per_minute = models.PositiveIntegerField("requests a minute", default=60)
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=150)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.CharField(max_length=150, blank=True)
    revoke_reason = models.TextField(blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    last_used_from = models.CharField(max_length=45, blank=True)
    # Each request moves it on by its share of a minute; it is never more than a minute ahead.
    spent_until = models.DateTimeField(null=True, editable=False)
    stops_spent_until = models.DateTimeField(null=True, editable=False, help_text="Likewise, of what stops trading.")

    class Meta:
        verbose_name = "API token"
        ordering = ["-id"]
        default_permissions = ()  # `view_…` would be every Viewer's
        permissions = [("manage_apitoken", "Can make, see and revoke API tokens")]
        constraints = [
            models.UniqueConstraint(fields=["name"], condition=Q(revoked_at=None), name="api_token_name_once"),
            models.CheckConstraint(condition=Q(per_minute__gt=0), name="api_token_rate_positive"),
            models.CheckConstraint(
                condition=Q(in_body=False) | Q(scopes=["signals:write"]), name="api_token_in_body_only_sends_signals"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def dead_because(self, now: datetime) -> str:
        """Return why it opens nothing at that moment; empty while it does."""
        if self.revoked_at is not None:
            return "it was revoked"
        if self.expires_at is not None and self.expires_at <= now:
            return "it has expired"
        return "" if self.owner.is_active else "its owner is inactive"


class RefusedAddress(models.Model):
    """An address from which tokens came that open nothing. Forgotten a minute after the last."""

    address = models.CharField(max_length=45, unique=True)
    spent_until = models.DateTimeField(db_index=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.address
