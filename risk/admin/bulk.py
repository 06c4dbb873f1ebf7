"""
Actions over ticked rows: a page that shows them and asks why, then a page with what became of each.

The use case is called row by row, and the trouble of one does not keep the others from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from risk.admin.dialogs import Dialog
from risk.admin.display import Tone, sentence
from risk.audit.who import because

AT_ONCE_MAX = 50


@dataclass(frozen=True)
class Line:
    """What is shown of one row: in words, how it stands, and why it will be left alone, if it will."""

    words: str
    status: str
    aside: str = ""


@dataclass(frozen=True)
class Result:
    """What became of one row."""

    row: Model
    said: str
    done: bool


@dataclass(frozen=True, kw_only=True)
class Bulk:
    """
    One action over ticked rows.

    `act` does it to one row and returns what to say of it; it raises one of `refusals` where it cannot be done.
    """

    action: str  # its name in the list's menu
    title: str
    submit: str
    done: str  # "3 of 4 incidents resolved": what stands after the numbers
    explanation: str
    form: type[Dialog]
    describe: Callable[[Any], Line]
    act: Callable[[Any, Dialog], str]
    refusals: tuple[type[Exception], ...]
    variant: str = "primary"


def answer(page: Any, request: HttpRequest, queryset: QuerySet[Any], bulk: Bulk) -> HttpResponse | None:
    """Show the page that asks, or carry the action out and show its results. None leads back to the list."""
    confirmed = "confirmed" in request.POST
    if confirmed:  # what was shown, whatever the list's filters say of it by now
        queryset = page.get_queryset(request).filter(pk__in=request.POST.getlist("_selected_action"))
    rows = list(queryset.order_by("pk")[: AT_ONCE_MAX + 1])
    if len(rows) > AT_ONCE_MAX:
        page.message_user(request, f"At most {AT_ONCE_MAX} at once.", messages.ERROR)
        return None
    form = bulk.form(request, data=request.POST if confirmed else None)
    if form.is_valid():
        return _carried_out(page, request, rows, bulk, form)
    listed = [{"pk": row.pk, "line": bulk.describe(row)} for row in rows]
    return _shown(page, request, "desk/bulk_ask.html", title=bulk.title, rows=listed, form=form, bulk=bulk)


def _carried_out(page: Any, request: HttpRequest, rows: list[Any], bulk: Bulk, form: Dialog) -> HttpResponse | None:
    results = []
    with because(form.cleaned_data.get("reason") or form.cleaned_data.get("note", "")):
        for row in rows:
            try:
                results.append(Result(row, bulk.act(row, form), done=True))
            except bulk.refusals as refusal:
                results.append(Result(row, str(refusal), done=False))
    shown = [
        {
            "row": each.row,
            "line": bulk.describe(each.row),
            "tone": Tone.GOOD if each.done else Tone.WARNING,
            "said": sentence(each.said),
        }
        for each in results
    ]
    title = f"{sum(each.done for each in results)} of {len(results)} {bulk.done}"
    return _shown(page, request, "desk/bulk_told.html", title=title, results=shown)


def _shown(page: Any, request: HttpRequest, template: str, **more: Any) -> HttpResponse:
    context = {**page.admin_site.each_context(request), "opts": page.opts, **more}
    return TemplateResponse(request, template, context)
