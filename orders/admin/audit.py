"""The audit trail and its seals: who changed what, from what to what, and why."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from typing import Any
from urllib.parse import urlencode

from django.apps import apps
from django.contrib import admin
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html, format_html_join
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter, TextFilter

from orders.admin.decisions import shown
from orders.models import Order
from risk.admin.day_range import DayRangeFilter
from risk.admin.display import NOTHING, Tone, badge, clipped, moment, plain
from risk.admin.estimated import EstimatedPaginator
from risk.admin.read_only import ReadOnlyAdmin
from risk.audit import triggers
from risk.audit.coverage import COVERED
from risk.models import AuditEntry, AuditSeal

COLUMNS_LISTED = 2
PEOPLE = ("auth", "otp_totp", "otp_static")  # apps whose rows tell of accounts, and not of trading
# What a row that was added or deleted is known by.
TELLING = ("username", "name", "title", "symbol", "side", "quantity", "price", "status", "date", "year", "version")
OPERATIONS = {
    "INSERT": (Tone.GOOD, "add"),
    "UPDATE": (Tone.INFO, "edit"),
    "DELETE": (Tone.BAD, "delete"),
}


def audit_link(row: Model) -> str:
    """Return a link to the trail of one row."""
    table = row._meta.db_table  # noqa: SLF001 - Django's own way to ask a model about its table
    query = urlencode({"table": table, "row_pk__exact": row.pk})
    return format_html('<a class="desk-link" href="{}?{}">Audit trail</a>', _list_url(), query)


def _list_url() -> str:
    return reverse("admin:risk_auditentry_changelist")


@cache
def _models() -> dict[str, type[Model]]:
    """Return the covered models by their tables."""
    models = [apps.get_model(label) for label in COVERED]
    return {model._meta.db_table: model for model in models}  # noqa: SLF001


def _shown_to(request: HttpRequest) -> list[str]:
    """Return the covered tables that this person may read of: of people only who may look at people."""
    everything = request.user.has_perm("auth.view_user")
    return [table for table, model in _models().items() if everything or model._meta.app_label not in PEOPLE]  # noqa: SLF001


def table_words(table: str) -> str:
    """Return what a row of the table is called; the table's name where it exists no more."""
    model = _models().get(table)
    return str(model._meta.verbose_name) if model else table  # noqa: SLF001


def row_link(entry: AuditEntry) -> str:
    """Return the row's name, as a link to its page where it has one."""
    name = f"{table_words(entry.table_name)} {entry.row_pk}"
    model = _models().get(entry.table_name)
    if model is None or entry.operation == AuditEntry.Operation.DELETE:
        return name
    try:
        url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=(entry.row_pk,))  # noqa: SLF001
    except NoReverseMatch:
        return name
    return format_html('<a class="desk-link" href="{}">{}</a>', url, name)


def words(value: Any) -> Any:
    """Return a value of the trail as a page shows it."""
    if isinstance(value, Decimal):
        return plain(value)
    return shown(value) if not isinstance(value, Mapping) else str(value)


def steps(entry: AuditEntry) -> list[tuple[str, Any, Any]]:
    """Return (column, before, after) of each column that a change changed."""
    changes = sorted(entry.changes.items(), key=lambda change: _weight(change[0]))
    return [(column.replace("_", " "), words(before), words(after)) for column, (before, after) in changes]


def whole_row(entry: AuditEntry) -> list[tuple[str, Any]]:
    """Return (column, value) of what was in a row that was added or deleted."""
    row = sorted(entry.changes.items(), key=lambda column: _weight(column[0]))
    return [(column.replace("_", " "), words(value)) for column, value in row if value not in (None, "")]


def _weight(column: str) -> tuple[bool, bool, str]:
    """Order what changed by what a reader looks for: how a row stands first, when and by whom last."""
    return (column not in {"status", "state"}, column.endswith(("_at", "_by", "version", "sender")), column)


class AuditTableFilter(DropdownFilter):
    """Every covered table can be asked for, also one that nothing happened to yet."""

    title = "table"
    parameter_name = "table"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        named = ((table, table_words(table).capitalize()) for table in _shown_to(request))
        return sorted(named, key=lambda pair: pair[1])

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        return queryset.filter(table_name=self.value()) if self.value() else queryset


class AuditActorFilter(TextFilter):
    title = "who, exactly"
    parameter_name = "who"

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        wanted = (self.value() or "").strip()
        return queryset.filter(actor=wanted) if wanted else queryset


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    list_display = ("at_ist", "operation_badge", "row_shown", "changed", "actor_shown", "why")
    list_display_links = ("at_ist",)
    list_filter = (
        AuditTableFilter,
        ("operation", ChoicesDropdownFilter),
        AuditActorFilter,
        ("at", DayRangeFilter),
    )
    list_before_template = "desk/audit_status.html"
    paginator = EstimatedPaginator
    search_fields = ("row_pk__exact",)
    search_help_text = "A row's number, one of an order's ids, or a request's, exactly."
    sortable_by = ()
    fieldsets = (
        (None, {"fields": (("operation_badge", "row_shown"), ("at_ist", "actor"), "reason")}),
        ("Before and after", {"fields": ("change_table",)}),
        (
            "Where from",
            {"fields": (("request_id", "transaction_id"), ("database_user", "backend_pid"), "application_name")},
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEntry]:
        """Leave out what is of people for who may not look at them. A table of an older version stays for all."""
        queryset: QuerySet[AuditEntry] = super().get_queryset(request)
        hidden = _models().keys() - _shown_to(request)
        return queryset.exclude(table_name__in=hidden) if hidden else queryset

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry], search_term: str
    ) -> tuple[QuerySet[AuditEntry], bool]:
        """Look for a row, a request, or whatever happened to the order that has the id."""
        term = search_term.strip()
        if not term:
            return queryset, False
        ids = Order.objects.filter(Q(client_order_id=term) | Q(broker_order_id=term)).values_list("pk", flat=True)[:50]
        found = Q(row_pk=term) | Q(table_name="orders_order", row_pk__in=[str(each) for each in ids])
        if len(term) == 32:
            found |= Q(request_id=term)
        return queryset.filter(found), False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {
            "last_seal": AuditSeal.objects.defer("entries").order_by("-id").first(),
            "unprotected": triggers.missing(),
        }
        answer: HttpResponse = super().changelist_view(request, {**context, **(extra_context or {})})
        return answer

    @admin.display(description="time")
    def at_ist(self, entry: AuditEntry) -> str:
        return moment(entry.at)

    @admin.display(description="what")
    def operation_badge(self, entry: AuditEntry) -> str:
        return badge(entry.get_operation_display(), *OPERATIONS[entry.operation])

    @admin.display(description="row")
    def row_shown(self, entry: AuditEntry) -> str:
        return row_link(entry)

    @admin.display(description="before → after")
    def changed(self, entry: AuditEntry) -> str:
        if entry.operation != AuditEntry.Operation.UPDATE:
            said = ((name, words(entry.changes[name])) for name in TELLING if entry.changes.get(name))
            known_by = format_html_join(" · ", "{} {}", said)
            return format_html('<div class="desk-changes">{}</div>', known_by) if known_by else NOTHING
        rows = steps(entry)
        listed = render_to_string("desk/changes.html", {"changes": rows[:COLUMNS_LISTED]})
        more = len(rows) - COLUMNS_LISTED
        return format_html('<div class="desk-changes">{}{}</div>', listed, f"and {more} more" if more > 0 else "")

    @admin.display(description="before and after")
    def change_table(self, entry: AuditEntry) -> str:
        is_update = entry.operation == AuditEntry.Operation.UPDATE
        context = {"steps": steps(entry)} if is_update else {"row": whole_row(entry)}
        return render_to_string("desk/audit_changes.html", context)

    @admin.display(description="who")
    def actor_shown(self, entry: AuditEntry) -> str:
        return clipped(entry.actor)

    @admin.display(description="reason")
    def why(self, entry: AuditEntry) -> str:
        return clipped(entry.reason)


@admin.register(AuditSeal)
class AuditSealAdmin(ReadOnlyAdmin):
    list_display = ("number", "at_ist", "count", "range", "head")
    list_filter = (("at", DayRangeFilter),)
    paginator = EstimatedPaginator
    fields = (("number", "at_ist"), ("count", "range"), ("from_transaction", "up_to_transaction"), "head", "before")

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditSeal]:
        queryset: QuerySet[AuditSeal] = super().get_queryset(request)
        return queryset.defer("entries")

    @admin.display(description="seal", ordering="id")
    def number(self, link: AuditSeal) -> str:
        return str(link)

    @admin.display(description="time", ordering="at")
    def at_ist(self, link: AuditSeal) -> str:
        return moment(link.at)

    @admin.display(description="first to last")
    def range(self, link: AuditSeal) -> str:
        return f"{link.first_entry} to {link.last_entry}"

    @admin.display(description="head")
    def head(self, link: AuditSeal) -> str:
        return format_html('<code class="desk-digest">{}</code>', link.digest)

    @admin.display(description="head of the seal before")
    def before(self, link: AuditSeal) -> str:
        return format_html('<code class="desk-digest">{}</code>', link.previous)
