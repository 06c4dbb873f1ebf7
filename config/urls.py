from __future__ import annotations

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from orders.postback import kite_postback

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("kite/postback", kite_postback),
]
