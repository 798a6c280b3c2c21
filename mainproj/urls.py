"""The URLs of pages, API and admin."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("monitor.urls")),
]

handler400 = "monitor.http.error_pages.bad_request"
handler403 = "monitor.http.error_pages.forbidden"
handler404 = "monitor.http.error_pages.not_found"
handler500 = "monitor.http.error_pages.server_error"
