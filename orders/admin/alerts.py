"""Alerts: what left the screen, how each channel took it, and having it sent again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import linebreaksbr
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter, RangeDateTimeFilter
from unfold.enums import ActionVariant

from orders import alert_urls
from orders.alert_urls import Address
from orders.alerting import outbox
from orders.alerting.channels import BadAddress
from orders.alerting.news import CannotBeQuiet
from orders.alerting.sender import Setup
from orders.alerting.trial import try_each
from orders.models import Alert, AlertDelivery, AlertSender
from risk.admin import bulk
from risk.admin.dialogs import Dialog, answered, dialog_action, refusals_told
from risk.admin.display import NOTHING, Tone, ago, badge, moment
from risk.admin.mode_filter import ModeFilter
from risk.admin.read_only import ReadOnlyAdmin, once_a_row

State = AlertDelivery.State
STATES = {
    State.WAITING: (Tone.INFO, "schedule"),
    State.SENDING: (Tone.INFO, "upload"),
    State.DELIVERED: (Tone.GOOD, "check"),
    State.GIVEN_UP: (Tone.BAD, "notifications_off"),
}
SENDS_STILL = timedelta(minutes=1)


class NothingToSend(Exception):
    """The alert cannot be sent again; the text says why."""


class DeliveryFilter(DropdownFilter):
    title = "delivery"
    parameter_name = "delivery"
    words = {"delivered": "delivered", "underway": "on its way", "given_up": "given up", "none": "not sent"}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(self.words.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Alert]) -> QuerySet[Alert]:
        of_it = AlertDelivery.objects.filter(message=OuterRef("message"))
        given_up, underway = of_it.filter(state=State.GIVEN_UP), of_it.filter(state__in=[State.WAITING, State.SENDING])
        match self.value():
            case "delivered":
                return queryset.filter(Exists(of_it), ~Exists(of_it.exclude(state=State.DELIVERED)))
            case "underway":
                return queryset.filter(Q(Exists(underway)) | Q(message=None, is_quiet=False))
            case "given_up":
                return queryset.filter(Exists(given_up))
            case "none":
                return queryset.filter(Q(is_quiet=True) | Q(message__isnull=False) & ~Q(Exists(of_it)))
        return queryset


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    list_display = ("happened", "what", "delivery", "told", "mode")
    list_display_links = ("what",)
    list_filter = (
        ("kind", ChoicesDropdownFilter),
        DeliveryFilter,
        "is_urgent",
        ("noticed_at", RangeDateTimeFilter),
        ModeFilter,
    )
    search_fields = ("title",)
    fieldsets = (
        (None, {"fields": ("what", ("happened", "noticed"), "text", "what_to_do", "page")}),
        ("How it left", {"fields": (("delivery", "told"), "message_sent", "channels")}),
    )
    actions = ["send_selected_again"]
    actions_list = ["test_channels"]
    actions_detail = ["send_again"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Alert]:
        counted = {
            f"{state.lower()}_count": Count("message__deliveries", filter=Q(message__deliveries__state=state))
            for state in State.values
        }
        rows: QuerySet[Alert] = super().get_queryset(request)
        return rows.select_related("message").annotate(**counted)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        note = sending(timezone.now()) if request.method == "GET" else None
        answer: HttpResponse = super().changelist_view(request, {"list_note": note, **(extra_context or {})})
        return answer

    @dialog_action(
        label="Test the channels",
        title="Send a test message to every channel?",
        explanation="It says that it is a test, and who sent it. How each channel took it is told here.",
        submit="Send it",
        form=Dialog,
        permissions=["orders.send_alert"],
        icon="notifications_active",
        variant=ActionVariant.PRIMARY,
    )
    def test_channels(self, request: HttpRequest, form: Dialog) -> HttpResponse:
        with refusals_told(request, BadAddress, CannotBeQuiet, NothingToSend):
            setup = Setup.from_settings()
            if not setup.channels:
                raise NothingToSend("ALERT_URLS is empty: there is no channel to test")
            by = request.user.get_username()
            for result in try_each(setup, mode=settings.TRADING_MODE, by=by, now=timezone.now()):
                told = f"{result.label}: {result.error or 'it took the message'}"
                self.message_user(request, told, messages.ERROR if result.error else messages.SUCCESS)
        return answered(request, reverse("admin:orders_alert_changelist"))

    @dialog_action(
        label="Send again",
        title="Send this alert again?",
        explanation="Its whole message, through every channel that it has not reached. The attempts begin anew.",
        submit="Send it again",
        form=Dialog,
        permissions=["orders.send_alert"],
        icon="redo",
    )
    def send_again(self, request: HttpRequest, form: Dialog, object_id: str) -> HttpResponse:
        alert: Alert = self.row(request, object_id)
        with refusals_told(request, NothingToSend):
            self.message_user(request, f"{self._send_again(request, alert)}.", messages.SUCCESS)
        return answered(request, reverse("admin:orders_alert_change", args=(alert.pk,)))

    def has_send_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("orders.send_alert")

    @admin.action(description="Send the selected alerts again", permissions=["send"])
    def send_selected_again(self, request: HttpRequest, queryset: QuerySet[Alert]) -> HttpResponse | None:
        again = bulk.Bulk(
            action="send_selected_again",
            title="Send the selected alerts again?",
            submit="Send these alerts again",
            done="alerts sent again",
            explanation="Each with its whole message, through every channel that it has not reached.",
            form=Dialog,
            describe=lambda alert: bulk.Line(alert.title, delivery_badge(alert)),
            act=lambda alert, form: self._send_again(request, alert),
            refusals=(NothingToSend,),
        )
        return bulk.answer(self, request, queryset, again)

    def _send_again(self, request: HttpRequest, alert: Alert) -> str:
        """Have it tried again, leave the admin's trace, and return what to say. Raise `NothingToSend`."""
        if alert.message is None:
            raise NothingToSend(
                "ALERT_QUIET has its kind" if alert.is_quiet else "it waits for its first message still"
            )
        channels = configured()
        if not channels:
            raise NothingToSend("ALERT_URLS is empty: there is no channel to send it to")
        count = outbox.send_again(alert.message, channels, now=timezone.now())
        if not count:
            raise NothingToSend("every channel has it, or is being tried at this moment")
        told = f"Sent again through {count} channel{'s' if count > 1 else ''}"
        self.log_change(request, alert, told)
        return told

    @admin.display(description="when", ordering="id")
    def happened(self, alert: Alert) -> str:
        return moment(alert.at)

    @admin.display(description="noticed")
    def noticed(self, alert: Alert) -> str:
        return moment(alert.noticed_at)

    @admin.display(description="alert", ordering="kind")
    def what(self, alert: Alert) -> str:
        urgent = badge("Urgent", Tone.LOUD, "priority_high") if alert.is_urgent else ""
        return format_html(
            '<span class="desk-two"><b>{}</b><span>{} {}</span></span>', alert.title, alert.get_kind_display(), urgent
        )

    @admin.display(description="delivery")
    def delivery(self, alert: Alert) -> str:
        return delivery_badge(alert)

    @admin.display(description="told")
    def told(self, alert: Alert) -> str:
        return moment(alert.message.formed_at if alert.message else None)

    @admin.display(description="page")
    def page(self, alert: Alert) -> str:
        return format_html('<a class="desk-link" href="{}">{}</a>', alert.path, alert.path) if alert.path else NOTHING

    @admin.display(description="message")
    @once_a_row
    def message_sent(self, alert: Alert) -> str:
        if alert.message is None:
            return NOTHING
        return format_html("<b>{}</b><br>{}", alert.message.title, linebreaksbr(alert.message.text, autoescape=True))

    @admin.display(description="channels")
    @once_a_row
    def channels(self, alert: Alert) -> str:
        rows = alert.message.deliveries.all() if alert.message else []
        shown = [
            {
                "row": each,
                "state": badge(each.get_state_display(), *STATES[State(each.state)]),
                "delivered": moment(each.delivered_at),
                "next": moment(each.next_at) if each.state == State.WAITING else NOTHING,
            }
            for each in rows
        ]
        return render_to_string("desk/alert_deliveries.html", {"deliveries": shown})


def configured() -> list[Address]:
    return alert_urls.addresses(settings.ALERT_URLS, secret_key=settings.SECRET_KEY)


def delivery_badge(alert: Any) -> str:
    """Return how far it got, of the counts that the page's rows carry."""
    done, given_up = alert.delivered_count, alert.given_up_count
    every = done + given_up + alert.waiting_count + alert.sending_count
    if alert.is_quiet:
        return badge("Quiet", Tone.PLAIN, "notifications_paused")
    if alert.message is None:
        return badge("Waits", Tone.INFO, "schedule")
    if not every:
        return badge("No channel", Tone.WARNING, "notifications_off")
    if given_up:
        return badge(f"{given_up} of {every} given up", Tone.BAD, "notifications_off")
    if done == every:
        return badge("Delivered", Tone.GOOD, "check")
    return badge(f"{done} of {every} delivered", Tone.INFO, "upload")


def sending(now: datetime) -> dict[str, str] | None:
    """Return what is not as it must be for alerts to leave, as a note of the list."""
    if not settings.ALERT_URLS:
        text = "They are kept here and go nowhere: ALERT_URLS is empty. .env.example says what it takes."
        return {"text": text, "tone": "warning"}
    sender = AlertSender.objects.filter(mode=settings.TRADING_MODE).first()
    if sender is None or sender.until is None or now - sender.until > SENDS_STILL:
        last = f"last seen {ago(sender.until, now)} ago" if sender and sender.until else "never seen"
        return {"text": f"Nobody sends them: manage.py send_alerts was {last}. Start it.", "tone": "warning"}
    labels = ", ".join(each.label for each in configured())
    return {"text": f"They go to {labels}.", "tone": ""}
