"""URLs: the pages, the HTTP surface and the admin."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("monitor.urls")),
]

handler400 = "monitor.problems.bad_request"
handler403 = "monitor.problems.forbidden"
handler404 = "monitor.problems.not_found"
handler500 = "monitor.problems.server_error"
