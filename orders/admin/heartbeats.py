from __future__ import annotations

from django.contrib import admin
from django.utils import timezone

from orders.models import ExecutorHeartbeat
from risk.admin.display import Tone, ago, badge, moment
from risk.admin.read_only import ReadOnlyAdmin


@admin.register(ExecutorHeartbeat)
class ExecutorHeartbeatAdmin(ReadOnlyAdmin):
    """Which executor leads, and how long ago it was seen alive."""

    list_display = ("mode", "age", "host", "pid", "started")
    fields = (("mode", "age"), ("host", "pid"), ("started", "beat"), "backend_pid")

    @admin.display(description="last seen", ordering="beat_at")
    def age(self, heartbeat: ExecutorHeartbeat) -> str:
        now = timezone.now()
        told = f"{ago(heartbeat.beat_at, now)} ago"
        return (
            badge(told, Tone.GOOD, "favorite")
            if heartbeat.is_alive(now)
            else badge(f"{told}: not running", Tone.BAD, "heart_broken")
        )

    @admin.display(description="started", ordering="started_at")
    def started(self, heartbeat: ExecutorHeartbeat) -> str:
        return moment(heartbeat.started_at)

    @admin.display(description="beat")
    def beat(self, heartbeat: ExecutorHeartbeat) -> str:
        return moment(heartbeat.beat_at)
