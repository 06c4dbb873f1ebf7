"""
Who handed an account out, as the trail tells: whoever set its password can be it, and whoever gave a right chose it.

Entries are found by the row that they are about, which an index knows. What is older than the trail has no entry.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.contrib.auth.models import Group, Permission, User
from django.db.models import Model, Q, QuerySet

from risk.models import AuditEntry

_NOT_LOGGED_IN = "anonymous at "  # a log-in renews how the password is kept, and sets none


def names_of(account: int) -> set[str]:
    """Return every name that the account has or has had."""
    names = set(User.objects.filter(pk=account).values_list("username", flat=True))
    named = _about(User, account).filter(Q(operation=AuditEntry.Operation.INSERT) | Q(changes__has_key="username"))
    for changes in named.values_list("changes", flat=True):
        told = changes["username"]
        names.update([told] if isinstance(told, str) else told)
    return names


def handed_out_by(account: int) -> set[int | None]:
    """
    Return the accounts from whose hands this one comes: who set its password last, who set theirs, and so on.

    A password that the person set himself hides nobody: whoever had it before could have done that. None among them is
    somebody who has another name by now. The command line ends it: whoever is there needs no account.
    """
    found: set[int | None] = set()
    while (name := _setter_of_the_password(account)) and " " not in name:
        setter = User.objects.filter(username=name).first()
        if setter is None or setter.pk in found:
            return found | {setter.pk if setter else None}
        found.add(setter.pk)
        account = setter.pk
    return found


def first_entry(row: Model) -> int:
    """Return the id of the entry by which this row came; 0 where the trail has none."""
    return _came(row).values_list("id", flat=True).first() or 0


def ways_to(person: User, permission: str) -> Iterator[list[AuditEntry]]:
    """Yield each way by which the person has a permission now, as the entries that gave it."""
    app, _, codename = permission.partition(".")
    named = Permission.objects.get(content_type__app_label=app, codename=codename)
    if person.is_superuser:
        made = _about(User, person.pk).filter(Q(changes__is_superuser=True) | Q(changes__has_key="is_superuser"))
        yield list(made.order_by("-id")[:1])
    for own in User.user_permissions.through.objects.filter(user=person, permission=named):
        yield list(_came(own))
    for member in User.groups.through.objects.filter(user=person, group__permissions=named):
        given = Group.permissions.through.objects.get(group_id=member.group_id, permission=named)
        yield [*_came(member), *_came(given)]


def _setter_of_the_password(account: int) -> str:
    """Return who set the account's password last, but for the person himself; empty where the trail does not say."""
    set_then = Q(operation=AuditEntry.Operation.INSERT) | Q(changes__has_key="password")
    by_others = _about(User, account).filter(set_then).exclude(actor__in=names_of(account))
    return by_others.exclude(actor__startswith=_NOT_LOGGED_IN).values_list("actor", flat=True).first() or ""


def _came(row: Model) -> QuerySet[AuditEntry]:
    return _about(type(row), row.pk).filter(operation=AuditEntry.Operation.INSERT)


def _about(model: type[Model], pk: int) -> QuerySet[AuditEntry]:
    """Return the entries about a row, the latest first."""
    table = model._meta.db_table  # noqa: SLF001 - Django's own way to ask a model about its table
    return AuditEntry.objects.filter(row_pk=str(pk), table_name=table).order_by("-id")
