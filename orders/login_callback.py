"""
Where Kite's login page sends staff back to: the redirect URL that is registered for the app.

Nothing is shown at this address, since a request token stands in it: whatever comes of it is told on the Session page.
The login's state is what protects it from forgery, for Kite's page has no token of ours.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from orders import daily_login
from orders.daily_login import LoginNotKept, Returning
from orders.desk import Desk
from risk.admin.display import sentence
from risk.models import Mode

LONGEST = 500  # of what may stand in the address; Kite's tokens have 32 characters


@require_GET
@never_cache
def kite_login(request: HttpRequest) -> HttpResponse:
    """Take over a login. Answer 404 on paper, 403 to whoever may not log in; else go on to the Session page."""
    if settings.TRADING_MODE == Mode.PAPER:
        raise Http404
    if not admin.site.has_permission(request):
        # Without the token: the login page would carry it on in its own address.
        messages.error(request, "You are not logged in here any more. Log in, then press “Log in to Kite” again.")
        return _away(reverse("admin:login"))
    if not request.user.has_perm("orders.log_in_to_kite"):
        raise PermissionDenied
    told = {name: request.GET.get(name, "")[:LONGEST] for name in ("state", "request_token", "status")}
    try:
        session = daily_login.come_back(
            Desk.from_settings(),
            returning(request),
            state=told["state"],
            succeeded=told["status"] == "success",
            request_token=told["request_token"],
            secret=settings.KITE_API_SECRET,
        )
    except LoginNotKept as refusal:
        messages.error(request, sentence(refusal))
    else:
        assert session.valid_until is not None, "a login is kept with its end"
        until = f"{timezone.localtime(session.valid_until):%H:%M on %d %b}"
        text = f"Logged in to Kite as {session.user_id} until {until}"
        assert request.user.pk is not None, "staff are logged in"
        LogEntry.objects.log_actions(request.user.pk, [session], CHANGE, change_message=f"{text}.", single_object=True)
        messages.success(request, f"{text} (IST).")
    return _away(reverse("admin:orders_brokersession_changelist"))


def returning(request: HttpRequest) -> Returning:
    """Return who asks, and from which browser session."""
    assert request.user.pk is not None, "staff are logged in"
    return Returning(
        name=request.user.get_username(), account=request.user.pk, session_key=request.session.session_key or ""
    )


def _away(url: str) -> HttpResponse:
    """Leave the address that has the token, and let no browser name it to the next page."""
    return HttpResponseRedirect(url, headers={"Referrer-Policy": "no-referrer"})
