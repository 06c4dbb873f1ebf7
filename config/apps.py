"""
Sees, after every migrate, to what trading cannot do without: the triggers of the audit trail, the switch of each mode,
the limits, the roles.

Not a migration: permissions are themselves made after `migrate`, so that on an empty database there are none to give.
"""

from __future__ import annotations

from typing import Any

import structlog
from django.apps import AppConfig, apps
from django.conf import settings
from django.contrib.auth.signals import user_login_failed
from django.core import checks
from django.db import connection
from django.db.models.signals import post_migrate
from django.http import HttpRequest
from django.utils import timezone

from config import live_checks
from config.client_address import client_address
from config.tls_check import sessions_are_private

log = structlog.get_logger(__name__)


class DeploymentConfig(AppConfig):
    name = "config"
    verbose_name = "Deployment"

    def ready(self) -> None:
        from axes.signals import user_locked_out  # its module has models

        from config.live_servers import servers_are_safe  # models cannot be imported before every app is loaded

        # Django sends the signal for apps that have models, which this one has not: the last one migrated stands in.
        post_migrate.connect(protect, sender=apps.get_app_config("orders"))
        post_migrate.connect(install_first_rows, sender=apps.get_app_config("orders"))
        for label in ("auth", "axes"):
            apps.get_app_config(label).verbose_name = "People"  # what a page of theirs says above its name
        checks.register(sessions_are_private)
        checks.register(live_checks.settings_are_safe, live_checks.TAG, deploy=True)
        checks.register(servers_are_safe, checks.Tags.database, live_checks.TAG, deploy=True)
        user_login_failed.connect(tell_of_failure)
        user_locked_out.connect(tell_of_lock_out)


def tell_of_failure(*, request: HttpRequest | None = None, **_: Any) -> None:
    """Say in the log that a log-in failed. Not whose: now and then a password is typed where the name belongs."""
    log.warning("log_in.failed", address=client_address(request) if request else None)


def tell_of_lock_out(*, username: str | None, ip_address: str | None, **_: Any) -> None:
    log.warning("log_in.locked_out", user=username, address=ip_address)


def protect(**_: Any) -> None:
    """Set the triggers of the audit trail, first of all: what follows is in it."""
    from risk.audit import triggers  # models cannot be imported before every app is loaded

    triggers.install()


def install_first_rows(**sent: Any) -> None:
    """Create what is missing from the environment's values, and hold the limits to the ceilings of the settings."""
    if "risk_risksettingsversion" not in connection.introspection.table_names():
        return  # only some apps were migrated, or back to nothing
    from orders import roles  # models cannot be imported before every app is loaded
    from risk import control, limit_versions

    now = timezone.now()
    control.install(auto_trading=settings.ENABLE_AUTO_TRADING, now=now)
    limit_versions.install(settings.FIRST_LIMITS, now=now)
    roles.align()
    if _is_of_today(sent.get("apps", apps)):
        limit_versions.see_to_the_version(now=now)
        limit_versions.keep_within(settings.LIMIT_CEILINGS, mode=settings.TRADING_MODE, now=now)


def _is_of_today(migrated: Any) -> bool:
    """Return whether the tables of the risk desk are as its models are: they may have been migrated back."""
    return all(
        {each.name for each in model._meta.fields}  # noqa: SLF001 - Django documents it
        <= {each.name for each in migrated.get_model("risk", model.__name__)._meta.fields}  # noqa: SLF001 - likewise
        for model in apps.get_app_config("risk").get_models()
    )
