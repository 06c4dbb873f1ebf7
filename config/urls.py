from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from orders.admin import second_factor
from orders.api import reference
from orders.api.app import api
from orders.login_callback import kite_login
from orders.monitoring import views
from orders.postback import kite_postback

handler500 = "config.request_ids.server_error"
urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/second-factor/", second_factor.show, name="second_factor"),
    path("admin/second-factor/code/", second_factor.ask, name="second_factor_code"),
    path("admin/api/", admin.site.admin_view(reference.show), name="api_reference"),
    path("admin/", include("orders.admin.pages")),
    path("admin/", admin.site.urls),
    path("api/v1/", api.urls),
    path("kite/login", kite_login),
    path("kite/postback", kite_postback),
    path("healthz", views.healthz),
    path("readyz", views.readyz),
    path("metrics", views.metrics),
]
