"""
A list as a file: the rows that its filters let through, as CSV or for Excel.

Which rows it has, and in which order, is settled by one short query of their ids; what they say is read a chunk at a
time, each by a short query of its own, and sent before the next one is read. So no file is held in memory, and no
snapshot of the database is held for it. Numbers are as they are stored.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from functools import cache, partial
from itertools import islice
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.db.models import BigIntegerField, BooleanField, F, Func, Model, QuerySet, Value
from django.db.models.options import Options
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from orders.admin.export_text import as_text, is_number
from orders.admin.workbook import workbook
from orders.broker.kite_rows import IST

PERMISSION = "orders.export_order"
CHUNK_ROWS = 5000  # what PostgreSQL answers in some hundredths of a second
_KEYS = object()  # stands for the ids of a chunk in a statement that is made once for all of them
XLSX_ROWS_MAX = 50_000  # beyond, it takes a minute to open
TYPES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}

Column = tuple[str, str]  # its title, and the field's path


class ExportPages:
    """Mixed into a list's admin: two addresses below the list's own, which keep the list's filters."""

    export_columns: tuple[Column, ...] = ()
    list_after_template = "desk/exports.html"
    admin_site: admin.AdminSite
    opts: Options[Any]

    class Media:
        css = {"all": ("desk/blotter.css",)}

    @property
    def export_name(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_export"

    def get_urls(self) -> list[URLPattern]:
        urls = [
            path(f"export/{kind}/", self.admin_site.admin_view(partial(self.export, kind=kind)), name=name)
            for kind in ("csv", "xlsx")
            for name in (f"{self.export_name}_{kind}",)
        ]
        return [*urls, *super().get_urls()]  # type: ignore[misc]  # mixed into an admin page

    def export(self, request: HttpRequest, *, kind: str) -> HttpResponseBase:
        """Answer with the file of the rows that the address's filters let through."""
        if not (request.user.has_perm(PERMISSION) and self.has_view_permission(request)):  # type: ignore[attr-defined]
            raise PermissionDenied
        try:
            listed = self.get_changelist_instance(request).get_queryset(request)  # type: ignore[attr-defined]
        except IncorrectLookupParameters:
            messages.error(request, "Those filters make no sense: nothing was exported.")
            return HttpResponseRedirect(reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"))
        name = f"{self.opts.verbose_name_plural}-{timezone.now().astimezone(IST):%Y%m%d-%H%M%S}.{kind}"
        pieces = _csv(listed, self.export_columns) if kind == "csv" else _xlsx(listed, self.export_columns)
        answer = StreamingHttpResponse(pieces, content_type=TYPES[kind])
        answer["Content-Disposition"] = f'attachment; filename="{name}"'
        return answer

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        links: list[tuple[str, str]] = []
        if request.user.has_perm(PERMISSION):
            asked = f"?{request.GET.urlencode()}" if request.GET else ""
            kinds = (("CSV", "csv"), ("Excel", "xlsx"))
            links = [(title, f"{reverse(f'admin:{self.export_name}_{kind}')}{asked}") for title, kind in kinds]
        context = {"exports": links, **(extra_context or {})}
        answer: HttpResponse = super().changelist_view(request, context)  # type: ignore[misc]
        return answer


def chunks(plain: QuerySet[Any], rows_max: int | None = None) -> Iterator[list[int]]:
    """
    Yield the ids of the rows in the list's order, `CHUNK_ROWS` at a time, or of the first `rows_max` of them.

    A row that the filters no longer let through when its chunk is read is left out; one that is new since is not added.
    """
    # The server keeps the ids, not this process; no transaction is open there between two chunks.
    keys = plain.values_list("pk", flat=True)[:rows_max].iterator(CHUNK_ROWS)
    while some := list(islice(keys, CHUNK_ROWS)):
        yield some


def _among(keys: object) -> Func:
    """Return the condition that a row is one of these: as one array, for a list of thousands takes long to spell."""
    wanted = Value(keys, output_field=ArrayField(BigIntegerField()))
    template = {"template": "%(expressions)s)", "arg_joiner": " = ANY("}
    return Func(F("pk"), wanted, output_field=BooleanField(), **template)


def _csv(listed: QuerySet[Any], columns: tuple[Column, ...]) -> Iterator[bytes]:
    """Yield the file in pieces, its heads first of all. The mark at its start tells Excel that it is UTF-8."""
    heads = io.StringIO()
    csv.writer(heads).writerow([title for title, _ in columns])
    yield f"\ufeff{heads.getvalue()}".encode()
    plain = listed.select_related(None)
    copy = cache(partial(_copy, plain, columns))  # made when there is a chunk: what can have none has no statement
    for keys in chunks(plain):
        sql, values = copy()
        if lines := _lines(sql, tuple(keys if value is _KEYS else value for value in values)):
            yield lines  # an empty piece would tell a browser that the file ends here


def _copy(plain: QuerySet[Any], columns: tuple[Column, ...]) -> tuple[str, tuple[Any, ...]]:
    """Return the statement for every chunk: to make it takes Python a third as long as PostgreSQL takes to answer."""
    sql, values = plain.filter(_among(_KEYS)).values_list(*_texts(plain.model, columns)).query.sql_with_params()
    return f"COPY ({sql}) TO STDOUT (FORMAT csv)", values


def _lines(sql: str, values: tuple[Any, ...]) -> bytes:
    """Return the rows as lines that PostgreSQL made: it does in a second what takes Python five."""
    copy = connection.ops.compose_sql(sql, values)  # type: ignore[attr-defined]  # PostgreSQL's have it
    with connection.wrap_database_errors, connection.cursor() as cursor, cursor.copy(copy) as lines:
        # Each piece is a row and a line feed; a file of comma-separated values ends its lines with both (RFC 4180).
        rows = [line[:-1] for line in lines]
    return b"\r\n".join([*rows, b""])


def _xlsx(listed: QuerySet[Any], columns: tuple[Column, ...]) -> Iterator[bytes]:
    numbers = [is_number(listed.model, path) for _, path in columns]
    return workbook([title for title, _ in columns], _sheet(listed, columns), numbers)


def _sheet(listed: QuerySet[Any], columns: tuple[Column, ...]) -> Iterator[list[tuple[str | None, ...]]]:
    """Yield the rows of the sheet in chunks, and where it is cut a last row that says so."""
    texts = _texts(listed.model, columns)
    plain, left = listed.select_related(None), XLSX_ROWS_MAX
    for keys in chunks(plain, XLSX_ROWS_MAX + 1):
        rows = list(plain.filter(_among(keys)).values_list(*texts))
        yield rows[:left]
        if len(rows) > left:
            yield [(f"Cut here: more than {XLSX_ROWS_MAX} rows. Take the CSV, or narrow the filters.",)]
        left -= len(rows)


def _texts(model: type[Model], columns: tuple[Column, ...]) -> list[Any]:
    return [as_text(model, path) for _, path in columns]
