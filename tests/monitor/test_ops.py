"""/metrics and /readyz: access and responses."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from celery import current_app
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as families
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from monitor.ops import views
from parent.models import Event, Executor, Run, Step, StepState, Tally, WatchLease
from parent.store import clock, leases
from parent.telemetry import totals
from parent.telemetry.metrics import metrics
from tests.flows import workflows

pytestmark = pytest.mark.django_db

TOKEN = "a-token-of-16-letters"
AGO = timedelta(seconds=30)
ORDER = ("workflow", "step", "queue", "state", "le")


@pytest.fixture(autouse=True)
def _token(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settings.METRICS_TOKEN = TOKEN
    monkeypatch.setattr(views.Readiness, "LASTS", 0.0)
    yield
    metrics.take()


def ask(path: str, token: str | None = TOKEN, **headers: str) -> Any:
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return Client(raise_request_exception=False).get(path, headers=headers)


def samples() -> dict[Any, float]:
    """Each sample of /metrics by its name and the values of its labels, in that order."""
    answer = ask("/metrics")
    assert answer.status_code == 200
    return {
        (
            sample.name,
            *(sample.labels[name] for name in ORDER if name in sample.labels),
        ): sample.value
        for family in families(answer.text)
        for sample in family.samples
    }


def finish(run: Run, *, waited: float, took: float) -> None:
    """Its steps and the run end 30 s ago; each step waited and took so many seconds."""
    times = {
        "queued_at": clock.now() - AGO - timedelta(seconds=waited + took),
        "started_at": clock.now() - AGO - timedelta(seconds=took),
        "finished_at": clock.now() - AGO,
    }
    run.steps.update(state=StepState.OK, due_at=None, **times)
    Run.objects.filter(pk=run.pk).update(
        state="SUCCESS", finished_at=clock.now() - AGO, due_at=None
    )


@pytest.fixture
def counted() -> None:
    """The watch did its first count a minute ago."""
    Tally.objects.create(counted_until=clock.now() - 2 * AGO)


def test_metrics_are_closed_to_strangers_and_users_and_open_to_staff(
    owner: User, staff: User, api: Callable[[User | None], APIClient]
) -> None:
    assert ask("/metrics", None).status_code == 401
    assert ask("/metrics", "another-token-of-16").status_code == 401
    assert api(owner).get("/metrics").status_code == 403
    assert api(staff).get("/metrics").status_code == 200
    token = Token.objects.create(user=staff)
    by_token = Client().get("/metrics", headers={"Authorization": f"Token {token}"})
    assert by_token.status_code == 200


def test_without_a_token_in_the_settings_none_opens_them(settings: LazySettings) -> None:
    settings.METRICS_TOKEN = ""

    assert ask("/metrics", "").status_code == 401


def test_the_format_is_that_which_the_scraper_asks_for() -> None:
    answer = ask("/metrics", Accept="application/openmetrics-text; version=1.0.0")

    assert answer["Content-Type"].startswith("application/openmetrics-text")
    assert "workflow_tick_seconds" in {family.name for family in open_metrics(answer.text)}  # type: ignore[no-untyped-call]


def test_runs_steps_and_queues_as_they_are_now(broker: str) -> None:
    for _ in range(2):
        workflows.noops.start()
    gone = workflows.nobody.start()
    Step.objects.filter(run=gone).update(queued_at=clock.now() - timedelta(seconds=90))

    found = samples()

    assert found["workflow_runs", "noops", "PENDING"] == 2
    assert found["workflow_steps", "celery", "QUEUED"] == 2
    assert found["workflow_steps", "nobody-consumes-this", "QUEUED"] == 1
    assert found["workflow_queue_oldest_seconds", "nobody-consumes-this"] == pytest.approx(
        90, abs=9
    )


def test_live_executors_by_queue_and_the_age_of_the_watch() -> None:
    for queues in (["celery"], ["celery", "gpu"]):
        leases.renew_heartbeat(uuid4(), queues)
    dead = Executor.objects.create(host="gone", pid=1, queues=["gpu"])
    Executor.objects.filter(pk=dead.pk).update(heartbeat_at=clock.now() - timedelta(hours=1))
    WatchLease.objects.create(expires_at=clock.now() + leases.WATCH_LEASE - timedelta(seconds=40))

    found = samples()

    assert found["workflow_executors",] == 2
    assert found["workflow_queue_executors", "celery"] == 2
    assert found["workflow_queue_executors", "gpu"] == 1
    assert found["workflow_watch_age_seconds",] == pytest.approx(40, abs=9)


def test_what_ended_is_counted_once_with_its_times(counted: None, broker: str) -> None:
    finish(workflows.noops.start(), waited=3, took=7)
    Run.objects.update(created_at=clock.now() - AGO)

    totals.flush_metrics(ended=True)
    totals.flush_metrics(ended=True)

    found = samples()
    assert found["workflow_runs_started_total", "noops"] == 1
    assert found["workflow_runs_ended_total", "noops", "SUCCESS"] == 1
    assert found["workflow_step_seconds_count", "noops", "first", "OK"] == 1
    assert found["workflow_step_seconds_sum", "noops", "first", "OK"] == pytest.approx(7, abs=0.1)
    assert found["workflow_step_seconds_bucket", "noops", "first", "OK", "5.0"] == 0
    assert found["workflow_step_seconds_bucket", "noops", "first", "OK", "10.0"] == 1
    assert found["workflow_step_queue_seconds_sum", "noops", "first"] == pytest.approx(3, abs=0.1)
    assert ("workflow_runs", "noops", "SUCCESS") not in found


def test_a_retry_does_not_count_the_steps_that_it_kept_again(counted: None, broker: str) -> None:
    run = workflows.noops.start()
    finish(run, waited=1, took=1)
    run.steps.filter(name="first").update(finished_at=clock.now() - 1.5 * AGO)
    Event.objects.create(run=run, what="retry", at=clock.now() - 1.2 * AGO)

    totals.flush_metrics(ended=True)

    found = samples()
    assert ("workflow_step_seconds_count", "noops", "first", "OK") not in found
    assert found["workflow_step_seconds_count", "noops", "second", "OK"] == 1


def test_history_before_the_first_count_is_not_counted(broker: str) -> None:
    finish(workflows.noops.start(), waited=1, took=1)

    totals.flush_metrics(ended=True)

    assert ("workflow_runs_ended_total", "noops", "SUCCESS") not in samples()


def test_figures_of_all_workers_add_up(counted: None) -> None:
    for _ in range(2):
        metrics.count("workflow_leases_lost", by=3)
        metrics.observe("workflow_tick_seconds", 0.02)
        totals.flush_metrics(ended=False)

    found = samples()
    assert found["workflow_leases_lost_total",] == 6
    assert found["workflow_tick_seconds_bucket", "0.025"] == 2
    assert found["workflow_tick_seconds_bucket", "0.01"] == 0


def test_figures_of_another_release_are_left_out(counted: None) -> None:
    Tally.objects.update(
        figures={"long_gone": {"[]": [1]}, "workflow_tick_seconds": {"[]": [1, 2]}}
    )

    totals.flush_metrics(ended=True)

    assert ask("/metrics").status_code == 200
    assert "long_gone" not in Tally.objects.get().figures


def test_figures_that_could_not_be_written_are_kept(
    counted: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics.count("workflow_leases_lost")
    with monkeypatch.context() as patched:
        patched.setattr(Tally, "save", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            totals.flush_metrics(ended=False)

    totals.flush_metrics(ended=False)

    assert samples()["workflow_leases_lost_total",] == 1


def test_a_scrape_costs_the_same_for_one_run_and_for_many(
    counted: None, broker: str, settings: LazySettings
) -> None:
    settings.WORKFLOW_LIMITS = {}

    def statements() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            samples()
        return len(captured)

    workflows.noops.start()
    one = statements()
    for _ in range(20):
        workflows.noops.start()

    assert statements() == one <= 9


def test_an_anonymous_caller_sees_no_details() -> None:
    assert ask("/readyz", None).status_code == 401


def test_a_healthy_service_reports_ok(broker: str) -> None:
    leases.renew_heartbeat(uuid4(), ["celery"])

    answer = ask("/readyz")

    assert answer.status_code == 200
    checks = {"database": "ok", "broker": "ok", "workers": "ok"}
    assert answer.json() == {"status": "ready", "checks": checks}


def test_an_unhealthy_service_names_the_problem(
    staff: User, api: Callable[[User | None], APIClient]
) -> None:
    assert current_app.conf.broker_url  # where nobody listens: see `_no_broker`

    for answer in (ask("/readyz"), api(staff).get("/readyz")):
        assert (answer.status_code, answer["Content-Type"]) == (503, "application/problem+json")
        checks = answer.json()["checks"]
        assert checks["broker"] in answer.json()["detail"]
        assert checks["database"] == "ok"
        assert checks["broker"].startswith("the broker does not answer (")
        assert checks["workers"].startswith(
            "no worker has given a sign of life for 30 s. Start one"
        )


def test_a_wrong_token_is_refused() -> None:
    assert ask("/readyz", "another-token-of-16").status_code == 401


def test_an_unreachable_database_is_reported(broker: str) -> None:
    with connection.execute_wrapper(_away):
        answer = ask("/readyz")
        assert ask("/metrics").status_code == 503

    assert answer.status_code == 503
    checks = answer.json()["checks"]
    assert checks["database"].startswith("the database does not answer (it is gone)")
    assert checks["workers"] == "nobody knows whether a worker is alive (it is gone). See above."
    assert checks["broker"] == "ok"


def _away(*_: Any) -> None:
    from django.db import OperationalError

    raise OperationalError("it is gone\nand more")
