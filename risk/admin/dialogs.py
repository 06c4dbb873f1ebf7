"""
Actions of staff: a dialog, then one call of one use case.

An action changes nothing on GET: it answers with its dialog, and acts on the POST that the dialog sends, outside any
transaction. `dialog_action` is the only way to make one, so that none lacks a permission.
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextInputWidget

from risk.admin.display import Tone, sentence
from risk.audit.who import because

Handler = TypeVar("Handler", bound=Callable[..., HttpResponse])


class Dialog(BaseDialogForm):
    """A dialog that says what it is about before it asks: `facts` are shown above the fields."""

    form_before_template = "desk/dialog_facts.html"

    def facts(self) -> list[tuple[str, Any]]:
        return []

    @property
    def answers(self) -> dict[str, Any]:
        """Return what the person filled in, without the theme's own field."""
        return {name: value for name, value in self.cleaned_data.items() if not name.startswith("_")}

    def get_before_template_context(self, request: HttpRequest, object_id: int | str | None = None) -> dict[str, Any]:
        return {"facts": self.facts()}


class ReasonDialog(Dialog):
    reason = forms.CharField(max_length=500, widget=UnfoldAdminTextInputWidget, help_text="It is kept.")


def new_token() -> str:
    return uuid.uuid4().hex


def token_field() -> forms.CharField:
    """Return the hidden field that makes a dialog sent twice one wish."""
    return forms.CharField(max_length=40, widget=forms.HiddenInput, initial=new_token)


def dialog_action(
    *,
    label: str,
    title: str,
    submit: str,
    form: type[Dialog],
    permissions: list[str],
    icon: str,
    explanation: str = "",
    variant: ActionVariant = ActionVariant.DEFAULT,
) -> Callable[[Handler], Handler]:
    """Make a method an action: `label` is on its button, `title` and `explanation` in its dialog."""
    assert permissions, "every action needs a permission"
    danger = "danger" if variant == ActionVariant.DANGER else ""
    dialog = {
        "title": title,
        "description": explanation,
        "form_class": form,
        "form_submit_text": submit,
        "variant": danger,
    }
    decorate = action(description=label, permissions=permissions, icon=icon, variant=variant, dialog=dialog)
    return cast("Callable[[Handler], Handler]", lambda handler: decorate(_for_its_reason(handler)))


def _for_its_reason(handler: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Have what the action writes be for the reason that its dialog asked for."""

    @functools.wraps(handler)
    def act(page: Any, request: HttpRequest, form: Dialog, *args: Any, **kwargs: Any) -> HttpResponse:
        with because(form.cleaned_data.get("reason", "")):
            return handler(page, request, form, *args, **kwargs)

    return act


def opens_dialog(url: str, label: str, icon: str, tone: Tone) -> SafeString:
    """Return a button of a row that opens an action's dialog, as the theme's own do."""
    return format_html(
        '<a class="desk-act desk-{}" href="{}" hx-get="{}" hx-target="#modal-content" hx-select="#dialog"'
        ' x-on:htmx:after-on-load="openModal = true">'
        '<span class="material-symbols-outlined" aria-hidden="true">{}</span>{}</a>',
        tone.value, url, url, icon, label,
    )  # fmt: skip


@contextmanager
def refusals_told(request: HttpRequest, *refusals: type[Exception]) -> Iterator[None]:
    """Show a use case's refusal as a message."""
    try:
        yield
    except refusals as refusal:
        messages.error(request, sentence(refusal))


def answered(request: HttpRequest, url: str) -> HttpResponse:
    """Leave the dialog for the page that shows what became of it."""
    if request.headers.get("HX-Request"):
        return HttpResponse(headers={"HX-Redirect": url})
    return HttpResponseRedirect(url)
