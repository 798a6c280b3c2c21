"""The routine example: class-based, exclusive tasks, whose schedules staff may edit."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from examples.routine.checks import check_routine
from examples.routine.setting import DEFAULT, TASKS, when
from examples.routine.tasks import ClearSessions, RoutineTask
from examples.routine.workflows import routine, workflows
from parent.errors import AlreadyRunning
from parent.inline import run_inline
from parent.models import Run, Schedule
from parent.schedules.control import reset
from parent.schedules.sync import sync
from parent.schedules.ticks import fire_due

pytestmark = pytest.mark.django_db

Scheduled = Callable[..., None]


@pytest.fixture
def scheduled(own_registry: None, settings: Any) -> Scheduled:
    """Start the project anew with this setting, as a worker does."""

    def restart(**options: Any) -> None:
        from parent.definition.workflow import registry

        registry._workflows.clear()
        settings.ROUTINE = {"clear_sessions": options}
        routine("clear_sessions", TASKS["clear_sessions"], when("clear_sessions"))
        sync()

    return restart


def row() -> Schedule:
    return Schedule.objects.get(workflow="clear_sessions")


def test_it_deletes_the_expired_sessions_only() -> None:
    now = timezone.now()
    for number in range(3):
        Session.objects.create(session_key=f"old{number}", expire_date=now - timedelta(days=1))
    Session.objects.create(session_key="new", expire_date=now + timedelta(days=1))

    run = run_inline(workflows["clear_sessions"])

    assert run.error is None
    assert run.result["deleted"] == 3
    assert run.result["seconds"] >= 0
    assert list(Session.objects.values_list("session_key", flat=True)) == ["new"]


def test_a_second_start_says_that_it_runs_already() -> None:
    first = workflows["clear_sessions"].start()

    with pytest.raises(AlreadyRunning) as refused:
        workflows["clear_sessions"].start()

    assert refused.value.run.pk == first.pk
    assert Run.objects.count() == 1


def test_over_http_too() -> None:
    client = APIClient()
    client.force_authenticate(User.objects.create_superuser("eve"))
    first = client.post("/workflows/clear_sessions/")

    second = client.post("/workflows/clear_sessions/")

    assert (first.status_code, second.status_code) == (202, 200)
    assert second.headers["Workflow-Start"] == "skipped"
    assert second.json()["run_id"] == first.json()["run_id"]


def test_the_default_is_once_a_night(settings: Any, scheduled: Scheduled) -> None:
    del settings.ROUTINE
    assert when("clear_sessions") == DEFAULT["clear_sessions"]
    scheduled(**DEFAULT["clear_sessions"] or {})
    assert (row().cron, row().overlap) == ("30 3 * * *", "skip")


def test_what_staff_edit_in_the_admin_survives_a_restart(
    scheduled: Scheduled, client: Client
) -> None:
    scheduled(cron="30 3 * * *", timezone="Europe/Rome")
    client.force_login(User.objects.create_superuser("eve"))
    page = reverse("admin:parent_schedule_change", args=[row().pk])
    inline = {f"firings-{name}_FORMS": "0" for name in ("TOTAL", "INITIAL", "MIN_NUM", "MAX_NUM")}
    edited = {
        **{"cron": "15 4 * * *", "every": "", "timezone": "Europe/Rome", "params": "{}"},
        **{"overlap": "skip", "catch_up": "none", "window": "86400", "jitter": "0"},
        **inline,
    }
    assert client.post(page, edited).status_code == 302

    scheduled(cron="30 3 * * *", timezone="Asia/Tokyo")

    assert (row().cron, row().timezone) == ("15 4 * * *", "Asia/Tokyo")
    reset(row().pk, who="eve")
    assert row().cron == "30 3 * * *"


def test_it_comes_at_its_time(scheduled: Scheduled) -> None:
    scheduled(cron="30 3 * * *")
    just_now = timezone.now() - timedelta(seconds=1)
    Schedule.objects.update(next_at=just_now, due_at=just_now)

    fire_due()

    assert Run.objects.get().workflow == "clear_sessions"


BAD: list[tuple[Any, str, str]] = [
    ([], "not a dict", "Write ROUTINE ="),
    ({"clear_session": {}}, "no routine task 'clear_session'", "There are: clear_sessions"),
    ({"clear_sessions": "daily"}, "neither a dict nor None", "Write ROUTINE ="),
    ({"clear_sessions": {"crontab": "0 * * * *"}}, "'crontab', which no", "It takes: catch_up"),
]


@pytest.mark.parametrize(("found", "says", "hint"), BAD)
def test_a_setting_that_cannot_be_is_found_and_schedules_nothing(
    settings: Any, found: Any, says: str, hint: str
) -> None:
    settings.ROUTINE = found

    (problem,) = check_routine(None)

    assert says in problem.msg
    assert hint in str(problem.hint)
    assert when("clear_sessions") is None


@pytest.mark.parametrize("found", [{}, {"clear_sessions": None}, DEFAULT])
def test_a_good_setting_is_left_alone(settings: Any, found: Any) -> None:
    settings.ROUTINE = found

    assert check_routine(None) == []


def test_a_class_without_work_says_so() -> None:
    class Idle(RoutineTask):
        name = "routine.idle"

    with pytest.raises(NotImplementedError, match=r"routine\.idle has no `work`"):
        Idle().work(None)  # type: ignore[arg-type]
    assert issubclass(type(ClearSessions), RoutineTask)
