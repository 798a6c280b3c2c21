"""The URLs of celery-progress, by its own names: `{% url "celery_progress:task_status" id %}`.

A project includes them where it had those of celery-progress:
`path("celery-progress/", include("monitor.celery_progress.urls"))`.
"""

from django.urls import re_path

from monitor.celery_progress import views

app_name = "celery_progress"

urlpatterns = [
    re_path(r"^(?P<task_id>[\w-]+)/$", views.TaskProgressView.as_view(), name="task_status"),
    re_path(r"^g/(?P<group_id>[\w-]+)/$", views.GroupProgressView.as_view(), name="group_status"),
]
