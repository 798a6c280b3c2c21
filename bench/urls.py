"""The project's URLs, and those of the views that polling is compared with."""

from celery_progress.views import get_progress  # type: ignore[import-untyped]
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

__all__ = ["urlpatterns"]


def empty(_request: HttpRequest, _task_id: str) -> HttpResponse:
    return HttpResponse(b"{}", content_type="application/json")


urlpatterns = [
    # celery-progress leaves access control to its user.
    path("bench/celery-progress/<str:task_id>/", login_required(get_progress)),
    path("bench/empty/<str:_task_id>/", login_required(empty)),
    path("", include("mainproj.urls")),
]
