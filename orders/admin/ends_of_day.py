"""The end of day reports: a list, each as a page that prints well, and as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from unfold.contrib.filters.admin import RangeDateFilter
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminDateWidget

from orders import end_of_day
from orders.admin.export_text import harmless
from orders.admin.wording import money, number
from orders.broker.gateway import BrokerUnreachable, SessionRefused
from orders.desk import Desk, DeskNotWired, rupees, trading_date
from orders.end_of_day import ReportRefused
from orders.models import EndOfDay, Fill, Order
from risk.admin.dialogs import Dialog, answered, dialog_action, refusals_told
from risk.admin.display import NOTHING, Tone, badge, moment
from risk.admin.mode_filter import ModeFilter
from risk.admin.read_only import ReadOnlyAdmin, once_a_row

BOM = "\ufeff"  # by which a spreadsheet knows that the file is UTF-8
TILES = (
    ("result", "Result"),
    ("realised", "Realised"),
    ("unrealised", "Unrealised"),
    ("charges", "Charges, estimated"),
)
NARROW = {"money", "orders", "limits", "decisions"}  # two of them beside each other
NOTHING_IN = {
    "breaks": "Our book and the broker's are the same.",
    "unfinished": "Every order has an end.",
    "positions": "Nothing was held or traded.",
    "incidents": "There was none.",
    "refusals": "Nothing was refused.",
}


class TakeDialog(Dialog):
    day = forms.DateField(
        label="Trading date",
        initial=lambda: trading_date(timezone.now()),
        widget=UnfoldAdminDateWidget,
        help_text="Today once it is over, or a day before whose report was missed.",
    )

    def facts(self) -> list[tuple[str, Any]]:
        try:
            desk = Desk.from_settings()
        except DeskNotWired as trouble:
            return [("Broker", str(trouble))]
        due = end_of_day.due_at(desk, desk.today())
        return [
            ("Mode", settings.TRADING_MODE),
            ("Today's is due", f"{timezone.localtime(due):%H:%M}, by itself" if due else "not at all: nothing trades"),
            ("Missed", ", ".join(f"{day:%d %b %Y}" for day in end_of_day.missed_days(desk)) or "none"),
        ]


@admin.register(EndOfDay)
class EndOfDayAdmin(ReadOnlyAdmin):
    list_display = ("day", "books", "orders_made", "fills_made", "result_shown", "taken", "taken_by", "as_of")
    list_filter = (ModeFilter, ("trading_date", RangeDateFilter))
    fieldsets = ((None, {"fields": ("page",)}),)
    actions_list = ["take"]

    def get_urls(self) -> list[URLPattern]:
        as_csv = path("<int:pk>/csv/", self.admin_site.admin_view(self.as_csv), name="orders_endofday_csv")
        return [as_csv, *super().get_urls()]

    def as_csv(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Send the report as CSV, a row at a time."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        report: EndOfDay = self.row(request, str(pk))
        name = f"end-of-day-{report.mode.lower()}-{report.trading_date}.csv"
        disposition = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
        return StreamingHttpResponse(csv_lines(report), content_type="text/csv; charset=utf-8", headers=disposition)

    @dialog_action(
        label="Take a report",
        title="Take an end of day report?",
        explanation="The broker's book is read afresh and ours is held against it. A report is kept as it is: it is "
        "taken once a day. Of a day that is over, what is still known is kept, and marked as taken late.",
        submit="Take it",
        form=TakeDialog,
        permissions=["orders.take_end_of_day"],
        icon="summarize",
        variant=ActionVariant.PRIMARY,
    )
    def take(self, request: HttpRequest, form: TakeDialog) -> HttpResponse:
        url = reverse("admin:orders_endofday_changelist")
        with refusals_told(request, DeskNotWired, ReportRefused, BrokerUnreachable, SessionRefused):
            report = end_of_day.take(Desk.from_settings(), form.cleaned_data["day"], by=request.user.get_username())
            self.log_change(request, report, f"Taken: {report.breaks} differences.")
            self.message_user(request, f"The report of {report} is taken.", messages.SUCCESS)
            url = reverse("admin:orders_endofday_change", args=(report.pk,))
        return answered(request, url)

    @admin.display(description="day", ordering="trading_date")
    def day(self, report: EndOfDay) -> str:
        return f"{report.trading_date:%a %d %b %Y}"

    @admin.display(description="books", ordering="breaks")
    def books(self, report: EndOfDay) -> str:
        return books_badge(report)

    @admin.display(description="orders", ordering="orders")
    def orders_made(self, report: EndOfDay) -> str:
        return number(report.orders)

    @admin.display(description="fills", ordering="fills")
    def fills_made(self, report: EndOfDay) -> str:
        return number(report.fills)

    @admin.display(description="result", ordering="result")
    def result_shown(self, report: EndOfDay) -> str:
        return money(report.result)

    @admin.display(description="taken", ordering="taken_at")
    def taken(self, report: EndOfDay) -> str:
        return moment(report.taken_at)

    @admin.display(description="broker's book as of")
    def as_of(self, report: EndOfDay) -> str:
        return moment(report.book_as_of)

    @admin.display(description="report")
    @once_a_row
    def page(self, report: EndOfDay) -> str:
        context = {
            "report": report,
            "books": books_badge(report),
            "tiles": [(label, *_figure(name, report.figures.get(name))) for name, label in TILES],
            "taken": moment(report.taken_at),
            "as_of": moment(report.book_as_of),
            "since": made_since(report),
            "sections": [_for_page(each) for each in report.sections],
        }
        return render_to_string("desk/end_of_day.html", context)


def books_badge(report: EndOfDay) -> str:
    if report.breaks:
        return badge(f"{report.breaks} difference{'s' if report.breaks > 1 else ''}", Tone.LOUD, "difference")
    if report.is_late:
        return badge("Taken late", Tone.WARNING, "history")
    return badge("The same", Tone.GOOD, "check")


def made_since(report: EndOfDay) -> list[str]:
    """Return what came to the day after its report was taken, in words: the market may be open round the clock."""
    of_day = {"mode": report.mode, "trading_date": report.trading_date}
    orders = Order.objects.filter(created_at__gt=report.taken_at, **of_day).count()
    fills = Fill.objects.filter(recorded_at__gt=report.taken_at, **of_day).count()
    return [
        f"{count} {what}{'s' if count > 1 else ''}" for count, what in ((orders, "order"), (fills, "fill")) if count
    ]


def shown(cell: Any) -> dict[str, Any]:
    """Return a cell for the page: its text, and whether it is a number."""
    if isinstance(cell, dict) and "inr" in cell:
        return {"text": rupees(Decimal(cell["inr"])), "number": True}
    if isinstance(cell, dict):
        at = datetime.fromisoformat(cell["at"])
        return {"text": moment(at), "number": False}
    return {"text": NOTHING if cell in (None, "") else cell, "number": isinstance(cell, int)}


def _for_page(section: dict[str, Any]) -> dict[str, Any]:
    """Return a section for its template: whatever stands in a column of numbers is on the right, its name too."""
    rows = [[shown(cell) for cell in row] for row in section["rows"]]
    on_the_right = [any(row[index]["number"] for row in rows) for index in range(len(section["columns"]))]
    return {
        "name": section["name"],
        "title": section["title"],
        "columns": list(zip(section["columns"], on_the_right, strict=True)),
        "rows": [list(zip(row, on_the_right, strict=True)) for row in rows],
        "is_narrow": section["name"] in NARROW,
        "empty": NOTHING_IN.get(section["name"], "There was nothing."),
    }


def _figure(name: str, text: str | None) -> tuple[str | None, str]:
    """Return an amount in words, and its tone: a gain or a loss is seen at once, charges are neither."""
    if text is None or Decimal(text) == 0 or name == "charges":
        return (None if text is None else rupees(Decimal(text))), "plain"
    return rupees(Decimal(text)), "bad" if Decimal(text) < 0 else "good"


class _Echo:
    """Hands each line back to who wrote it, so that nothing is gathered."""

    def write(self, line: str) -> str:
        return line


def csv_lines(report: EndOfDay) -> Iterator[str]:
    """Yield the report's lines: what it is, its figures, then each section with its columns."""
    writer = csv.writer(_Echo())
    yield BOM + writer.writerow(["End of day", report.mode, report.trading_date.isoformat()])
    yield writer.writerow(["Taken", _plain(_stamp(report.taken_at)), "by", harmless(report.taken_by)])
    yield writer.writerow(["Broker's book as of", _plain(_stamp(report.book_as_of))])
    yield writer.writerow(["Taken late", "yes" if report.is_late else "no"])
    for section in report.sections:
        yield writer.writerow([])
        yield writer.writerow([harmless(section["title"])])
        yield writer.writerow([harmless(name) for name in section["columns"]])
        for row in section["rows"]:
            yield writer.writerow(list(_cells(row)))


def _cells(row: Iterable[Any]) -> Iterator[Any]:
    for cell in row:
        yield harmless(cell) if isinstance(cell, str) else _plain(cell)


def _plain(cell: Any) -> Any:
    """Return a cell as a spreadsheet reads it: INR without signs and groups, moments in Mumbai's time."""
    if isinstance(cell, dict):
        return cell.get("inr") or cell["at"]
    return "" if cell is None else cell


def _stamp(at: datetime | None) -> dict[str, str] | None:
    return None if at is None else {"at": timezone.localtime(at).isoformat(timespec="seconds")}
