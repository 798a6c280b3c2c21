"""Given a large result, the engine reads it only for steps whose inputs use it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from children.meta import Meta
from children.sanitize import MAX_TRACEBACK
from parent.definition.workflow import RunData, Step, Workflow, registry
from parent.deletion.delete import delete_run
from parent.models import Executor, Run
from parent.runs.author_data import Results, StoredResults
from parent.runs.cancel import cancel
from parent.runs.start import start
from parent.runs.user_retry.retry import retry
from parent.store import leases
from parent.store.run_rows import steps_of
from parent.watch.tick import Ticker
from tests.flows import tasks
from tests.monitor.runs import claimed, fail, finish, result_of, step

pytestmark = pytest.mark.django_db

LARGE = ["large"] * 1_000
LIMIT = 1_000


@pytest.fixture(autouse=True)
def limit(settings: Any) -> None:
    settings.WORKFLOW_RESULT_INLINE_LIMIT = LIMIT


@pytest.fixture
def flow() -> Any:
    """Start a run with one step for each of these `inputs` functions."""

    def start_one(*inputs: Callable[[RunData], Any], result: Any = None) -> Run:
        steps = [Step(tasks.noop, name="one")]
        steps += [Step(tasks.noop, name=f"step {i}", inputs=each) for i, each in enumerate(inputs)]
        return start(Workflow("large", steps=steps, result=result), {})

    yield start_one
    registry._workflows.pop("large", None)


def read(queries: CaptureQueriesContext) -> list[str]:
    """The statements that read one deferred result."""
    found = [each["sql"] for each in queries if '"result" FROM' in each["sql"]]
    return [sql for sql in found if not sql.startswith("UPDATE")]


def nothing(_: RunData) -> dict[str, Any]:
    return {}


def test_opening_a_step_reads_no_large_result_that_its_inputs_do_not_use(flow: Any) -> None:
    run = flow(nothing, nothing, nothing)
    with CaptureQueriesContext(connection) as queries:
        finish(run, "one", LARGE)
        finish(run, "step 0")
        finish(run, "step 1", LARGE)
        finish(run, "step 2", 7)

    run.refresh_from_db()
    assert (run.state, run.result) == ("SUCCESS", 7)
    assert read(queries) == []


def test_inputs_that_use_a_large_result_get_it(flow: Any) -> None:
    made: list[Any] = []

    def later(run: RunData) -> dict[str, Any]:
        made.append(run.results["one"])
        return {}

    run = flow(nothing, later)
    finish(run, "one", LARGE)
    with CaptureQueriesContext(connection) as queries:
        finish(run, "step 0", "small")

    assert made == [LARGE]
    assert len(read(queries)) == 1


def test_a_run_may_end_with_what_a_step_before_gave(flow: Any) -> None:
    run = flow(nothing, result=lambda run: {"all": run.results, "first": run.results["one"]})
    finish(run, "one", LARGE)
    finish(run, "step 0", 2)

    run.refresh_from_db()
    whole = {"all": {"one": LARGE, "step 0": 2}, "first": LARGE}
    assert run.result == whole
    assert run.result_size == len(json.dumps(whole))
    assert result_of(run.pk).get() == whole


WAYS: dict[str, Callable[[Any], Any]] = {
    "by name": lambda found: {name: found[name] for name in found},
    "by get": lambda found: {name: found.get(name) for name in found.keys()},  # noqa: SIM118
    "by items": lambda found: {name: value for name, value in found.items()},  # noqa: C416
    "by values": lambda found: dict(zip(found.keys(), found.values(), strict=True)),
    "as a dict": dict,
    "unpacked": lambda found: {**found},
    "in an update": lambda found: _updated({}, found),
    "copied": lambda found: found.copy(),
    "joined on the left": lambda found: found | {},
    "joined on the right": lambda found: {} | found,
    "as JSON": lambda found: json.loads(json.dumps(found)),
    "popped": lambda found: {name: found.pop(name) for name in list(found.keys())},
    "compared": lambda found: dict(found) if found == {"one": LARGE, "two": 2} else None,
}


def _updated(target: dict[str, Any], found: Any) -> dict[str, Any]:
    target.update(found)
    return target


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_results_are_a_dict_whatever_an_author_does_with_them(
    flow: Any, way: Callable[[Any], Any]
) -> None:
    run = flow(nothing, nothing)
    finish(run, "one", LARGE)
    finish(run, "step 0", 2)
    steps = steps_of(run)
    steps[1].name = "two"

    found = Results(StoredResults(steps[:2]))

    assert len(found) == 2
    assert "one" in found
    assert found.get("none", 3) == 3
    assert "result" in steps[0].get_deferred_fields()
    assert way(found) == {"one": LARGE, "two": 2}


def test_a_tick_reads_no_result_of_a_step_or_a_run(
    flow: Any, executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = flow(nothing, nothing)
    finish(run, "one", LARGE)
    attempt = claimed(run, "step 0")
    attempt.report(Meta.at(1, 2))
    leases.acquire_watch_lease(executor.pk)

    with CaptureQueriesContext(connection) as queries:
        assert Ticker(executor.pk).tick()

    run.refresh_from_db()
    assert run.iteration == 1
    for each in queries:
        for column in ('"parent_run"."result"', '"parent_step"."result"'):
            assert column not in each["sql"]


def test_a_retry_keeps_what_it_has_not_read(flow: Any) -> None:
    made: list[Any] = []

    def later(run: RunData) -> dict[str, Any]:
        made.append(run.results["one"])
        return {}

    run = flow(nothing, later)
    finish(run, "one", LARGE)
    fail(run, "step 0")

    retry(run.pk)
    finish(run, "step 0", 1)

    assert made == [step(run, "one").result] == [LARGE]


def test_a_result_given_to_a_skipped_step_is_counted(flow: Any) -> None:
    run = flow(nothing)
    fail(run, "one")

    retry(run.pk, skip=True, result=LARGE)

    row = step(run, "one")
    assert (row.state, row.result) == ("OK", LARGE)
    assert row.result_size == len(json.dumps(LARGE))


def test_another_try_of_a_step_has_no_result_yet(flow: Any) -> None:
    run = flow(nothing)
    finish(run, "one", LARGE)
    fail(run, "step 0")

    retry(run.pk, step="one")

    row = step(run, "one")
    assert (row.state, row.result, row.result_size) == ("QUEUED", None, None)


@pytest.mark.parametrize("end", [cancel, retry], ids=["cancelling", "trying again"])
def test_advancing_a_run_reads_no_large_result(flow: Any, end: Callable[[Any], Any]) -> None:
    run = flow(nothing, nothing)
    finish(run, "one", LARGE)
    if end is retry:
        fail(run, "step 0")

    with CaptureQueriesContext(connection) as queries:
        end(run.pk)

    assert read(queries) == []


def test_deleting_a_run_reads_none(flow: Any) -> None:
    run = flow(nothing)
    finish(run, "one", LARGE)
    finish(run, "step 0", LARGE)
    run.refresh_from_db(fields=["state"])

    with CaptureQueriesContext(connection) as queries:
        delete_run(run)

    assert not Run.objects.exists()
    assert not [each for each in queries if '."result"' in each["sql"] and "SELECT" in each["sql"]]


def test_a_traceback_without_end_keeps_its_beginning_and_its_end(flow: Any) -> None:
    run = flow(nothing)

    claimed(run, "one").finish(Meta().failed("too long"), "begin" + "x" * 10**6 + "end")

    kept = step(run, "one").traceback
    assert len(kept) <= MAX_TRACEBACK + 3
    assert kept.startswith("begin")
    assert kept.endswith("end")
