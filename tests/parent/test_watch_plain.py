"""`watch(job)`: watching one child on one of Celery's own result backends."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery
from celery.result import AsyncResult, denied_join_result

from children.meta import Meta
from parent.watch.decide import watch

REPORT = Meta.at(3, 10, "reading").as_dict()


@pytest.fixture
def app() -> Celery:
    return Celery("watched", backend="cache+memory://", set_as_current=False)


@pytest.fixture
def job(app: Celery) -> AsyncResult[Any]:
    return AsyncResult(str(uuid4()), app=app)


Tell = Callable[[str, object], None]


@pytest.fixture
def tell(app: Celery, job: AsyncResult[Any]) -> Tell:
    """Store a state, as the child would."""

    def store(state: str, result: object) -> None:
        app.backend.store_result(job.id, result, state)

    return store


def test_watch_follows_a_child_to_its_outcome(job: AsyncResult[Any], tell: Tell) -> None:
    metas = [Meta.at(n, 3, "reading") for n in range(4)]
    script = iter([*(("PROGRESS", meta) for meta in metas[1:]), ("SUCCESS", metas[-1].ok("abc"))])
    seen = []

    def on_report(meta: Meta) -> None:
        seen.append(meta)
        state, following = next(script)
        tell(state, following.as_dict())

    tell("PROGRESS", metas[0].as_dict())
    assert watch(job, 0.001, on_report=on_report) == metas[-1].ok("abc")
    assert seen == metas


@pytest.mark.parametrize(
    ("state", "result", "error"),
    [
        ("FAILURE", ValueError("bad"), "Error in the child: bad"),
        ("FAILURE", ValueError(), "Error in the child: ValueError"),
        ("REVOKED", None, "Error in the child: the task was revoked before it could finish"),
        ("SUCCESS", Meta().failed("no disk").as_dict(), "Error in the child: no disk"),
    ],
)
def test_watch_gives_a_failure_as_an_outcome(
    job: AsyncResult[Any], tell: Tell, state: str, result: object, error: str
) -> None:
    tell(state, result)
    assert watch(job).error == error


def test_watch_survives_a_failure_that_celery_cannot_read(
    job: AsyncResult[Any], tell: Tell
) -> None:
    tell("FAILURE", {"no exception": "type"})
    with pytest.raises(ValueError, match="must include the exception type"):
        _ = job.state
    assert watch(job).error == (
        "Error in the child: its stored result cannot be read: "
        "Exception information must include the exception type"
    )


@pytest.mark.parametrize("limits", [{"timeout": 0.02}, {"queue_timeout": 0.02, "timeout": 60}])
def test_watch_ends_when_the_child_never_starts(
    job: AsyncResult[Any], limits: dict[str, Any]
) -> None:
    assert watch(job, 0.001, **limits).error == (
        "the child did not start within 0.02 s: is a worker consuming its queue?"
    )


@pytest.mark.parametrize(
    ("limits", "error"),
    [
        ({"timeout": 0.02}, "the child did not finish within 0.02 s"),
        ({"stall_timeout": 0.02}, "the child has not reported for 0.02 s: it may hang"),
    ],
)
def test_watch_ends_a_child_that_does_not_go_on(
    job: AsyncResult[Any], tell: Tell, limits: dict[str, Any], error: str
) -> None:
    tell("PROGRESS", REPORT)
    found = watch(job, 0.001, queue_timeout=0.001, **limits)
    assert str(found.error).startswith(error)
    assert (found.iteration, found.total) == (3, 10)


def test_watch_ends_a_child_that_reports_for_ever(job: AsyncResult[Any], tell: Tell) -> None:
    def on_report(meta: Meta) -> None:
        assert meta.iteration < 10_000, "the timeout begins anew with every report"
        tell("PROGRESS", Meta.at(meta.iteration + 1, None).as_dict())

    tell("PROGRESS", Meta.at(0, None).as_dict())
    found = watch(job, 0.001, timeout=0.05, on_report=on_report)
    assert found.error == "the child did not finish within 0.05 s"
    assert found.iteration > 0


def test_watch_refuses_to_block_a_task(job: AsyncResult[Any]) -> None:
    # In a worker's process Celery forbids blocking on a result.
    with denied_join_result(), pytest.raises(RuntimeError, match=r"Never call result\.get"):
        watch(job, timeout=0.02)
