"""
A person's own second factor: the page that asks for a code after the password, and the one where it is enrolled.

Each change needs a code, and none is made by a GET. The authenticator's key is on the page where it is scanned and
nowhere else; recovery codes are shown once, in the answer that drew them.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import mark_safe
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django_otp import login as remember_in_session
from django_otp.models import Device
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice
from unfold.widgets import UnfoldAdminTextInputWidget

from orders import second_factor
from orders.second_factor import CodeRefused
from risk.admin.display import sentence

# Their own pages would show the keys, and let staff edit them.
admin.site.unregister(TOTPDevice)
admin.site.unregister(StaticDevice)


def code_field(label: str, help_text: str = "") -> forms.CharField:
    typed = {"autocomplete": "one-time-code", "autocapitalize": "characters", "spellcheck": "false"}
    return forms.CharField(
        label=label, max_length=40, help_text=help_text, widget=UnfoldAdminTextInputWidget(attrs=typed)
    )


class CodeForm(forms.Form):
    """Asks for a code that the person's authenticator shows, or for one of the recovery codes."""

    code = code_field("Code", "Six digits from your authenticator app, or a recovery code.")


class EnrolForm(forms.Form):
    """Asks for the new authenticator's first code and, where one is replaced, for one of the old one."""

    offered = forms.CharField(max_length=300, widget=forms.HiddenInput)
    code = code_field("Code of the new authenticator", "The six digits that the app shows now.")
    present = code_field("Code of the present one", "Or a recovery code.")

    def __init__(self, *args: Any, replaces: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not replaces:
            del self.fields["present"]


@sensitive_post_parameters()
@never_cache
@login_required
def ask(request: HttpRequest) -> HttpResponse:
    """Ask for the code after the password, and go on to the page that was wanted."""
    user: Any = request.user
    onward = _onward(request)
    if user.is_verified():
        return HttpResponseRedirect(onward)
    if second_factor.device_of(user) is None:
        return HttpResponseRedirect(reverse("second_factor"))
    form = CodeForm(request.POST or None)
    form.fields["code"].widget.attrs["autofocus"] = ""
    if form.is_valid():
        try:
            _remember(request, second_factor.prove(user, form.cleaned_data["code"]))
        except CodeRefused as refusal:
            form.add_error("code", sentence(refusal))
        else:
            return HttpResponseRedirect(onward)
    context = {"title": "Second factor", "form": form, "next": onward, "outside": True}
    return _answered(request, "desk/second_factor_code.html", context)


@sensitive_post_parameters()
@never_cache
@login_required
def show(request: HttpRequest) -> HttpResponse:
    """Show what the person has enrolled; enrol an authenticator, or draw new recovery codes."""
    user: Any = request.user
    enrolled = second_factor.device_of(user)
    if enrolled and not user.is_verified():
        return HttpResponseRedirect(reverse("second_factor_code"))
    if enrolled and request.POST.get("wish") == "codes":
        return _draw(request, user)
    if enrolled and "replace" not in request.GET:
        return _overview(request, user, CodeForm())
    return _enrol(request, user, enrolled)


def _overview(request: HttpRequest, user: User, form: forms.Form) -> HttpResponse:
    device = second_factor.device_of(user)
    context = {"form": form, "device": device, "codes_left": second_factor.recovery_codes_left(user)}
    return _answered(request, "desk/second_factor.html", {"title": "Second factor", **context})


def _draw(request: HttpRequest, user: User) -> HttpResponse:
    form = CodeForm(request.POST)
    if form.is_valid():
        try:
            second_factor.prove(user, form.cleaned_data["code"])
        except CodeRefused as refusal:
            form.add_error("code", sentence(refusal))
        else:
            return _shown_once(request, user)
    return _overview(request, user, form)


def _enrol(request: HttpRequest, user: Any, enrolled: TOTPDevice | None) -> HttpResponse:
    form = EnrolForm(request.POST or None, replaces=enrolled is not None)
    if form.is_valid():
        answers = form.cleaned_data
        try:
            if enrolled:
                second_factor.prove(user, answers["present"])
            device = second_factor.enrol(user, answers["offered"], answers["code"])
        except CodeRefused as refusal:
            form.add_error(None, sentence(refusal))
        else:
            _remember(request, device)
            return _shown_once(request, user)
    offered = request.POST.get("offered", "")
    try:
        device = second_factor.unsealed(offered, user)
    except CodeRefused:
        offered = second_factor.offer(user)
        device = second_factor.unsealed(offered, user)
    form.initial["offered"] = offered
    if form.is_bound:
        form.data = {**request.POST.dict(), "offered": offered}
    context = {
        "title": "Replace the authenticator" if enrolled else "Set up the second factor",
        "form": form,
        "picture": mark_safe(second_factor.as_picture(device)),  # noqa: S308 — drawn here, of squares alone
        "key": second_factor.key_in_words(device),
        "replaces": enrolled is not None,
        "outside": not enrolled and _must_enrol(user),
    }
    return _answered(request, "desk/second_factor_enrol.html", context)


def _shown_once(request: HttpRequest, user: User) -> HttpResponse:
    codes = second_factor.draw_recovery_codes(user)
    messages.success(request, "The second factor is set up. It is asked for at every log-in.")
    return _answered(request, "desk/recovery_codes.html", {"title": "Recovery codes", "codes": codes})


def _remember(request: HttpRequest, device: Device) -> None:
    """Let the session pass from now on, under a new key: the old one was known before."""
    request.session.cycle_key()
    remember_in_session(request, device)


def _must_enrol(user: Any) -> bool:
    return settings.REQUIRE_SECOND_FACTOR and not user.is_verified()


def _onward(request: HttpRequest) -> str:
    """Return the page that was wanted, if it is one of ours."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    ours = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if ours else reverse("admin:index")


def _answered(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    return TemplateResponse(request, template, {**admin.site.each_context(request), **context})
