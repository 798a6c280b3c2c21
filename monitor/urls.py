"""Addresses: pages first, then the HTTP surface."""

from django.contrib.auth.views import LogoutView
from django.urls import path

from monitor import api, operate, pages

urlpatterns = [
    path("", pages.StartPage.as_view(), name="start"),
    path("start/<str:name>/", pages.WorkflowPage.as_view(), name="start-workflow"),
    path("runs/<uuid:run_id>/", pages.RunPage.as_view(), name="run"),
    path("runs/<uuid:run_id>/result/", pages.RunResult.as_view(), name="run-result"),
    path("runs/<uuid:run_id>/cancel/", pages.RunCancel.as_view(), name="run-cancel"),
    path("runs/<uuid:run_id>/retry/", pages.RunRetry.as_view(), name="run-retry"),
    path("login/", pages.LoginPage.as_view(), name="login"),
    path("login/link/", pages.LinkLoginPage.as_view(), name="login-link"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("workflows/", api.WorkflowListView.as_view(), name="workflow-list"),
    path("workflows/<str:name>/", api.WorkflowView.as_view(), name="workflow-start"),
    path("tasks/", api.TaskListView.as_view(), name="task-list"),
    path("tasks/<uuid:task_id>/", api.TaskView.as_view(), name="task-detail"),
    path("tasks/<uuid:task_id>/cancel/", api.TaskCancelView.as_view(), name="task-cancel"),
    path("tasks/<uuid:task_id>/retry/", api.TaskRetryView.as_view(), name="task-retry"),
    path("healthz", api.HealthView.as_view(), name="health"),
    path("readyz", operate.ReadyView.as_view(), name="ready"),
    path("metrics", operate.MetricsView.as_view(), name="metrics"),
]
