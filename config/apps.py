"""Creates, after every migrate, the rows that trading cannot do without: the switch of each mode and the limits."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.db import connection
from django.db.models.signals import post_migrate
from django.utils import timezone


class DeploymentConfig(AppConfig):
    name = "config"
    verbose_name = "Deployment"

    def ready(self) -> None:
        # Django sends the signal for apps that have models, which this one has not: the last one migrated stands in.
        post_migrate.connect(install_first_rows, sender=apps.get_app_config("orders"))


def install_first_rows(**_: Any) -> None:
    """Create what is missing from the environment's values; change nothing that is there."""
    if "risk_risksettingsversion" not in connection.introspection.table_names():
        return  # only some apps were migrated, or back to nothing
    from risk import control, limit_versions  # models cannot be imported before every app is loaded

    now = timezone.now()
    control.install(auto_trading=settings.ENABLE_AUTO_TRADING, now=now)
    limit_versions.install(settings.FIRST_LIMITS, now=now)
