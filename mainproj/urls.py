"""The URLs of pages, API, login and admin."""

from django.apps import apps
from django.contrib import admin
from django.contrib.auth.views import LogoutView
from django.urls import include, path

from mainproj.login import LinkLoginPage, LoginPage

# Settings of one's own may have taken the admin out.
ADMIN = [path("admin/", admin.site.urls)] if apps.is_installed("django.contrib.admin") else []

urlpatterns = [
    *ADMIN,
    path("login/", LoginPage.as_view(), name="login"),
    path("login/link/", LinkLoginPage.as_view(), name="login-link"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("celery-progress/", include("monitor.celery_progress.urls")),
    path("", include("monitor.urls")),
]

handler400 = "monitor.http.error_pages.bad_request"
handler403 = "monitor.http.error_pages.forbidden"
handler404 = "monitor.http.error_pages.not_found"
handler500 = "monitor.http.error_pages.server_error"
