"""API tokens: who uses the JSON API, what for, and the two things that are done about it: make one, revoke one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html_join
from unfold.enums import ActionVariant
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from orders import api_tokens
from orders.api_tokens import DAYS_MAX, PER_MINUTE_MAX, SCOPES, TokenRefused, Wish
from orders.models import ApiToken
from orders.roles import may_do_more
from risk.admin.dialogs import Dialog, ReasonDialog, answered, dialog_action
from risk.admin.display import NOTHING, Tone, badge, moment, sentence
from risk.admin.read_only import ReadOnlyAdmin, named_by

MANAGE = "orders.manage_apitoken"
_TRADINGVIEW = badge("TradingView", Tone.INFO)


class NewTokenDialog(Dialog):
    name = forms.CharField(
        max_length=api_tokens.NAME_LETTERS_MAX,
        help_text="What uses it, such as momentum: it stands in the trail beside the owner.",
        widget=UnfoldAdminTextInputWidget,
    )
    owner = forms.ModelChoiceField(
        User.objects.none(),
        help_text="All is done in this user's name, and is no more than the user may do.",
        widget=UnfoldAdminSelectWidget,
    )
    scopes = forms.MultipleChoiceField(
        choices=[(name, f"{name}: {scope.words}") for name, scope in SCOPES.items()],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )
    in_body = forms.BooleanField(
        label="For TradingView's alerts",
        required=False,
        help_text="It is sent in the alert's text, and good for sending signals alone.",
        widget=UnfoldBooleanWidget,
    )
    per_minute = forms.IntegerField(
        label="Requests a minute",
        min_value=1,
        max_value=PER_MINUTE_MAX,
        initial=60,
        widget=UnfoldAdminIntegerFieldWidget,
    )
    days = forms.IntegerField(
        label="Good for (days)",
        min_value=1,
        max_value=DAYS_MAX,
        initial=365,
        required=False,
        help_text="Empty: until it is revoked.",
        widget=UnfoldAdminIntegerFieldWidget,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["owner"].queryset = User.objects.filter(is_active=True).order_by("username")

    def clean_owner(self) -> User:
        owner: User = self.cleaned_data["owner"]
        if may_do_more(owner, self.request.user):
            raise forms.ValidationError(f"{owner} may do more than you: ask somebody who may do as much.")
        return owner

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors and (refusal := api_tokens.refusal(self.wish(), timezone.now())):
            self.add_error("name", sentence(refusal))
        return cleaned

    def wish(self) -> Wish:
        asked = {name: self.cleaned_data[name] for name in ("name", "owner", "scopes", "in_body", "per_minute")}
        days = self.cleaned_data["days"]
        return Wish(expires_at=timezone.now() + timedelta(days=days) if days else None, **asked)


class RevokeDialog(ReasonDialog):
    def facts(self) -> list[tuple[str, Any]]:
        token = named_by(ApiToken.objects.select_related("owner"), self.object_id)
        if token is None:
            return []
        return [("Token", token.name), ("Owner", token.owner), ("Last used", moment(token.last_used_at) or NOTHING)]


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    list_display = ("name", "owner", "may", "state", "used", "used_from", "ends")
    list_select_related = ("owner",)
    search_fields = ("=name", "=key_id", "=owner__username")
    search_help_text = "A token's name, its id, or its owner, exactly."
    fieldsets = (
        (None, {"fields": (("name", "state"), ("owner", "in_body"), "may", ("per_minute", "key_id"))}),
        ("Used", {"fields": (("used", "used_from"),)}),
        (
            "From when until when",
            {"fields": (("made", "created_by"), "ends", ("revoked", "revoked_by"), "revoke_reason")},
        ),
    )
    actions_list = ["make"]
    actions_detail = ["revoke"]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(MANAGE)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(MANAGE)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return not lookup.startswith("digest") and super().lookup_allowed(lookup, value, request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiToken]:
        queryset: QuerySet[ApiToken] = super().get_queryset(request)
        return queryset.defer("digest")

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        token = self.get_object(request, object_id)
        offered: list[Any] = super().get_actions_detail(request, object_id)
        return offered if token is not None and token.revoked_at is None else []

    @dialog_action(
        label="New token",
        title="Make an API token",
        explanation="It is shown once, right after this.",
        submit="Make it",
        form=NewTokenDialog,
        permissions=[MANAGE],
        icon="add",
        variant=ActionVariant.PRIMARY,
    )
    def make(self, request: HttpRequest, form: NewTokenDialog) -> HttpResponse:
        try:
            token, secret = api_tokens.make(form.wish(), by=request.user.get_username(), now=timezone.now())
        except TokenRefused as refusal:  # somebody was quicker
            messages.error(request, sentence(refusal))
            return answered(request, reverse("admin:orders_apitoken_changelist"))
        self.log_addition(request, token, f"API token made for {token.owner}: {', '.join(token.scopes)}")
        # Into the dialog, as all of it: nowhere else, and in no message, which the session would keep.
        answer = render(request, "desk/api_token.html", {"token": token, "secret": secret})
        for header in ("HX-Retarget", "HX-Reselect"):
            answer.headers[header] = "#dialog"
        return answer

    @dialog_action(
        label="Revoke",
        title="Revoke this token?",
        explanation="Whatever uses it is let in no more, from its next request on. That cannot be undone.",
        submit="Revoke",
        form=RevokeDialog,
        permissions=[MANAGE],
        icon="key_off",
        variant=ActionVariant.DANGER,
    )
    def revoke(self, request: HttpRequest, form: RevokeDialog, object_id: str) -> HttpResponse:
        token: ApiToken = self.row(request, object_id)
        by, reason = request.user.get_username(), form.cleaned_data["reason"]
        if api_tokens.revoke(token, by=by, reason=reason, now=timezone.now()):
            self.log_change(request, token, f"Revoked: {reason}")
            self.message_user(request, f"{token.name} opens nothing any more.", messages.SUCCESS)
        else:
            self.message_user(request, f"It was revoked already, by {token.revoked_by}.", messages.WARNING)
        return answered(request, reverse("admin:orders_apitoken_change", args=(token.pk,)))

    @admin.display(description="may")
    def may(self, token: ApiToken) -> str:
        scopes = [badge(scope) for scope in token.scopes]
        return format_html_join(" ", "{}", ((each,) for each in [*scopes, *([_TRADINGVIEW] if token.in_body else [])]))

    @admin.display(description="state")
    def state(self, token: ApiToken) -> str:
        if dead := token.dead_because(timezone.now()):
            return badge(sentence(dead).rstrip("."), Tone.BAD, "key_off")
        return badge("Good", Tone.GOOD, "key")

    @admin.display(description="last used", ordering="last_used_at")
    def used(self, token: ApiToken) -> str:
        return moment(token.last_used_at)

    @admin.display(description="from")
    def used_from(self, token: ApiToken) -> str:
        return token.last_used_from or NOTHING

    @admin.display(description="good until", ordering="expires_at")
    def ends(self, token: ApiToken) -> str:
        return moment(token.expires_at) if token.expires_at else "it is revoked"

    @admin.display(description="made")
    def made(self, token: ApiToken) -> str:
        return moment(token.created_at)

    @admin.display(description="revoked")
    def revoked(self, token: ApiToken) -> str:
        return moment(token.revoked_at)
