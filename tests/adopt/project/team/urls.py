from django.contrib import admin
from django.contrib.auth.views import LoginView
from django.urls import include, path
from drf_spectacular.views import SpectacularJSONAPIView
from shop import api, views

urlpatterns = [
    path("", views.home, name="start"),
    path("admin/", admin.site.urls),
    path("enter/", LoginView.as_view(template_name="shop/login.html"), name="login"),
    path("bar/<uuid:run_id>/", views.bar, name="run"),
    path("api/parcels/", api.ParcelsView.as_view(), name="task-list"),
    path("api/nothing/", api.NothingView.as_view(), name="docs"),
    path("api/schema/", SpectacularJSONAPIView.as_view(), name="schema"),
    path("progress/", include("monitor.celery_progress.urls")),
    # Three times, and last.
    path("flows/", include("monitor.urls")),
    path("second/one/", include("monitor.urls", namespace="second")),
    path("office/", include("team.office")),
]
