"""
Kite's postback: an order update that Kite posts to us. Off unless KITE_POSTBACK is set, and a nudge only.

Its checksum proves an order's id and time, neither its status nor its quantities, and it can be replayed: so nothing of
it is believed. That one came is left on the session's row, where the leading executor's tracker finds it and reads the
book; this works through any pool of connections, and a lost one costs no more than the wait for the next read.
"""

from __future__ import annotations

import hashlib
import hmac
import json

import structlog
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from orders.models import BrokerSession

BODY_BYTES_MAX = 16 * 1024  # Kite's are about one

log = structlog.get_logger(__name__)


@csrf_exempt  # the checksum takes its place: Kite has no session here
def kite_postback(request: HttpRequest) -> HttpResponse:
    """Take note that an order changed. Answer 404 when postbacks are off, 403 when the checksum is not Kite's."""
    secret = settings.KITE_API_SECRET
    if not settings.KITE_POSTBACK or not secret:
        raise Http404
    return _take(request)


@require_POST
def _take(request: HttpRequest) -> HttpResponse:
    body = request.read(BODY_BYTES_MAX + 1)
    if len(body) > BODY_BYTES_MAX:
        return HttpResponse(status=413)
    if not _is_proven(body, settings.KITE_API_SECRET):
        log.warning("postback.refused", bytes=len(body))
        return HttpResponse(status=403)
    BrokerSession.objects.filter(mode=settings.TRADING_MODE).update(postback_at=timezone.now())
    return HttpResponse(status=200)


def _is_proven(body: bytes, secret: str) -> bool:
    """Return whether the checksum could only be made by one who knows the secret."""
    try:
        told = json.loads(body)
        proven, checksum = f"{told['order_id']}{told['order_timestamp']}{secret}", str(told["checksum"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
    expected = hashlib.sha256(proven.encode("utf-8", "replace")).hexdigest()
    return hmac.compare_digest(expected.encode(), checksum.encode("utf-8", "replace"))
