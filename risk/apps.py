from __future__ import annotations

from django.apps import AppConfig


class RiskConfig(AppConfig):
    name = "risk"
    verbose_name = "Risk desk"
    default_auto_field = "django.db.models.BigAutoField"
