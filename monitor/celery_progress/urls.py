"""The URLs of celery-progress, by its own names: `{% url "celery_progress:task_status" id %}`.

A project includes them where it had those of celery-progress:
`path("celery-progress/", include("monitor.celery_progress.urls"))`.
"""

from django.urls import path

from monitor.celery_progress import views

app_name = "celery_progress"

urlpatterns = [
    path("<slug:task_id>/", views.TaskProgressView.as_view(), name="task_status"),
    path("g/<slug:group_id>/", views.GroupProgressView.as_view(), name="group_status"),
]
