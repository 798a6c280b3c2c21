"""A workflow that contains itself, down to a bound."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from rest_framework import serializers

from children import Progress, child_task
from parent import Map, Step, Workflow
from parent.checks import check_workflow
from parent.definition.workflow import registry
from parent.inline import continue_inline, run_inline
from parent.messages.publish import publishing_off
from parent.models import Run, RunState, StepState
from parent.models import Step as StepRow
from parent.runs.user_retry.retry import retry
from tests.flows import tasks

pytestmark = pytest.mark.django_db

broken: set[str] = set()


class Folder(serializers.Serializer[Any]):
    path = serializers.CharField(default="/")


@child_task(name="recursion.folders")
def folders(progress: Progress, path: str) -> list[str]:
    """The folders in a folder: two, down to the fourth level."""
    if path in broken:
        raise ValueError(f"{path} is broken")
    return [f"{path}{name}/" for name in "ab"] if path.count("/") < 4 else []


@pytest.fixture(autouse=True)
def _names() -> Iterator[None]:
    before = dict(registry._workflows)
    broken.clear()
    yield
    registry._workflows.clear()
    registry._workflows.update(before)


def tree(**options: Any) -> Workflow:
    inside = Map("parent.tree", name="inside", over=lambda run: run.results["folders"], **options)
    return Workflow("tree", params=Folder, steps=[Step(folders), inside])


def chain(*names: str, **options: Any) -> list[Workflow]:
    """Workflows each of which contains the next one, and the last one the first."""
    return [
        Workflow(
            name,
            steps=[
                Step(tasks.noop, name="first"),
                Step(f"parent.{inner}", name="inside", **(options if inner == names[0] else {})),
                Step(tasks.noop, name="last"),
            ],
        )
        for name, inner in zip(names, [*names[1:], names[0]], strict=True)
    ]


def depths() -> dict[int, int]:
    return dict(Counter(Run.objects.values_list("depth", flat=True)))


@pytest.mark.parametrize(
    ("most", "found"), [(2, {0: 1, 1: 2}), (3, {0: 1, 1: 2, 2: 4}), (6, {0: 1, 1: 2, 2: 4, 3: 8})]
)
def test_it_ends_at_its_bound_or_where_there_is_nothing_more(
    most: int, found: dict[int, int]
) -> None:
    run = run_inline(tree(max_depth=most))

    assert run.state == RunState.SUCCESS
    assert depths() == found
    assert set(Run.objects.values_list("state", flat=True)) == {RunState.SUCCESS}
    said = f"{most} runs of tree are inside of each other: it goes no deeper"
    at_bound = StepRow.objects.filter(name="inside", message=said)
    assert at_bound.count() == (2 ** (most - 1) if most < 5 else 0)
    assert set(at_bound.values_list("state", "items__total")) <= {(StepState.OK, 0)}


@pytest.mark.parametrize(
    ("names", "most", "levels"), [(["a"], 2, 2), (["a"], 4, 4), (["a", "b"], 2, 4)]
)
def test_what_comes_after_the_bound_goes_on(names: list[str], most: int, levels: int) -> None:
    workflow = chain(*names, max_depth=most)[0]

    run = run_inline(workflow)

    assert run.state == RunState.SUCCESS
    assert depths() == dict.fromkeys(range(levels), 1)
    assert StepRow.objects.filter(name="last", state=StepState.OK).count() == levels
    assert set(StepRow.objects.values_list("state", flat=True)) == {StepState.OK}
    bottom = StepRow.objects.get(name="inside", child_run_id=None)
    assert (bottom.result, bottom.run.depth) == (None, levels - 1)
    assert "it goes no deeper" in bottom.message


def test_the_first_step_may_be_the_workflow_itself() -> None:
    last = Step(tasks.noop, name="last")
    workflow = Workflow("a", steps=[Step("parent.a", name="inside", max_depth=3), last])

    assert run_inline(workflow).state == RunState.SUCCESS
    assert depths() == {0: 1, 1: 1, 2: 1}


def test_a_retry_goes_down_to_where_it_failed() -> None:
    broken.add("/b/a/")
    run = run_inline(tree(max_depth=6))
    assert run.state == RunState.FAILURE
    assert "/b/a/ is broken" in (run.error or "")
    before = set(Run.objects.values_list("pk", flat=True))
    broken.clear()

    retry(run.pk)
    with publishing_off():
        run.refresh_from_db()
        continue_inline(run)

    run.refresh_from_db()
    assert run.state == RunState.SUCCESS
    assert depths() == {0: 1, 1: 2, 2: 4, 3: 8}
    assert before < set(Run.objects.values_list("pk", flat=True))
    attempts = Counter(StepRow.objects.filter(name="folders").values_list("attempt", flat=True))
    assert attempts == {1: 14, 2: 1}


@pytest.mark.parametrize("names", [["a"], ["a", "b"], ["a", "b", "c"]])
def test_a_bound_anywhere_in_the_circle_is_enough(names: list[str]) -> None:
    bounded = chain(*names, max_depth=3)
    assert [found.msg for each in bounded for found in check_workflow(each)] == []
    for name in names:
        registry._workflows.pop(name)

    for each in chain(*names):
        [found] = check_workflow(each)
        assert found.id == "workflows.E020"
        assert "nothing says how deep" in found.msg
        assert "max_depth=3" in str(found.hint)


@pytest.mark.parametrize(
    ("depth", "says"),
    [
        (1, "Give a whole number from 2"),
        (0, "Give a whole number from 2"),
        ("3", "Give a whole number from 2"),
        (True, "Give a whole number from 2"),
        (7, "Give at most 6, or raise the setting"),
        (6, ""),
        (2, ""),
    ],
)
def test_bad_bounds_are_seen_before_a_run(depth: Any, says: str) -> None:
    [workflow] = chain("a", max_depth=depth)

    found = [f"{each.msg} {each.hint}" for each in check_workflow(workflow)]

    assert bool(found) == bool(says)
    assert says in " ".join(found)


def test_the_command_says_how_deep(capsys: pytest.CaptureFixture[str]) -> None:
    tree(max_depth=4)

    call_command("workflow", "list")

    note = "inside (for each of many items; a run of tree, at most 4 inside of each other)"
    assert note in capsys.readouterr().out


def test_a_bound_of_a_child_is_refused() -> None:
    workflow = Workflow("a", steps=[Step(tasks.noop, max_depth=3)])

    [found] = check_workflow(workflow)

    assert "max_depth=3, and runs no workflow" in found.msg
