from __future__ import annotations

from django.apps import AppConfig
from django.db.backends.signals import connection_created

from risk.audit.who import sign_statements


class RiskConfig(AppConfig):
    name = "risk"
    verbose_name = "Risk desk"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        connection_created.connect(sign_statements)
