"""The URLs: first the pages, then the API.

A project includes them under any prefix: `path("flows/", include("monitor.urls"))`.
"""

from django.apps import apps
from django.urls import path, register_converter

from monitor.api import schedules as schedules_api
from monitor.api import schema_views as schema
from monitor.api import signal_views as signals
from monitor.api import views as api
from monitor.http.converters import TaskId
from monitor.http.namespace import APP_NAME
from monitor.ops import views as ops
from monitor.ops.workers_page import WorkersPage
from monitor.pages import approvals
from monitor.pages import log_views as log_pages
from monitor.pages import notification_views as notification_pages
from monitor.pages import run_views as run_pages
from monitor.pages import schedule_views as schedule_pages
from monitor.pages import views as pages
from monitor.pages.listing.bulk_views import BulkPage
from monitor.pages.listing.views import RunsPage
from monitor.pages.retrying.views import RunRetry
from monitor.pages.trends.views import TrendsPage
from monitor.probe_paths import HEALTH, METRICS, READY

# The names of converters are global to a project.
register_converter(TaskId, "workflow_id")

app_name = APP_NAME

urlpatterns = [
    path("", pages.StartPage.as_view(), name="start"),
    path("start/<str:name>/", pages.WorkflowPage.as_view(), name="start-workflow"),
    path("start/<str:name>/trends/", TrendsPage.as_view(), name="workflow-trends"),
    path("runs/", RunsPage.as_view(), name="runs"),
    path("runs/bulk/", BulkPage.as_view(), name="runs-bulk"),
    path("runs/<workflow_id:run_id>/", run_pages.RunPage.as_view(), name="run"),
    path("runs/<workflow_id:run_id>/result.json", run_pages.RunResult.as_view(), name="run-result"),
    path(
        "runs/<workflow_id:run_id>/files/<int:number>/",
        run_pages.RunFile.as_view(),
        name="run-file",
    ),
    path("runs/<workflow_id:run_id>/log/", log_pages.LogPage.as_view(), name="run-log"),
    path("runs/<workflow_id:run_id>/log.txt", log_pages.LogText.as_view(), name="run-log-text"),
    path("runs/<workflow_id:run_id>/cancel/", run_pages.RunCancel.as_view(), name="run-cancel"),
    path("runs/<workflow_id:run_id>/retry/", RunRetry.as_view(), name="run-retry"),
    path(
        "runs/<workflow_id:run_id>/steps/<str:name>/failed/",
        pages.FailedItemsPage.as_view(),
        name="run-items",
    ),
    path(
        "runs/<workflow_id:run_id>/steps/<str:name>/items/",
        pages.AllItemsPage.as_view(),
        name="run-all-items",
    ),
    path("runs/<workflow_id:run_id>/delete/", run_pages.RunDelete.as_view(), name="run-delete"),
    path("timetable/", schedule_pages.SchedulesPage.as_view(), name="timetable"),
    path("timetable/<int:pk>/", schedule_pages.SchedulePage.as_view(), name="timetable-entry"),
    path(
        "timetable/<int:pk>/<str:action>/",
        schedule_pages.ScheduleAction.as_view(),
        name="timetable-action",
    ),
    path("workers/", WorkersPage.as_view(), name="workers"),
    path("notifications/", notification_pages.NotificationsPage.as_view(), name="notifications"),
    path(
        "notifications/rules/new/",
        notification_pages.RulePage.as_view(),
        name="notification-rule-new",
    ),
    path(
        "notifications/rules/<int:number>/",
        notification_pages.RulePage.as_view(),
        name="notification-rule",
    ),
    path(
        "runs/<workflow_id:run_id>/decide/<str:name>/",
        approvals.DecidePage.as_view(),
        name="run-decide",
    ),
    path(
        "runs/<workflow_id:run_id>/signals/<str:name>/close/",
        approvals.CloseSignalPage.as_view(),
        name="signal-close",
    ),
    path("waiting/", approvals.WaitingPage.as_view(), name="waiting"),
    path("decide/<str:token>/", approvals.DecideByLink.as_view(), name="decide"),
    path("workflows/", api.WorkflowListView.as_view(), name="workflow-list"),
    path("workflows/<str:name>/", api.WorkflowView.as_view(), name="workflow-start"),
    path("tasks/", api.TaskListView.as_view(), name="task-list"),
    path("tasks/<workflow_id:task_id>/", api.TaskView.as_view(), name="task-detail"),
    path("tasks/<workflow_id:task_id>/result/", api.TaskResultView.as_view(), name="task-result"),
    path("tasks/<workflow_id:task_id>/log/", api.TaskLogView.as_view(), name="task-log"),
    path("tasks/<workflow_id:task_id>/cancel/", api.TaskCancelView.as_view(), name="task-cancel"),
    path("tasks/<workflow_id:task_id>/retry/", api.TaskRetryView.as_view(), name="task-retry"),
    path(
        "tasks/<workflow_id:task_id>/steps/<str:name>/items/",
        api.ItemListView.as_view(),
        name="task-items",
    ),
    path("schedules/", schedules_api.ScheduleListView.as_view(), name="schedule-list"),
    path("schedules/<int:pk>/", schedules_api.ScheduleView.as_view(), name="schedule-detail"),
    path(
        "schedules/<int:pk>/pause/",
        schedules_api.SchedulePauseView.as_view(),
        name="schedule-pause",
    ),
    path(
        "schedules/<int:pk>/resume/",
        schedules_api.ScheduleResumeView.as_view(),
        name="schedule-resume",
    ),
    path(
        "schedules/<int:pk>/reset/",
        schedules_api.ScheduleResetView.as_view(),
        name="schedule-reset",
    ),
    path("schedules/<int:pk>/run/", schedules_api.ScheduleRunView.as_view(), name="schedule-run"),
    path(
        "tasks/<workflow_id:task_id>/signals/<str:name>/",
        signals.SignalView.as_view(),
        name="task-signal",
    ),
    path(
        "tasks/<workflow_id:task_id>/signals/<str:name>/close/",
        signals.SignalCloseView.as_view(),
        name="task-signal-close",
    ),
    path("schema/", schema.SchemaView.as_view(), name="schema"),
    path(HEALTH, ops.HealthView.as_view(), name="health"),
    path(READY, ops.ReadyView.as_view(), name="ready"),
    path(METRICS, ops.MetricsView.as_view(), name="metrics"),
]
# Its template and scripts are those of these two apps.
if apps.is_installed("drf_spectacular") and apps.is_installed("drf_spectacular_sidecar"):
    urlpatterns.append(path("docs/", schema.DocsPage.as_view(), name="docs"))
