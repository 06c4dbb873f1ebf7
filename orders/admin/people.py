"""
Users, their roles, and the groups behind those.

Nobody hands out what he has not himself, nobody touches the account of somebody who may do more, the last who can let
people in stays, and nobody is deleted or given another name: what he did names him.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.checks import ModelAdminChecks
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html_join
from django_otp.plugins.otp_totp.models import TOTPDevice
from unfold.admin import ModelAdmin
from unfold.enums import ActionVariant
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from orders import second_factor
from orders.roles import ADMINISTRATOR, ROLES, WORDS, grantable_by, may_do_more
from risk.admin.dialogs import ReasonDialog, answered, dialog_action
from risk.admin.display import NOTHING, Tone, badge, moment
from risk.admin.read_only import ReadsOnce, named_by

ONLY_BY_SUPERUSERS = ("is_superuser", "user_permissions")
RIGHTS = ("is_staff", *ONLY_BY_SUPERUSERS, "groups")
OF_THE_MACHINE = ("executor", "expiry", "installation", "upgrade", "command", "broker")  # who did it, where nobody did

admin.site.unregister(User)
admin.site.unregister(Group)


class RolesField(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]  # not generic at run time
    """The groups as a list to tick, each role with what it may."""

    def label_from_instance(self, group: Any) -> str:
        words = WORDS.get(group.name)
        return f"{group.name}: {words}" if words else group.name


class StaffForm(UserChangeForm):
    """A user's account. It refuses to leave nobody who could let people in, and to give it another name."""

    def clean_username(self) -> str:
        name: str = self.cleaned_data["username"]
        if name != self.initial["username"]:
            raise forms.ValidationError("A name stays with its account: what was done under it names it.")
        return name

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        keepers = keepers_of_the_door()
        if self.instance.pk in keepers and len(keepers) == 1 and not _stays_keeper(self.instance, cleaned):
            raise forms.ValidationError(
                "This is the last account that can let people in: give that to another one first."
            )
        return cleaned


class NewStaffForm(UserCreationForm):
    """A new user's account, whose name on a page or in the trail is taken for nobody else's."""

    def clean_username(self) -> str | None:
        name: str | None = super().clean_username()
        if name is None:
            return None  # it is somebody's, and said so
        if not name.isascii():
            raise forms.ValidationError("Use letters of the English alphabet: others look like them and are not.")
        if name.lower() in OF_THE_MACHINE:
            raise forms.ValidationError("That name stands for what nobody did: give another one.")
        return name


def keepers_of_the_door() -> set[int]:
    """
    Return the accounts that can give others rights: the active superusers or, where there is none, administrators.

    The rows of staff are locked first, so that of two who take it from each other at once one is refused; the groups
    are asked for afterwards, to see what was waited for. Only a form's POST comes here, inside of the transaction that
    Django saves it in.
    """
    active = User.objects.filter(is_active=True, is_staff=True).order_by("pk")
    list(active.select_for_update(no_key=True))  # no_key: what others did meanwhile can still be logged as theirs
    found = {user.pk for user in active.filter(is_superuser=True)}
    return found or {user.pk for user in active.filter(groups__name=ADMINISTRATOR)}


def _stays_keeper(user: User, cleaned: dict[str, Any]) -> bool:
    """Return whether the account can still let people in with what the form says; a field not on it stays as it is."""
    before = User.objects.get(pk=user.pk)  # the form has written into its own
    says = {name: cleaned.get(name, getattr(before, name)) for name in ("is_active", "is_staff", "is_superuser")}
    if before.is_superuser and not says["is_superuser"]:
        return False
    groups = cleaned.get("groups")
    named = (
        before.groups.filter(name=ADMINISTRATOR).exists()
        if groups is None
        else any(group.name == ADMINISTRATOR for group in groups)
    )
    return bool(says["is_active"] and says["is_staff"] and (says["is_superuser"] or named))


class ResetDialog(ReasonDialog):
    def facts(self) -> list[tuple[str, Any]]:
        user = named_by(User.objects.all(), self.object_id)
        if user is None:
            return []
        return [("User", user.get_username()), ("Authenticator", _enrolled_badge(second_factor.device_of(user)))]


@admin.register(User)
class StaffAdmin(ReadsOnce, UserAdmin, ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    form = StaffForm
    add_form = NewStaffForm
    change_password_form = AdminPasswordChangeForm
    list_display = (
        "username",
        "first_name",
        "last_name",
        "roles",
        "enrolled",
        "is_superuser",
        "is_active",
        "seen",
    )
    list_filter = ("is_staff", "is_superuser", "is_active", "groups")
    list_before_template = "desk/roles.html"
    filter_horizontal = ("user_permissions",)
    actions = None
    checks_class = ModelAdminChecks  # the theme's own ask the database for each permission
    actions_detail = ["reset_second_factor"]
    add_fieldsets = (
        (None, {"fields": ("username", "usable_password", "password1", "password2")}),
        ("Roles", {"fields": ("groups",)}),
    )
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Roles", {"fields": ("groups", "is_active", "is_staff", "is_superuser")}),
        ("Personal", {"fields": (("first_name", "last_name"), "email")}),
        ("Single permissions", {"classes": ("collapse",), "fields": ("user_permissions",)}),
        ("Dates", {"fields": (("last_login", "date_joined"),)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("groups", "totpdevice_set")

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        fields = (*super().get_readonly_fields(request, obj), "last_login", "date_joined")
        if request.user.is_superuser:
            return fields
        return (*fields, *(RIGHTS if obj == request.user else ONLY_BY_SUPERUSERS))

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        if db_field.name != "groups":
            return super().formfield_for_dbfield(db_field, request, **kwargs)
        return RolesField(
            Group.objects.filter(pk__in=grantable_by(request.user)).order_by("pk"),
            required=False,
            label="Roles",
            help_text="Each may do what the one before it may. Only what you may do yourself is offered.",
            widget=UnfoldAdminCheckboxSelectMultipleWidget,
        )

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        if not change:
            obj.is_staff = True  # there is nothing here for anybody else
        super().save_model(request, obj, form, change)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        may = super().has_change_permission(request, obj)
        return may and not (obj is not None and _does_more(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False  # the log of what they did would go with them: an account is made inactive instead

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        offered: list[Any] = super().get_actions_detail(request, object_id)
        user = self.get_object(request, object_id)
        resettable = user is not None and not self._refusal(request, user)
        return [each for each in offered if resettable or each.path != "reset_second_factor"]

    @dialog_action(
        label="Reset second factor",
        title="Forget their second factor?",
        explanation="Make sure that it is they who ask. Authenticator and recovery codes are worthless at once.",
        submit="Reset",
        form=ResetDialog,
        permissions=["otp_totp.delete_totpdevice"],
        icon="phonelink_erase",
        variant=ActionVariant.DANGER,
    )
    def reset_second_factor(self, request: HttpRequest, form: ResetDialog, object_id: str) -> HttpResponse:
        user = named_by(User.objects.all(), object_id)
        if user is None:
            raise Http404
        if refusal := self._refusal(request, user):
            self.message_user(request, refusal, messages.ERROR)
        else:
            reason = form.cleaned_data["reason"]
            self.log_change(request, user, f"Second factor reset: {reason}")
            second_factor.reset(user, by=request.user.get_username(), reason=reason)
            self.message_user(request, f"The second factor of {user} is reset.", messages.SUCCESS)
        return answered(request, reverse("admin:auth_user_change", args=(user.pk,)))

    def _refusal(self, request: HttpRequest, user: User) -> str:
        """Return why this person may not reset that one's second factor; empty when he may."""
        if user == request.user:
            return "Nobody resets his own second factor: ask another."
        if _does_more(request, user):
            return f"{user} may do more than you: ask somebody who may do as much."
        has_one = any(device.confirmed for device in user.totpdevice_set.all())  # type: ignore[attr-defined]
        return "" if has_one else f"{user} has no second factor."

    @admin.display(description="roles")
    def roles(self, user: User) -> Any:
        names = [group.name for group in user.groups.all()]
        return format_html_join(" ", "{}", ((badge(name, Tone.INFO),) for name in names)) if names else NOTHING

    @admin.display(description="last log-in", ordering="last_login")
    def seen(self, user: User) -> Any:
        return moment(user.last_login)

    @admin.display(description="second factor")
    def enrolled(self, user: User) -> str:
        return _enrolled_badge(next(iter(user.totpdevice_set.all()), None))  # type: ignore[attr-defined]


def _does_more(request: HttpRequest, user: User) -> bool:
    """Return whether the user may do more than whoever asks: a page that only looks asks the database once."""
    if request.method != "GET":
        return may_do_more(user, request.user)
    kept: dict[int, bool] = request.__dict__.setdefault("desk_does_more", {})
    if user.pk not in kept:
        kept[user.pk] = may_do_more(user, request.user)
    return kept[user.pk]


def _enrolled_badge(device: TOTPDevice | None) -> str:
    return badge("Enrolled", Tone.GOOD, "verified_user") if device else badge("None")


@admin.register(Group)
class RoleAdmin(GroupAdmin, ModelAdmin):
    """Groups, changed by superusers alone: a group is rights. The four roles are changed by nobody here."""

    list_before_template = "desk/roles.html"
    list_display = ("name", "kept")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        return super().get_queryset(request).prefetch_related("permissions__content_type")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.is_superuser and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return self._may_touch(request, obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return self._may_touch(request, obj) and super().has_delete_permission(request, obj)

    def _may_touch(self, request: HttpRequest, obj: Group | None) -> bool:
        return request.user.is_superuser and (obj is None or obj.name not in ROLES)

    @admin.display(description="kept by")
    def kept(self, group: Group) -> str:
        return badge("Order Executor", Tone.INFO, "lock") if group.name in ROLES else badge("this installation")
