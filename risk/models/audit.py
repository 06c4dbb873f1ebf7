"""
The audit trail: what was changed in which row, by whom, why; and the seals that chain it.

Entries are written by triggers alone (`risk.audit.triggers`), whoever changes a row and however. The database refuses
to change, delete or truncate them, and to take one that no trigger wrote.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from django.contrib.postgres.indexes import BrinIndex
from django.db import models


class ExactNumbers(json.JSONDecoder):
    """Reads what the trail keeps of prices and sums as they are."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "parse_float": Decimal})


class AuditEntry(models.Model):
    """
    One change of one row.

    `changes` is {column: [before, after]} of an update, and {column: value} of the whole row when one was added or
    deleted; a secret shows as "…". `transaction_id` is PostgreSQL's: it says which entries are settled, and may be
    sealed.
    """

    class Operation(models.TextChoices):
        INSERT = "INSERT", "Added"
        UPDATE = "UPDATE", "Changed"
        DELETE = "DELETE", "Deleted"

    at = models.DateTimeField()
    table_name = models.CharField("table", max_length=63)
    row_pk = models.CharField("row", max_length=100)
    operation = models.CharField(max_length=6, choices=Operation)
    changes = models.JSONField(decoder=ExactNumbers)
    actor = models.CharField(max_length=200, help_text="Who did it; for raw SQL the database's user.")
    reason = models.TextField(blank=True)
    request_id = models.CharField("request", max_length=32, blank=True, help_text="Of the logs and error pages.")
    database_user = models.CharField(max_length=63)
    application_name = models.CharField(max_length=63, blank=True)
    backend_pid = models.IntegerField("backend", help_text="The PostgreSQL process that wrote it.")
    transaction_id = models.BigIntegerField("transaction")

    class Meta:
        verbose_name = "audit entry"
        verbose_name_plural = "audit entries"
        ordering = ["-id"]
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["row_pk", "table_name"], name="audit_entry_row"),
            models.Index(fields=["table_name", "-id"], name="audit_entry_table"),
            models.Index(fields=["actor", "-id"], name="audit_entry_actor"),
            models.Index(fields=["-id"], condition=models.Q(operation="DELETE"), name="audit_entry_deleted"),
            models.Index(fields=["request_id"], condition=~models.Q(request_id=""), name="audit_entry_request"),
            # Rows come in the order of both: a hundredth of the size of usual indexes, and next to no cost a row.
            BrinIndex(fields=["at", "transaction_id"], name="audit_entry_order", pages_per_range=32),
        ]

    def __str__(self) -> str:
        return f"{self.get_operation_display()} {self.table_name} {self.row_pk}"


class AuditSeal(models.Model):
    """
    A link of the chain: the digest of the seal before it and of every entry it seals.

    `entries` holds 40 bytes for each: its id and its SHA-256, so that the one that was changed can be named.
    """

    at = models.DateTimeField()
    first_entry = models.BigIntegerField()
    last_entry = models.BigIntegerField()
    count = models.PositiveIntegerField("entries")
    from_transaction = models.BigIntegerField()
    up_to_transaction = models.BigIntegerField(help_text="Every transaction below it had ended when this was sealed.")
    entries = models.BinaryField()
    previous = models.CharField(max_length=64, unique=True, help_text="The digest of the seal before.")
    digest = models.CharField("head", max_length=64, help_text="SHA-256 of the seal before and of the entries.")

    class Meta:
        verbose_name = "audit seal"
        ordering = ["-id"]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"Seal {self.pk}"
