"""Given the children that authors write, they work as steps of a run."""

import asyncio
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from rest_framework import serializers

from children import ChildTask, Progress, child_task
from parent import Step, Workflow
from parent.checks import check_workflows
from parent.inline import run_inline
from parent.models import Attempt, Run, RunState
from parent.models import Step as StepRow
from parent.runs.start import start

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_registry")]


class Busy(Exception): ...


class GoneForEver(Busy): ...


def only(task: Any, **options: Any) -> Workflow:
    """A workflow of one step."""
    return Workflow("authored", steps=[Step(task, **options)])


def row_of(run: Run) -> StepRow:
    return StepRow.objects.get(run=run)


async def asks_the_database(progress: Progress) -> list[int]:
    """By each way that Django has for coroutines."""
    counts = []
    for _ in progress.track(range(2)):
        counts.append(await Run.objects.acount())
    counts.append(await sync_to_async(Run.objects.count)())
    counts.append(len([run async for run in Run.objects.all()]))
    found = await asyncio.gather(Run.objects.afirst(), Run.objects.acount())
    return [*counts, found[1]]


def test_a_coroutine_sees_what_its_test_has_written() -> None:
    """It uses the task's connection, and so the test's transaction."""
    run = run_inline(only(child_task(name="shop.asks")(asks_the_database)))

    assert (run.state, run.result) == (RunState.SUCCESS, [1, 1, 1, 1, 1])
    assert (run.iteration, run.total, run.completion) == (2, 2, 100.0)


def failing(times: int, error: Exception, *, asynchronous: bool = False, **options: Any) -> Any:
    tries: list[int] = []

    def fails(progress: Progress) -> int:
        tries.append(1)
        if len(tries) <= times:
            raise error
        return len(tries)

    async def fails_later(progress: Progress) -> int:
        return fails(progress)

    return child_task(name="shop.fails", **options)(fails_later if asynchronous else fails)


AT_ONCE = {"max_retries": 2, "countdown": 0}
AUTO: dict[str, Any] = {
    "autoretry_for": (Busy,),
    "dont_autoretry_for": (GoneForEver,),
    "retry_kwargs": AT_ONCE,
}


@pytest.mark.parametrize(
    ("times", "error", "step", "attempts", "expected_error"),
    [
        (0, Busy(), {}, 1, None),
        (2, Busy("shop is busy"), {}, 3, None),
        (3, Busy("shop is busy"), {}, 3, "Error in fails: shop is busy (after 3 attempts)"),
        (1, KeyError("a"), {}, 1, "Error in fails: KeyError: 'a'"),
        (1, GoneForEver("for ever gone"), {}, 1, "Error in fails: for ever gone"),
        (1, Busy("shop is busy"), {"retries": 0}, 1, "Error in fails: shop is busy"),
        (1, KeyError("a"), {"retries": 1}, 2, None),
        (2, Busy("shop is busy"), {"retries": 1}, 2, "Error in fails: shop is busy (after 2 "
         "attempts)"),
    ],
    ids=[
        "no error",
        "as many as there are retries",
        "one more",
        "another kind",
        "a kind that is left out",
        "a step without retries",
        "a step with retries of its own, of another kind",
        "a step with fewer",
    ],
)  # fmt: skip
@pytest.mark.parametrize("asynchronous", [False, True], ids=["def", "async def"])
def test_autoretry_is_the_retries_of_a_step_that_has_none(
    times: int,
    error: Exception,
    step: dict[str, Any],
    attempts: int,
    expected_error: str | None,
    asynchronous: bool,
) -> None:
    task = failing(times, error, asynchronous=asynchronous, **AUTO)

    run = run_inline(only(task, **step))

    assert run.error == expected_error
    assert row_of(run).attempt == attempts
    assert Attempt.objects.filter(step__run=run).count() == attempts - 1


def test_a_step_that_names_its_task_has_its_retries_too() -> None:
    failing(2, Busy("shop is busy"), **AUTO)
    assert run_inline(only("shop.fails")).result == 3


def test_max_retries_alone_are_for_a_body_that_asks() -> None:
    @child_task(name="shop.asks", bind=True, max_retries=1, default_retry_delay=0)
    def asks(self: Any, progress: Progress) -> int:
        if not row_of(Run.objects.get()).retries_used:
            raise self.retry(exc=Busy("shop is busy"))
        return 7

    run = run_inline(only(asks))
    assert (run.result, row_of(run).attempt) == (7, 2)


def test_backoff_is_the_rows() -> None:
    run = start(only(failing(1, Busy(), autoretry_for=(Busy,), retry_backoff=5)), {})
    step = row_of(run)
    assert (step.retries, step.retry_delay, step.backoff) == (3, 5.0, 2.0)


class Reserved(serializers.Serializer[None]):
    progress = serializers.IntegerField(default=1)
    self = serializers.IntegerField(default=1)


class Inner(serializers.Serializer[None]):
    file = serializers.FileField()


class WithFiles(serializers.Serializer[None]):
    one = serializers.FileField()
    several = serializers.ListField(child=serializers.FileField())
    images = serializers.ListField(child=serializers.ImageField())
    by_name = serializers.DictField(child=serializers.FileField())
    nested = Inner()
    rows = Inner(many=True)
    deep = serializers.ListField(child=serializers.ListField(child=serializers.FileField()))


def messages() -> list[tuple[str, str]]:
    return [(str(found.id), found.msg) for found in check_workflows()]


@child_task(name="authored.takes")
def takes(progress: Progress, **inputs: Any) -> None: ...


@child_task(name="authored.Takes")
class Takes(ChildTask):
    def run(self, progress: Progress, **inputs: Any) -> None: ...


def test_a_parameter_with_a_name_that_the_body_reserves() -> None:
    steps = [Step(takes), Step(Takes), Step(takes, name="apart", inputs=lambda _: {})]
    Workflow("authored", params=Reserved, steps=steps)

    what = "a name that its body reserves."
    assert messages() == [
        ("workflows.E009", f"Workflow 'authored': step {step!r} would get the parameter {name!r}, "
         f"{what}")
        for step, name in [("takes", "progress"), ("Takes", "progress"), ("Takes", "self")]
    ]  # fmt: skip


def test_files_nested_in_a_parameter() -> None:
    Workflow("authored", params=WithFiles, steps=[Step(takes)])

    assert messages() == [
        ("workflows.E010", f"Workflow 'authored': the parameter {name!r} has nested files, "
         "which would not be stored.")
        for name in ("by_name", "nested", "rows", "deep")
    ]  # fmt: skip


def test_an_option_that_a_step_cannot_keep() -> None:
    only(child_task(name="shop.late", expires=60)(takes.run))

    [(number, text)] = messages()
    assert number == "workflows.E008"
    assert text == (
        "Workflow 'authored': the task of step 'late' has the option expires, and a message that "
        "is late is sent again."
    )
