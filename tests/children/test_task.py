"""What Celery and the host see of a given body."""

from typing import Any

import pytest
from celery import current_app

from children import AttemptLost, ChildTask, Meta, Progress, Status, child_task
from tests.children.conftest import Attempt, MemoryHost


@pytest.fixture
def total() -> Any:
    @child_task(name="shop.total")
    def total(progress: Progress, prices: list[int], discount: int = 0) -> dict[str, int]:
        """Add prices up."""
        return {"total": sum(progress.track(prices, message="Adding")) - discount}

    return total


@pytest.fixture
def total_class() -> Any:
    @child_task(name="shop.Total", rate_limit="9/m")
    class Total(ChildTask):
        """Add prices up."""

        def run(self, progress: Progress, prices: list[int], discount: int = 0) -> dict[str, int]:
            return {"total": sum(progress.track(prices, message="Adding")) - discount}

    return Total


@pytest.fixture(params=["total", "total_class"])
def either(request: pytest.FixtureRequest) -> Any:
    """Both forms of the same child."""
    return request.getfixturevalue(request.param)


def test_a_direct_call_simply_runs(either: Any, memory_host: MemoryHost) -> None:
    assert either([1, 2, 3], discount=1) == {"total": 5}
    assert either(prices=[]) == {"total": 0}
    assert memory_host.claimed == []


def test_a_step_reports_and_ends_with_its_outcome(either: Any, memory_host: MemoryHost) -> None:
    attempt, answer = memory_host.run(either, prices=[1, 2])
    assert [meta.iteration for meta in attempt.reports] == [0, 1, 2, 2]
    assert attempt.outcome == Meta.at(2, 2, "Adding").ok({"total": 3})
    assert attempt.traceback is None
    assert (answer.state, answer.result) == ("SUCCESS", attempt.outcome.as_dict())


def test_a_child_without_a_run_is_an_ordinary_task(either: Any) -> None:
    answer = either.apply(kwargs={"prices": [1, 2]})
    assert answer.result == Meta.at(2, 2, "Adding").ok({"total": 3}).as_dict()


def test_a_child_is_registered_under_its_name(total: Any, total_class: Any) -> None:
    assert current_app.tasks["shop.total"].name == total.name == "shop.total"
    assert current_app.tasks["shop.Total"].rate_limit == total_class.rate_limit == "9/m"
    assert total.__doc__ == "Add prices up."


def test_a_name_is_optional() -> None:
    @child_task
    def unnamed(progress: Progress) -> int:
        return 1

    @child_task
    class Unnamed(ChildTask):
        def run(self, progress: Progress) -> int:
            progress.message("Two")
            return 2

    made: Any = Unnamed
    assert (unnamed.name, unnamed()) == (f"{__name__}.unnamed", 1)
    assert (made.name, made()) == (f"{__name__}.Unnamed", 2)


def test_a_class_of_another_kind_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Till is not a ChildTask: write class Till\(ChildTask\)"):

        @child_task(name="shop.till")
        class Till:
            pass


@pytest.mark.parametrize(
    ("kwargs", "why"),
    [
        ({}, "missing 1 required positional argument: 'prices'"),
        ({"prices": [], "price": 1}, "unexpected keyword argument 'price'"),
        ({"prices": [], "progress": None}, "multiple values for argument 'progress'"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_sent(
    either: Any, kwargs: dict[str, Any], why: str
) -> None:
    with pytest.raises(TypeError, match=why):
        either.apply_async(kwargs=kwargs)


def test_a_second_delivery_is_dropped(total: Any, memory_host: MemoryHost) -> None:
    first, _ = memory_host.run(total, task_id="the-same", prices=[1])
    second, answer = memory_host.run(total, task_id="the-same", prices=[1])
    assert first.outcome.status is Status.OK
    assert (second.reports, second.outcomes) == ([], [])
    assert answer.state == "IGNORED"


def test_a_lost_attempt_ends_at_its_next_report(memory_host: MemoryHost) -> None:
    done = []

    @child_task(name="shop.prints")
    def prints(progress: Progress) -> None:
        for page in progress.track(range(10)):
            done.append(page)

    attempt, answer = memory_host.run(prints, attempt=Attempt(lost_at=4))
    assert done == [0, 1, 2]
    assert attempt.outcomes == []
    assert answer.state == "IGNORED"


def test_except_exception_does_not_keep_a_lost_attempt_running(memory_host: MemoryHost) -> None:
    tried = []

    @child_task(name="shop.stubborn")
    def stubborn(progress: Progress) -> str:
        for page in range(10):
            try:
                tried.append(page)
                progress.update(page, 10)
            except Exception:
                continue
        return "printed it all"

    attempt, answer = memory_host.run(stubborn, attempt=Attempt(lost_at=3))
    assert tried == [0, 1, 2]
    assert attempt.outcomes == []
    assert answer.state == "IGNORED"
    assert not issubclass(AttemptLost, Exception)


def test_a_body_that_calls_its_own_task_simply_runs_it(memory_host: MemoryHost) -> None:
    @child_task(name="shop.factorial")
    def factorial(progress: Progress, n: int) -> int:
        progress.update(n)
        return n * factorial(n=n - 1) if n else 1

    attempt, _ = memory_host.run(factorial, n=4)
    assert attempt.outcome.result == 24
    assert [meta.iteration for meta in attempt.reports] == [4]


def test_a_task_may_have_a_report_interval_of_its_own(settings: Any) -> None:
    from children.task import report_interval

    @child_task(name="shop.often", report_interval=0.1)
    def often(progress: Progress) -> None: ...

    @child_task(name="shop.usual")
    def usual(progress: Progress) -> None: ...

    assert (report_interval(often), report_interval(usual)) == (0.1, 0.5)
    settings.WORKFLOW_REPORT_INTERVAL = 2
    assert (report_interval(often), report_interval(usual)) == (0.1, 2.0)
