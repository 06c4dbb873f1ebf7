"""
The four roles: who may do what, in one table.

They are groups, kept in line with the table after every `migrate`: a permission taken out here is taken from the group,
and one given to it by hand does not stay. Each role may do what the one before it may. Groups of other names are the
installation's own, and are left alone.
"""

from __future__ import annotations

from typing import Any

import structlog
from django.contrib.auth.models import Group, Permission, User
from django.db.models import Prefetch, Q

VIEWER, TRADER, RISK_MANAGER, ADMINISTRATOR = "Viewer", "Trader", "Risk manager", "Administrator"
# Whose every row a Viewer may look at. People and their log-ins are no business of his.
SHOWN_APPS = ("orders", "risk")
ROLES: dict[str, tuple[str, ...]] = {
    VIEWER: (),  # and everything that is called view_… in SHOWN_APPS
    TRADER: (
        "orders.place_order",
        "orders.cancel_order",
        "orders.exit_position",
        "orders.dismiss_missedexit",
        "orders.flatten",
        "orders.modify_order",
        "orders.mark_filled",
        "orders.note_order",
        "orders.export_order",
        "orders.send_signal",
        "orders.send_test_signal",
        "orders.replay_signal",
        "risk.halt_trading",  # tightening is anyone's who trades: halt, reduce only, auto-trading off
    ),
    RISK_MANAGER: (
        "orders.adjust_position",
        "risk.resume_trading",
        "risk.switch_auto_trading",
        "risk.change_risksettings",
        "orders.take_end_of_day",
        "orders.send_alert",
        "orders.prove_line",
        "orders.pass_step",
        "risk.approve_limits",
        "risk.approve_calendar",
        "risk.add_instrumentlimit",
        "risk.change_instrumentlimit",
        "risk.resolve_incident",
        "auth.view_user",
        "axes.view_accessattempt",
        "axes.view_accesslog",
        "otp_totp.delete_totpdevice",  # resets the second factor of another who may do no more than himself
    ),
    ADMINISTRATOR: (
        "orders.log_in_to_kite",
        "orders.manage_apitoken",
        "risk.arm_live",
        "risk.load_calendar",
        "risk.add_calendarday",
        "risk.change_calendarday",
        "risk.delete_calendarday",
        "risk.add_calendaryear",
        "risk.change_calendaryear",
        "risk.add_sessionrule",
        "risk.change_sessionrule",
        "risk.delete_sessionrule",
        "auth.add_user",
        "auth.change_user",
        "auth.view_group",
        "axes.delete_accessattempt",  # releases who is locked out
    ),
}
WORDS = {
    VIEWER: "looks at everything of trading, changes nothing",
    TRADER: "orders by hand, cancels, exits, fills by hand; halts, and turns auto-trading off",
    RISK_MANAGER: "and limits, approvals, incidents, the steps to live; resumes, and turns auto-trading on",
    ADMINISTRATOR: "and people, the broker's login, arming live, the calendar",
}

log = structlog.get_logger(__name__)


def given_to(role: str) -> list[str]:
    """Return the permissions by name that the table gives the role and the roles before it."""
    names = list(ROLES)
    return [permission for name in names[: names.index(role) + 1] for permission in ROLES[name]]


def permissions_of(role: str) -> set[Permission]:
    """Return what the table gives the role, as far as it exists: some apps may not be migrated yet."""
    wanted = Q(content_type__app_label__in=SHOWN_APPS, codename__startswith="view_")
    for app, _, codename in (permission.partition(".") for permission in given_to(role)):
        wanted |= Q(content_type__app_label=app, codename=codename)
    return set(Permission.objects.filter(wanted).select_related("content_type"))


def align() -> None:
    """Make the four groups what the table says, and say in the log what that changed."""
    for role in ROLES:
        group, _ = Group.objects.get_or_create(name=role)
        before, after = set(group.permissions.all()), permissions_of(role)
        if before == after:
            continue
        group.permissions.set(after)
        given, taken = (sorted(each.codename for each in some) for some in (after - before, before - after))
        log.info("role.aligned", role=role, given=given, taken=taken)


def rights_of(user: User) -> set[str]:
    """
    Return the permissions that the user has, or would have if he were active.

    Django's own question answers nothing of an inactive user: whoever then set his password and let him in again would
    have taken what he may do.
    """
    if user.is_superuser:
        return set(map(_dotted, Permission.objects.select_related("content_type")))
    own = Q(user=user) | Q(group__user=user)
    return set(map(_dotted, Permission.objects.filter(own).select_related("content_type")))


def may_do_more(user: User, than: Any) -> bool:
    """Return whether the user has rights that the editor lacks: whoever sets their password would have them."""
    if than.is_superuser or user == than:
        return False
    return user.is_superuser or not rights_of(user) <= _rights_at_hand(than)


def grantable_by(editor: Any) -> list[int]:
    """Return the ids of the groups that give nothing which the editor has not."""
    permissions = Permission.objects.select_related("content_type")
    groups = Group.objects.prefetch_related(Prefetch("permissions", permissions))
    if editor.is_superuser:
        return [group.pk for group in groups]
    rights = _rights_at_hand(editor)
    return [group.pk for group in groups if set(map(_dotted, group.permissions.all())) <= rights]


def _rights_at_hand(editor: Any) -> set[str]:
    """Return the rights of who asks, which Django has read already for the page that he opens."""
    return set(editor.get_all_permissions()) if editor.is_active else rights_of(editor)


def _dotted(permission: Permission) -> str:
    return f"{permission.content_type.app_label}.{permission.codename}"
