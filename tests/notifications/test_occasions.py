"""Which changes are told, in the transaction of the change, and what that costs."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection, transaction
from django.dispatch import Signal
from django.test.utils import CaptureQueriesContext

from children.meta import Meta
from parent import Email, RunData, Step, Webhook, Workflow
from parent import signals as ours
from parent.models import Delivery, NotificationRule, Run
from parent.runs.automatic_retry import RetryDecision
from parent.runs.cancel import cancel
from parent.runs.endings import end_attempt, end_run
from parent.runs.user_retry.retry import retry
from tests.flows import tasks
from tests.notifications.conftest import SECRET, end

pytestmark = pytest.mark.django_db

Told = Callable[..., Workflow]
EVERY = ("started", "succeeded", "failed", "recovered", "cancelled")


def told_of(run: Run) -> list[str]:
    return list(run.deliveries.order_by("created_at").values_list("occasion", flat=True))


@pytest.fixture
def every(told: Told) -> Workflow:
    return told(Email(on=EVERY, to="a@example.com"))


def test_a_start_and_an_end(every: Workflow) -> None:
    assert told_of(end(every.start())) == ["started", "succeeded"]


def test_a_cancel(every: Workflow) -> None:
    assert told_of(cancel(every.start().pk)) == ["started", "cancelled"]


def test_a_deadline(every: Workflow) -> None:
    run = every.start()
    end_run(run.pk, "too late")

    assert told_of(run) == ["started", "failed"]


def bad(run: RunData) -> dict[str, Any]:
    raise ValueError("bad inputs")


def test_an_end_at_the_start(told: Told) -> None:
    run = Workflow(
        "at once",
        steps=[Step(tasks.noop, inputs=bad)],
        notify=[Email(on=EVERY, to="a@example.com")],
    ).start()

    assert sorted(told_of(run)) == ["failed", "started"]
    assert len({row.body.split('"sequence": ')[1][0] for row in run.deliveries.all()}) == 2


def test_a_retry_that_succeeds_has_recovered(every: Workflow) -> None:
    run = end(every.start(), "Error in noop: bad")
    retry(run.pk)

    assert told_of(end(run)) == ["started", "failed", "recovered"]


def test_a_success_after_the_failure_of_another_run_has_recovered(
    every: Workflow, told: Told
) -> None:
    end(every.start(), "Error in noop: bad")
    other = told(Email(on=EVERY, to="a@example.com"), name="other")
    cancel(every.start().pk)

    assert told_of(end(other.start())) == ["started", "succeeded"]
    assert told_of(end(every.start())) == ["started", "recovered"]
    assert told_of(end(every.start())) == ["started", "succeeded"]


def test_a_cancelled_run_that_is_retried_has_not(every: Workflow) -> None:
    run = cancel(every.start().pk)
    retry(run.pk)

    assert told_of(end(run)) == ["started", "cancelled", "succeeded"]


def test_rows_are_rules_too_for_one_workflow_or_for_all(told: Told) -> None:
    for workflow, enabled in (("told", True), ("", True), ("other", True), ("told", False)):
        NotificationRule.objects.create(
            workflow=workflow,
            enabled=enabled,
            kind="email",
            on=["started", "failed"],
            to=["admins"],
        )
    runs = told().start_many([{}, {}])

    end(runs[0], "Error in noop: bad")
    end(runs[1])

    assert told_of(runs[0]) == ["started", "started", "failed", "failed"]
    assert told_of(runs[1]) == ["started", "started"]


def test_a_rolled_back_change_tells_nobody(every: Workflow) -> None:
    with transaction.atomic():
        every.start()
        transaction.set_rollback(True)

    assert not Delivery.objects.exists()


class Wrong:
    """A rule that nobody can use."""


def test_a_rule_that_cannot_be_used_keeps_no_run_from_ending(told: Told) -> None:
    row = {"kind": "webhook", "workflow": "told", "on": ["succeeded"]}
    NotificationRule.objects.create(**row, url="http://[")
    NotificationRule.objects.create(**row | {"on": 3}, url="https://a.example.com")
    run = told(Wrong(), Email(on="succeeded"), Webhook("http://[", secret=SECRET)).start()

    assert end(run).state == "SUCCESS"
    assert told_of(run) == ["succeeded"]


def test_a_run_without_a_rule_costs_no_statement(told: Told) -> None:
    plain = told(name="plain")
    NotificationRule.objects.create(workflow="other", kind="email", on=[*EVERY], to=["admins"])
    run: list[Run] = []

    with CaptureQueriesContext(connection) as captured:
        run.append(plain.start())
        end_attempt(str(run[0].steps.get().task_id), Meta().ok(1))

    texts = [query["sql"] for query in captured.captured_queries]
    ours = [text for text in texts if "parent_notificationrule" in text]
    # Asked with the INSERT of the run, and with the UPDATE that ends it.
    assert [text.split()[0] for text in ours] == ["INSERT", "UPDATE"]
    assert not any("parent_delivery" in text for text in texts)


class Faulty(BaseException):
    """No `Exception`: Django's signals pass it on."""


@pytest.fixture(
    params=[ValueError("a receiver's own fault"), Faulty("a receiver's own fault")],
    ids=["raises an error", "raises what is none"],
)
def heard(request: pytest.FixtureRequest) -> Iterator[list[tuple[str, str]]]:
    """What receivers of our signals have heard; one raises each time, and is called last."""
    heard: list[tuple[str, str]] = []
    names: dict[Signal, str] = {
        ours.run_started: "started", ours.run_ended: "ended", ours.step_failed: "step failed",
    }  # fmt: skip

    def raises(**_: Any) -> None:
        raise request.param

    def hears(signal: Signal, **about: Any) -> None:
        row = about.get("run") or about["step"]
        heard.append((names[signal], row.state))

    for signal in names:
        signal.connect(hears)
        signal.connect(raises)
    yield heard
    for signal in names:
        signal.disconnect(raises)
        signal.disconnect(hears)


@pytest.mark.django_db(transaction=True)
def test_signals_are_sent_after_the_commit_and_a_receiver_that_raises_harms_nothing(
    told: Told, heard: list[tuple[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    with transaction.atomic():
        run = told().start()
        assert heard == []
    assert heard == [("started", "PENDING")]
    with transaction.atomic():
        end(run, "Error in noop: bad")
        transaction.set_rollback(True)
    assert len(heard) == 1

    run = end(run, "Error in noop: bad")

    assert heard[1:] == [("step failed", "ERROR"), ("ended", "FAILURE")]
    assert run.state == "FAILURE"
    assert "a receiver's own fault" in caplog.text
    retry(run.pk)
    end(run)
    assert heard[3:] == [("ended", "SUCCESS")]


@pytest.mark.django_db(transaction=True)
def test_an_attempt_that_is_retried_is_no_failed_step(
    told: Told, heard: list[tuple[str, str]]
) -> None:
    run = Workflow("again", steps=[Step(tasks.noop, retries=1)]).start()
    step = run.steps.get()
    failed = Meta().failed("Error in noop: bad")
    end_attempt(str(step.task_id), failed, retry=RetryDecision())

    assert heard == [("started", "PENDING")]
    step.refresh_from_db()
    end_attempt(str(step.task_id), failed, retry=RetryDecision())
    assert heard[1:] == [("step failed", "ERROR"), ("ended", "FAILURE")]
