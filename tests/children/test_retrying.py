"""`autoretry_for` and the related options of Celery, as retries of a step."""

from decimal import Decimal
from typing import Any

import pytest
from celery.exceptions import Retry

from children import ChildTask, Progress, child_task
from children.declaration.retrying import LONGEST_DELAY, Retrying
from children.errors import RetryAsked
from tests.children.conftest import MemoryHost


class Busy(Exception): ...


def body(progress: Progress) -> None:
    raise Busy("shop is busy")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, None),
        ({"retry_backoff": True}, None),
        (
            {"autoretry_for": (Busy,)},
            Retrying(retries=3, delay=180.0, backoff=1.0, on=(Busy,)),
        ),
        (
            {"autoretry_for": Busy, "dont_autoretry_for": [KeyError], "default_retry_delay": 5},
            Retrying(retries=3, delay=5.0, backoff=1.0, on=(Busy,), never=(KeyError,)),
        ),
        (
            {"autoretry_for": [Busy], "retry_kwargs": {"max_retries": 7, "countdown": 2}},
            Retrying(retries=7, delay=2.0, backoff=1.0, on=(Busy,)),
        ),
        (
            {"autoretry_for": (Busy,), "max_retries": 1, "retry_backoff": True},
            Retrying(retries=1, delay=1.0, backoff=2.0, on=(Busy,), longest=600.0, jitter=True),
        ),
        (
            {
                "autoretry_for": (Busy,),
                "retry_backoff": 5,
                "retry_backoff_max": 30,
                "retry_jitter": False,
            },
            Retrying(retries=3, delay=5.0, backoff=2.0, on=(Busy,), longest=30.0),
        ),
        ({"max_retries": 2}, Retrying(retries=2, delay=180.0, backoff=1.0, on=())),
    ],
)
def test_options_are_read_as_celery_reads_them(
    options: dict[str, Any], expected: Retrying | None
) -> None:
    assert child_task(name="shop.retries", **options)(body).retrying == expected


def test_a_class_may_set_retry_options_as_attributes() -> None:
    @child_task(name="shop.Retries", max_retries=2)
    class Retries(ChildTask):
        autoretry_for = (Busy,)
        default_retry_delay = 1

        def run(self, progress: Progress) -> None: ...

    made: Any = Retries
    assert made.retrying == Retrying(retries=2, delay=1.0, backoff=1.0, on=(Busy,))


OF_A_STEP = {
    **{"retries": 2, "retry_delay": 0, "backoff": 3.0, "retry_on": ()},
    **{"queue_timeout": 60, "run_timeout": 60, "stall_timeout": None},
}


def test_an_option_of_a_step_as_an_attribute_of_a_class_is_reported() -> None:
    @child_task(name="shop.Own")
    class Own(ChildTask):
        retries = 3

        def backoff(self) -> None: ...

        def run(self, progress: Progress) -> None: ...

    made: Any = Own
    [(what, instead)] = made.step_problems
    assert what == "has the option retries, which does nothing in a child"
    assert instead == "Give it to the step: Step(..., retries=...)."


@pytest.mark.parametrize(
    ("options", "problem", "hint"),
    [
        ({"expires": 60}, "has the option expires, and a message", "Step(..., queue_timeout=60)"),
        ({"serializer": "pickle"}, "has the option serializer, and a step's", "Leave it out"),
        ({"track_started": True}, "has the option track_started", "Leave it out"),
        ({"store_errors_even_if_ignored": True}, "has the option store_errors", "Leave it out"),
        ({"Request": "celery.worker.request:Request"}, "has the option Request", "subclass of"),
        ({"max_retries": None}, "cannot be: it has max_retries=None", "Give 0 to 100."),
        ({"max_retries": 1000}, "cannot be: it has max_retries=1000", "Give 0 to 100."),
        (
            {"autoretry_for": (Busy,), "retry_kwargs": {"max_retries": 3, "queue": "slow"}},
            "cannot be: its retry_kwargs have queue",
            "Keep only max_retries and countdown there",
        ),
        ({"autoretry_for": ("Busy",)}, "cannot be: 'Busy' in its autoretry_for", "Name classes"),
        *(
            (
                {name: value},
                f"has the option {name}, which does nothing",
                f"Step(..., {name}=...)",
            )
            for name, value in OF_A_STEP.items()
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_options_that_a_step_cannot_honour_are_reported(
    options: dict[str, Any], problem: str, hint: str
) -> None:
    [(what, instead)] = child_task(name="shop.retries", **options)(body).step_problems
    assert what.startswith(problem)
    assert hint in instead


def test_in_a_step_the_host_decides_on_a_retry(memory_host: MemoryHost) -> None:
    task = child_task(name="shop.retries", autoretry_for=(Busy,))(body)
    attempt, answer = memory_host.run(task)
    assert attempt.outcome.error == "Error in retries: shop is busy"
    assert isinstance(answer.result, Busy)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["def", "async def"])
def test_a_plain_task_is_retried_by_celery(asynchronous: bool) -> None:
    tries = []

    def passes(progress: Progress) -> int:
        tries.append(1)
        if len(tries) < 3:
            raise Busy("shop is busy")
        return len(tries)

    async def passes_later(progress: Progress) -> int:
        return passes(progress)

    task = child_task(
        name="shop.passes", autoretry_for=(Busy,), retry_kwargs={"max_retries": 5, "countdown": 0}
    )(passes_later if asynchronous else passes)

    answer = task.apply()

    assert len(tries) == 3
    assert answer.get()["result"] == 3


def test_a_plain_task_ends_with_its_error_when_no_retry_is_left() -> None:
    task = child_task(
        name="shop.retries", autoretry_for=(Busy,), retry_kwargs={"max_retries": 2, "countdown": 0}
    )(body)
    answer = task.apply()
    assert not isinstance(answer.result, Retry)
    assert str(answer.result) == "shop is busy"


def test_the_wait_grows_up_to_its_limit_and_has_jitter() -> None:
    steady = Retrying(delay=10.0, backoff=2.0, longest=30.0)
    assert [steady.wait(done) for done in range(4)] == [10.0, 20.0, 30.0, 30.0]
    spread = Retrying(delay=10.0, backoff=2.0, longest=30.0, jitter=True)
    waits = {spread.wait(5) for _ in range(20)}
    assert len(waits) > 1
    assert all(0 <= wait <= 30 for wait in waits)
    assert Retrying(delay=10.0, backoff=10.0).wait(50) == LONGEST_DELAY


@pytest.mark.parametrize(
    ("delay", "seconds"), [(None, None), (2, 2.0), (Decimal("1.5"), 1.5), ("3", 3.0), (-1, -1.0)]
)
def test_a_retry_is_asked_for_with_any_number_of_seconds(delay: Any, seconds: Any) -> None:
    assert RetryAsked("later", delay).delay == seconds


@pytest.mark.parametrize("delay", [float("nan"), "soon", [1], Decimal("nan")])
def test_what_is_no_number_of_seconds_is_an_error_where_it_is_asked_for(delay: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        RetryAsked("later", delay)
