"""The admin: the pages that staff see, and deleting an ended run."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_celery_results.models import TaskResult

from parent import Step as StepDefinition
from parent import Workflow
from parent.messages.publish import publishing_off
from parent.models import Attempt, Event, Executor, LimitSize, Run, RunState, Step, StepState
from parent.runs.cancel import cancel
from parent.runs.user_retry.retry import retry
from tests.flows import tasks, workflows

RUNS = reverse("admin:parent_run_changelist")
STEPS = reverse("admin:parent_step_changelist")
EXECUTORS = reverse("admin:parent_executor_changelist")


@pytest.fixture
def owner(db: None) -> User:
    return User.objects.create_user("ann", password="a long pass phrase")


@pytest.fixture
def staff(client: Client, db: None) -> Client:
    client.force_login(User.objects.create_superuser("eve"))
    return client


def running(owner: User | None = None) -> Run:
    """A run whose first step is at 40 %, on an executor that is alive."""
    run = workflows.noops.start(owner=owner)
    Run.objects.filter(pk=run.pk).update(state=RunState.PROGRESS, completion=13.3)
    Step.objects.filter(run=run, name="first").update(
        state=StepState.RUNNING,
        completion=40.0,
        message="<b>half way</b>",
        task_id=str(uuid4()),
        executor=Executor.objects.create(host="here", pid=7, queues=["celery"]),
    )
    return Run.objects.get(pk=run.pk)


def failed() -> Run:
    """A failed run with a file, and with a child's result that was not deleted yet."""
    run = running()
    first = run.steps.get(name="first")
    TaskResult.objects.create(task_id=str(first.task_id), status="FAILURE")
    name = default_storage.save(f"runs/{run.pk}/given.txt", ContentFile(b"given"))
    run.steps.update(state=StepState.ERROR)
    Run.objects.filter(pk=run.pk).update(
        state=RunState.FAILURE, finished_at=timezone.now(), error="it is broken", files=[name]
    )
    return Run.objects.get(pk=run.pk)


def page_of(row: Run | Step | Executor, action: str = "change") -> str:
    return reverse(f"admin:parent_{row._meta.model_name}_{action}", args=[row.pk])


def text(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200
    return answer.content.decode()


def listed(client: Client, url: str) -> set[Any]:
    """The keys of the rows that a list shows."""
    answer = client.get(url)
    assert answer.status_code == 200
    return {row.pk for row in answer.context["cl"].result_list}


def test_the_lists_show_how_far_each_row_is(staff: Client) -> None:
    run = running()

    assert '<progress value="13.3" max="100"></progress> 13.3 %' in text(staff, RUNS)
    steps = text(staff, STEPS)
    assert '<progress value="40.0" max="100"></progress> 40.0 %' in steps
    assert "&lt;b&gt;half way&lt;/b&gt;" in steps
    assert str(run) in steps
    assert "here:7" in text(staff, EXECUTORS)


def test_a_runs_page_has_its_steps_and_nothing_to_change(staff: Client) -> None:
    run = running()

    page = text(staff, page_of(run))

    assert [step.name for step in run.steps.all() if f">{step.name}<" in page] == [
        "first",
        "second",
        "third",
    ]
    assert 'name="_save"' not in page
    assert 'name="workflow"' not in page


def test_a_runs_page_says_who_did_what(staff: Client) -> None:
    run = workflows.noops.start()
    cancel(run.pk, who="<b>ann</b>")
    retry(run.pk, inputs={"limit": 5}, step="first", who="bob")

    page = text(staff, page_of(run))

    assert "&lt;b&gt;ann&lt;/b&gt;" in page
    assert ">bob<" in page
    assert "&quot;limit&quot;: 5" in page


def test_a_steps_page_has_its_earlier_attempts(staff: Client) -> None:
    step = running().steps.get(name="first")
    Attempt.objects.create(
        step=step, number=1, task_id=str(uuid4()), worker="there:8", error="<i>lost</i>"
    )

    page = text(staff, page_of(step))

    assert "there:8" in page
    assert "&lt;i&gt;lost&lt;/i&gt;" in page


def test_a_run_is_deleted_with_its_history(staff: Client) -> None:
    run = workflows.noops.start()
    cancel(run.pk)
    retry(run.pk)
    cancel(run.pk)

    staff.post(page_of(run, "delete"), {"post": "yes"})

    assert not Run.objects.exists()
    assert not Event.objects.exists()
    assert not Attempt.objects.exists()


def test_a_steps_and_an_executors_page(staff: Client) -> None:
    step = running().steps.get(name="first")
    assert step.executor is not None

    assert "here:7" in text(staff, page_of(step))
    assert "here" in text(staff, page_of(step.executor))


@pytest.mark.parametrize("url", [RUNS, STEPS, EXECUTORS])
def test_nothing_is_added_here(staff: Client, url: str) -> None:
    assert staff.get(f"{url}add/").status_code == 403
    assert f'href="{url}add/"' not in text(staff, url)


@pytest.mark.parametrize("name", ["first", "executor"])
def test_steps_and_executors_are_not_deleted_here(staff: Client, name: str) -> None:
    step = running().steps.get(name="first")
    row = step if name == "first" else step.executor
    assert row is not None

    assert staff.post(page_of(row, "delete"), {"post": "yes"}).status_code == 403


def test_a_post_changes_nothing(staff: Client) -> None:
    run = running()

    assert staff.post(page_of(run), {"state": "SUCCESS"}).status_code == 403
    assert Run.objects.get(pk=run.pk).state == RunState.PROGRESS


def test_runs_by_state_workflow_and_time(staff: Client) -> None:
    old = failed()
    Run.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=30))
    new = running()
    other = workflows.sums.start(a=1)

    assert listed(staff, f"{RUNS}?state__exact=FAILURE") == {old.pk}
    assert listed(staff, f"{RUNS}?workflow=sums") == {other.pk}
    since = (timezone.now() - timedelta(days=7)).isoformat().replace("+", "%2B")
    assert listed(staff, f"{RUNS}?created_at__gte={since}") == {new.pk, other.pk}


def test_a_run_is_found_by_its_id_by_a_childs_and_by_its_owner(staff: Client, owner: User) -> None:
    run, _other = running(owner), running()
    child = run.steps.get(name="first").task_id

    for words in (str(run.pk), run.pk.hex, str(child), f" {run.pk} ", "ann"):
        assert listed(staff, f"{RUNS}?q={words}") == {run.pk}, words
    assert listed(staff, f"{RUNS}?q=nobody") == set()


def test_a_list_takes_the_same_few_statements_for_many_rows(staff: Client, owner: User) -> None:
    def statements(url: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            text(staff, url)
        return len(queries)

    running(owner)
    few = [statements(url) for url in (RUNS, STEPS, EXECUTORS)]
    for _ in range(5):
        running(owner)

    assert [statements(url) for url in (RUNS, STEPS, EXECUTORS)] == few


@pytest.mark.parametrize("way", ["its page", "the list"])
def test_an_ended_run_is_deleted_with_all_that_is_its_own(
    staff: Client, media: Path, way: str, django_capture_on_commit_callbacks: Any
) -> None:
    run = failed()
    assert TaskResult.objects.count() == 2
    assert default_storage.exists(run.files[0])

    with django_capture_on_commit_callbacks(execute=True):
        page = delete(staff, run, way).content.decode()

    assert "Successfully deleted 1 run" in page or "was deleted successfully" in page
    assert not Run.objects.exists()
    assert not Step.objects.exists()
    assert not TaskResult.objects.exists()
    assert not default_storage.exists(run.files[0])


@pytest.mark.parametrize("way", ["its page", "the list"])
def test_a_running_run_is_not_deleted_and_the_page_says_why(staff: Client, way: str) -> None:
    run = running()

    answer = delete(staff, run, way)

    assert f"{run}, which is PROGRESS: wait for its end" in answer.content.decode()
    assert run.steps.count() == 3
    assert TaskResult.objects.filter(task_id=str(run.pk)).exists()


def delete(client: Client, run: Run, way: str) -> Any:
    """Delete a run and confirm it; returns the answer."""
    if way == "its page":
        return client.post(page_of(run, "delete"), {"post": "yes"}, follow=True)
    chosen = {"action": "delete_selected", "_selected_action": str(run.pk), "post": "yes"}
    return client.post(RUNS, chosen, follow=True)


def test_a_plain_user_is_kept_out(client: Client, owner: User) -> None:
    run = running(owner)
    client.force_login(owner)

    for url in (RUNS, STEPS, EXECUTORS, page_of(run), page_of(run, "delete")):
        answer = client.get(url)
        assert answer.status_code == 302
        assert answer["Location"].startswith(reverse("admin:login"))


def test_staff_without_permissions_see_no_runs(client: Client, db: None) -> None:
    run = failed()
    client.force_login(User.objects.create_user("bob", is_staff=True))

    assert client.get(RUNS).status_code == 403
    assert client.post(page_of(run, "delete"), {"post": "yes"}).status_code == 403
    assert Run.objects.filter(pk=run.pk).exists()


class TestSizesOfLimits:
    """Staff set a size in place of the setting's, until they delete it."""

    ADD = reverse("admin:parent_limitsize_add")
    LIST = reverse("admin:parent_limitsize_changelist")

    @pytest.fixture(autouse=True)
    def _sizes(self, settings: LazySettings) -> None:
        settings.WORKFLOW_LIMITS = {"gpu": 0}

    @pytest.fixture
    def waits(self, request: pytest.FixtureRequest) -> Run:
        request.getfixturevalue("own_registry")
        return Workflow("limited", steps=[StepDefinition(tasks.noop, limits=["gpu"])]).start()

    def test_a_larger_one_lets_the_next_begin(
        self,
        staff: Client,
        waits: Run,
        django_capture_on_commit_callbacks: Any,
    ) -> None:
        with django_capture_on_commit_callbacks(execute=True), publishing_off():
            answer = staff.post(self.ADD, {"name": "gpu", "size": "1"})
        assert answer.status_code == 302
        row = LimitSize.objects.get()
        assert (row.name, row.size, row.edited_by) == ("gpu", "1", "eve")
        assert not waits.steps.get().is_in_line
        page = staff.get(self.LIST).content.decode()
        assert "1 of 1 in use" in page

        change = reverse("admin:parent_limitsize_change", args=[row.pk])
        staff.post(change, {"size": "5/m"})
        row.refresh_from_db()
        assert (row.name, row.size) == ("gpu", "5/m")
        staff.post(reverse("admin:parent_limitsize_delete", args=[row.pk]), {"post": "yes"})
        assert not LimitSize.objects.exists()

    @pytest.mark.parametrize(
        ("given", "problem"),
        [
            ({"name": "gpu", "size": "two"}, "is not a size of a limit from 0 to 10,000"),
            ({"name": "gpu", "size": "0/m"}, "is not a rate from 1 to 10,000"),
            ({"name": "gpus", "size": "1"}, "gpus is not one of the available choices"),
            ({"name": "gpu", "size": ""}, "This field is required"),
        ],
    )
    def test_what_cannot_be_is_not_stored(
        self, staff: Client, given: dict[str, str], problem: str
    ) -> None:
        assert problem in staff.post(self.ADD, given).content.decode()
        assert not LimitSize.objects.exists()

    def test_the_line_is_shown(self, staff: Client, waits: Run) -> None:
        page = staff.get(reverse("admin:parent_place_changelist")).content.decode()
        assert str(waits.pk) in page
