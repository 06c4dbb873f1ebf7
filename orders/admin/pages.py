"""The pages that belong to no model: where each is, and who may open it."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from orders.admin import dashboard, help_page, runbooks_page, shadow_report_page, start_of_day_page

urlpatterns = [
    path("dashboard/live/", dashboard.live, name="dashboard_live"),  # these four answer 401 instead of a login page
    path("dashboard/used/", dashboard.used, name="dashboard_used"),
    path("dashboard/more/", dashboard.more, name="dashboard_more"),
    path("dashboard/charts/", dashboard.charts, name="dashboard_charts"),
    path("start-of-day/", admin.site.admin_view(start_of_day_page.show), name="start_of_day"),
    path("shadow/", admin.site.admin_view(shadow_report_page.show), name="shadow_report"),
    path("shadow/csv/", admin.site.admin_view(shadow_report_page.as_csv), name="shadow_report_csv"),
    path("help/", admin.site.admin_view(help_page.show), name="help"),
    path("runbooks/", admin.site.admin_view(runbooks_page.show), name="runbooks"),
]
