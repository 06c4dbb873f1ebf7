"""Whose address a request came from: what the connection says, or what our own proxies say of theirs."""

from __future__ import annotations

from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str | None:
    """
    Return the address of who sent the request; None where none can be told.

    Whoever sends a request writes its X-Forwarded-For as he likes, and each proxy adds at the end the address that it
    was called from. So the entry as many from the end as there are TRUSTED_PROXIES was written by the outermost of
    ours, and nothing before it is believed.
    """
    written = [each.strip() for each in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")]
    proxies = settings.TRUSTED_PROXIES
    said = written[-proxies] if 0 < proxies <= len(written) else request.META.get("REMOTE_ADDR", "")
    try:
        return str(ip_address(said))
    except ValueError:
        return None
