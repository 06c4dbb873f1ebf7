"""What loosens a limit, of all orders or of one symbol: an inbox of what waits, and what became of the rest."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.enums import ActionVariant
from unfold.views import ChangeList

from risk import approvals, limit_versions
from risk.admin.dialogs import ReasonDialog, dialog_action
from risk.admin.display import NOTHING, as_text, moment
from risk.admin.limit_history import limit_label, limit_text
from risk.admin.read_only import Listing, named_by, once_a_row
from risk.admin.wishes import WishAdmin
from risk.engine.limits import InstrumentLimits
from risk.four_eyes import House
from risk.models import LimitChange


def house() -> House:
    """Return what this installation asks for where something is loosened."""
    return House.of(needs=settings.LOOSENING_NEEDS, mode=settings.TRADING_MODE, ceilings=settings.LIMIT_CEILINGS)


def change_text(change: LimitChange) -> str:
    before, after = limit_text(change.key, change.before), limit_text(change.key, change.after)
    return f"{limit_label(change.key)} {before} → {after}"


def values_now() -> Callable[[LimitChange], str]:
    """Return what says of each change which value is in force now: read once for all of them."""
    now = timezone.now()
    limits, of_instruments = limit_versions.in_force(now=now), limit_versions.of_instruments(now=now)

    def value_now(change: LimitChange) -> str:
        if change.limit not in change.kind.LIMIT_FIELDS:
            return NOTHING
        own = of_instruments.get((change.exchange, change.symbol), InstrumentLimits())
        held = own if change.symbol else limits
        return limit_text(change.key, change.kind.as_text(getattr(held, change.limit)))

    return value_now


class AnswerDialog(ReasonDialog):
    """Asks for the reason of an answer, beside what is in force now and what is wished."""

    def facts(self) -> list[tuple[str, Any]]:
        change = named_by(LimitChange.objects.all(), self.object_id)
        if change is None:
            return []
        ceiling = settings.LIMIT_CEILINGS.get(change.limit)
        return [
            ("Limit", limit_label(change.key)),
            ("In force now", values_now()(change)),
            ("Asked for", f"{limit_text(change.key, change.before)} → {limit_text(change.key, change.after)}"),
            ("Ceiling", NOTHING if ceiling is None else as_text(ceiling)),
            ("Holds until", moment(change.expires_at) if change.expires_at else "changed again"),
            ("Asked by", f"{change.author}: {change.reason}"),
        ]


class ChangesListing(Listing):
    """The list, each row with the value that is in force beside it: read once for all of them."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        value_now = values_now()
        for change in self.result_list:
            change.value_now = value_now(change)


@admin.register(LimitChange)
class LimitChangeAdmin(WishAdmin):
    list_display = (
        "status_badge",
        "what_shown",
        "present",
        "wished_by",
        "reason_shown",
        "until",
        "answered_by",
        "asked",
    )
    search_fields = ("=author", "=decided_by", "limit", "=symbol")
    fieldsets = (
        (None, {"fields": ("status_badge", "what_shown", "present", "based_on_version", "until")}),
        ("Asked", {"fields": ("author", "asked", "reason", "needs", "takes_effect")}),
        ("Answered", {"fields": ("answered_by", "answered", "note", "ended")}),
    )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ChangesListing

    def has_withdraw_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Whoever may tighten such a limit may take a wish for it back."""
        of_symbols = LimitChange.objects.exclude(symbol="")
        about = "instrumentlimit" if named_by(of_symbols, object_id) else "risksettings"
        return bool(request.user.has_perm(f"risk.change_{about}"))

    @dialog_action(
        label="Approve",
        title="Approve the change?",
        explanation="It is in force at once, as a version with its author and you.",
        submit="Approve",
        form=AnswerDialog,
        permissions=["risk.approve_limits"],
        icon="check",
        variant=ActionVariant.PRIMARY,
    )
    def approve(self, request: HttpRequest, form: AnswerDialog, object_id: str) -> HttpResponse:
        return self.answer(request, object_id, form, partial(approvals.approve, house=house()))

    @dialog_action(
        label="Reject",
        title="Reject the change?",
        explanation="The limit stays as it is.",
        submit="Reject",
        form=AnswerDialog,
        permissions=["risk.approve_limits"],
        icon="close",
        variant=ActionVariant.DANGER,
    )
    def reject(self, request: HttpRequest, form: AnswerDialog, object_id: str) -> HttpResponse:
        return self.answer(request, object_id, form, approvals.reject)

    @dialog_action(
        label="Withdraw",
        title="Withdraw the change?",
        explanation="The limit stays as it is.",
        submit="Withdraw",
        form=AnswerDialog,
        permissions=["risk.view_limitchange", "withdraw"],
        icon="undo",
    )
    def withdraw(self, request: HttpRequest, form: AnswerDialog, object_id: str) -> HttpResponse:
        return self.answer(request, object_id, form, approvals.withdraw)

    @admin.display(description="change", ordering="limit")
    def what_shown(self, change: LimitChange) -> str:
        return change_text(change)

    @admin.display(description="in force now")
    @once_a_row
    def present(self, change: LimitChange) -> str:
        return getattr(change, "value_now", None) or values_now()(change)

    @admin.display(description="holds until", ordering="expires_at")
    def until(self, change: LimitChange) -> str:
        return moment(change.expires_at) if change.expires_at else "changed again"

    @admin.display(description="ended")
    def ended(self, change: LimitChange) -> str:
        return moment(change.ended_at)
