"""The URLs: first the pages, then the API."""

from django.contrib.auth.views import LogoutView
from django.urls import path, register_converter

from monitor.api import schema_views as schema
from monitor.api import views as api
from monitor.http.converters import TaskId
from monitor.ops import views as ops
from monitor.pages import run_views as run_pages
from monitor.pages import views as pages
from monitor.probe_paths import HEALTH, METRICS, READY

register_converter(TaskId, "id")

urlpatterns = [
    path("", pages.StartPage.as_view(), name="start"),
    path("start/<str:name>/", pages.WorkflowPage.as_view(), name="start-workflow"),
    path("runs/", run_pages.RunsPage.as_view(), name="runs"),
    path("runs/<id:run_id>/", run_pages.RunPage.as_view(), name="run"),
    path("runs/<id:run_id>/result.json", run_pages.RunResult.as_view(), name="run-result"),
    path("runs/<id:run_id>/cancel/", run_pages.RunCancel.as_view(), name="run-cancel"),
    path("runs/<id:run_id>/retry/", run_pages.RunRetry.as_view(), name="run-retry"),
    path("runs/<id:run_id>/delete/", run_pages.RunDelete.as_view(), name="run-delete"),
    path("login/", pages.LoginPage.as_view(), name="login"),
    path("login/link/", pages.LinkLoginPage.as_view(), name="login-link"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("workflows/", api.WorkflowListView.as_view(), name="workflow-list"),
    path("workflows/<str:name>/", api.WorkflowView.as_view(), name="workflow-start"),
    path("tasks/", api.TaskListView.as_view(), name="task-list"),
    path("tasks/<id:task_id>/", api.TaskView.as_view(), name="task-detail"),
    path("tasks/<id:task_id>/result/", api.TaskResultView.as_view(), name="task-result"),
    path("tasks/<id:task_id>/cancel/", api.TaskCancelView.as_view(), name="task-cancel"),
    path("tasks/<id:task_id>/retry/", api.TaskRetryView.as_view(), name="task-retry"),
    path("schema/", schema.SchemaView.as_view(), name="schema"),
    path("docs/", schema.DocsPage.as_view(), name="docs"),
    path(HEALTH, ops.HealthView.as_view(), name="health"),
    path(READY, ops.ReadyView.as_view(), name="ready"),
    path(METRICS, ops.MetricsView.as_view(), name="metrics"),
]
