"""URLs: the pages, the HTTP surface and the admin."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("monitor.urls")),
]

handler400 = "monitor.refusals.bad_request"
handler403 = "monitor.refusals.forbidden"
handler404 = "monitor.refusals.not_found"
handler500 = "monitor.refusals.server_error"
