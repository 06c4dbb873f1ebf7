"""The staff of the admin's tests, and how a test reads what a page told them."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.messages import get_messages
from django.test import Client

SENT = {"_form_submitted": "True"}  # what the theme's dialogs send beside their fields


def person(name: str, *codenames: str, superuser: bool = False) -> Client:
    """Return a client that this member of staff is logged in to."""
    user = User.objects.create_user(name, is_staff=True, is_superuser=superuser)
    permissions = Permission.objects.filter(codename__in=codenames)
    assert permissions.count() == len(codenames)
    user.user_permissions.set(permissions)
    client = Client()
    client.force_login(user)
    return client


def viewer() -> Client:
    """Vera may look at everything and do nothing."""
    everything = Permission.objects.filter(codename__startswith="view_").values_list("codename", flat=True)
    return person("vera", *everything)


def told(response: Any) -> str:
    """Return the messages that the action left."""
    return " | ".join(str(each) for each in get_messages(response.wsgi_request))


def traces() -> list[str]:
    """Return what the admin's own log keeps of changes, newest last."""
    return list(LogEntry.objects.order_by("pk").values_list("change_message", flat=True))
