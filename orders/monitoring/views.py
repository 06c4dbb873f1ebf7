"""
`/healthz`, `/readyz` and `/metrics`: for machines, without a session.

The figures, and the reasons of what is not ready, are told to who sends METRICS_TOKEN as a bearer token. While that is
not set, to nobody.
"""

from __future__ import annotations

import hmac

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from orders.monitoring.readiness import Watch
from orders.monitoring.scrape import Scrapes

WATCH = Watch()
SCRAPES = Scrapes()


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Answer that this process answers: it asks nothing, and says nothing else."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Answer 200 or 503; what holds and what does not is for who has the token."""
    found = WATCH.readiness()
    told = found.as_told() if _is_let_in(request) else {"status": found.status}
    return JsonResponse(told, status=200 if found.is_ready else 503)


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    if not _is_let_in(request):
        why = "send METRICS_TOKEN as a bearer token" if settings.METRICS_TOKEN else "closed: METRICS_TOKEN is not set"
        refusal = HttpResponse(f"{why}\n", status=401, content_type="text/plain")
        refusal.headers["WWW-Authenticate"] = "Bearer"
        return refusal
    return HttpResponse(SCRAPES.text(), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _is_let_in(request: HttpRequest) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    wanted: str = settings.METRICS_TOKEN
    if not wanted or scheme.lower() != "bearer":
        return False
    return hmac.compare_digest(given.strip().encode("utf-8", "replace"), wanted.encode())
