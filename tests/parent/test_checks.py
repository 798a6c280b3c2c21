"""Given a workflow that cannot run, a check at start-up says why, and what to do."""

from itertools import pairwise
from typing import Any

import pytest
from celery import current_app
from django.core.checks import run_checks
from django.utils.functional import lazystr
from rest_framework.serializers import ModelSerializer

from children import ChildTask, Progress, child_task
from parent import Map, Step, Workflow
from parent.checks import check_workflows
from parent.definition.workflow import registry
from parent.errors import InvalidWorkflow, UnknownStep, UnknownWorkflow
from parent.models import Run

pytestmark = pytest.mark.usefixtures("own_registry")

Message = tuple[str, str, str]


def messages() -> list[Message]:
    """Each message as (id, text, hint)."""
    return [(str(found.id), found.msg, str(found.hint)) for found in check_workflows()]


def undecorated(progress: Progress) -> None: ...


class Undecorated(ChildTask): ...


@child_task(name="checked.func_1")
def func_1(progress: Progress, **inputs: Any) -> None: ...


@child_task(name="checked.func_2")
def func_2(progress: Progress, **inputs: Any) -> None: ...


def test_a_good_workflow_has_no_problems() -> None:
    Workflow("good", steps=[Step(func_1), Step("checked.func_2"), Step(func_1, name="again")])
    Workflow(
        "diamond-2",
        steps=[
            Step(func_1, name="d", after=["b", "c"]),
            Step(func_1, name="b", after=["a"]),
            Step(func_1, name="c", after=["a"], queue_timeout=0, weight=0.1),
            Step(func_1, name="a", after=()),
        ],
        timeout=60,
        permission="shop.start_diamond",
    )
    assert messages() == []


def test_no_workflows_are_no_problem() -> None:
    assert messages() == []


@pytest.mark.parametrize(
    ("title", "good"),
    [
        ("", True),
        ("Yearly report", True),
        ("t" * 100, True),
        (lazystr("Bericht"), True),
        ("👩‍💻 größe", True),
        ("t" * 101, False),
        ("two\nlines", False),
        (" ", False),
        ("turned \u202e round", False),
        (7, False),
        (None, False),
    ],
    ids=repr,
)
def test_a_title_is_one_line_of_text(title: Any, good: bool) -> None:
    hint = "Write one line of text, up to 100 characters."
    Workflow("titled", title=title, steps=[Step(func_1)])
    Workflow("with_titled_step", steps=[Step(func_1, title=title)])

    assert messages() == [
        ("workflows.E013", f"Workflow {name!r}: {title!r} is not a title.", hint)
        for name in ("titled", "with_titled_step")
        if not good
    ]


STEPS_ARE = "Its steps are: a, b."
TASKS_PY = "Put it into the tasks.py of an app in INSTALLED_APPS."
NAMES = "Use letters, digits, - and _, up to 100, a letter first."
SECONDS = "Give seconds from 0, which is never, to 1e+09."
STEP_NAME = 'Give it one of 1 to 100 characters: Step(..., name="...").'


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([], [("E003", "it has no steps", "Give it at least one Step.")]),
        (
            [Step(func_1), Step(func_1)],
            [("E003", "two steps are named 'func_1'", 'Tell them apart: Step(..., name="...").')],
        ),
        (
            [Step(func_1, name="a"), Step(func_1, name="b", after=["a", "z"])],
            [("E003", "step 'b' comes after 'z', which is not a step of this workflow", STEPS_ARE)],
        ),
        (
            [Step(func_1, name="a"), Step(func_1, name="b", after="a")],
            [("E003", "step 'b' comes after the text 'a'", "Write a list of names: after=['a'].")],
        ),
        (
            [Step(func_1, name="a", after=["a"])],
            [
                (
                    "E003",
                    "its steps wait for each other: a -> a",
                    "Remove one of these `after`.",
                )
            ],
        ),
        (
            [Step(func_1, name="a", when="failed")],
            [
                (
                    "E003",
                    "step 'a' runs when one of the steps before it fails, but comes after none",
                    'Say after which: Step(..., when="failed", after=["..."]).',
                )
            ],
        ),
        (
            [
                Step(func_1, name="a"),
                Step(func_1, name="undo", when="failed"),
                Step(func_1, name="b"),
                Step(func_1, name="c", after=["undo"]),
            ],
            [
                (
                    "E003",
                    "step 'b' would run only after 'undo', and so only after a failure",
                    "Say what it comes after, Step(..., after=[...]); or give it a `when` too.",
                )
            ],
        ),
        (
            [Step(func_1, name="a", when="sometimes")],  # type: ignore[arg-type]
            [("E003", "step 'a' has when='sometimes'", "Give 'ok', 'failed' or 'always'.")],
        ),
        (
            [Step(func_1, name="a", optional="yes")],  # type: ignore[arg-type]
            [("E003", "step 'a' has optional='yes'", "Give True or False.")],
        ),
        (
            [Step(func_1, name="a", weight=0)],
            [("E003", "step 'a' has weight 0", "A weight is a number above 0.")],
        ),
        (
            [Step(func_1, name="a", weight=-2.5)],
            [("E003", "step 'a' has weight -2.5", "A weight is a number above 0.")],
        ),
        (
            [Step(func_1, name="a", weight=float("inf"))],
            [("E003", "step 'a' has weight inf", "A weight is a number above 0.")],
        ),
        (
            [Step(func_1, name="a", weight=float("nan"))],
            [("E003", "step 'a' has weight nan", "A weight is a number above 0.")],
        ),
        (
            [Step(func_1, name="a", priority=10)],
            [("E003", "step 'a' has priority=10", "Give 0, which is first, to 9.")],
        ),
        (
            [Step(func_1, name="a", queue_timeout=-1)],
            [("E003", "step 'a' has queue_timeout -1", SECONDS)],
        ),
        (
            [Step(func_1, name="a", run_timeout=float("inf"))],
            [("E003", "step 'a' has run_timeout inf", SECONDS)],
        ),
        (
            [Step(func_1, name="a", stall_timeout=float("nan"))],
            [("E003", "step 'a' has stall_timeout nan", SECONDS)],
        ),
        (
            [Step(func_1, name="a", poll_interval=1e12)],
            [("E003", "step 'a' has poll_interval 1000000000000.0", SECONDS)],
        ),
        (
            [Step(func_1, name="a" * 101)],
            [("E003", f"a step has the name '{'a' * 101}'", STEP_NAME)],
        ),
        (
            [Step("shop.total")],
            [("E005", "the task 'shop.total' of step 'total' is not registered", TASKS_PY)],
        ),
    ],
)
def test_a_problem_of_the_steps_is_reported_with_a_hint(
    steps: list[Step], expected: list[Message]
) -> None:
    Workflow("shop", steps=steps)
    assert messages() == [
        (f"workflows.{number}", f"Workflow 'shop': {problem}.", hint)
        for number, problem, hint in expected
    ]


@pytest.mark.parametrize("task", [undecorated, Undecorated, None, 5])
def test_a_step_without_a_task_is_reported(task: Any) -> None:
    Workflow("shop", steps=[Step(func_1), Step(task)])
    problem = f"Workflow 'shop': {task!r} is neither a Celery task nor a workflow."
    assert messages() == [("workflows.E004", problem, "Decorate the function with @child_task.")]


def test_a_cycle_is_reported_in_the_order_of_waiting() -> None:
    Workflow(
        "shop",
        steps=[
            Step(func_1, name="a", after=["c"]),
            Step(func_1, name="b", after=["a"]),
            Step(func_1, name="c", after=["b"]),
            Step(func_1, name="d", after=()),
        ],
    )
    [(_, problem, hint)] = messages()
    circle = problem.removeprefix("Workflow 'shop': its steps wait for each other: ").rstrip(".")
    waits = {"a": "c", "b": "a", "c": "b"}
    names = circle.split(" -> ")
    assert len(names) == 4
    assert all(waits[name] == following for name, following in pairwise(names))
    assert hint == "Remove one of these `after`."


@pytest.mark.parametrize("name", ["", "1st", "a b", "a/b", "ü", "a\n", "-a", "a" * 101])
def test_a_name_that_fits_no_url_is_reported(name: str) -> None:
    Workflow(name, steps=[Step(func_1)])
    problem = f"Workflow {name!r}: its name is not usable in a URL."
    assert messages() == [("workflows.E002", problem, NAMES)]


@pytest.mark.parametrize("permission", ["", "start", "shop.", "shop.a.b", "shop start", ["shop.a"]])
def test_an_invalid_permission_is_reported(permission: Any) -> None:
    Workflow("shop", steps=[Step(func_1)], permission=permission)
    problem = f"Workflow 'shop': {permission!r} is not the name of a permission."
    hint = "Write it as Django does, app and codename: 'shop.start_report'."
    assert messages() == [("workflows.E007", problem, hint)]


def test_a_second_workflow_of_the_same_name_is_reported_once_and_not_registered() -> None:
    first = Workflow("shop", steps=[Step(func_1)])
    for _ in range(2):
        Workflow("shop", steps=[Step(func_2)])
    assert messages() == [
        (
            "workflows.E001",
            "Two workflows are named 'shop'.",
            "Rename one; the name is part of its URL and of its Celery task's name.",
        )
    ]
    assert registry.get("shop") is first


def test_all_problems_of_all_workflows_are_reported() -> None:
    Workflow("b shop", steps=[])
    Workflow("a", steps=[Step("shop.total", weight=0)])
    assert [number for number, _, _ in messages()] == [
        "workflows.E003",
        "workflows.E005",
        "workflows.E002",
        "workflows.E003",
    ]


def test_manage_py_check_runs_these_checks() -> None:
    Workflow("shop", steps=[])
    assert [found.id for found in run_checks(tags=["workflows"])] == ["workflows.E003"]


@pytest.mark.django_db
def test_a_workflow_with_a_problem_cannot_be_started() -> None:
    workflow = Workflow("shop", steps=[])
    with pytest.raises(InvalidWorkflow, match=r"'shop': it has no steps\. Give it at least one"):
        workflow.start()


def test_the_error_of_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UnknownWorkflow, match=r"no workflow 'shop'; registered are: none\."):
        registry.get("shop")
    shop = Workflow("shop", steps=[Step(func_1)])
    with pytest.raises(UnknownWorkflow, match=r"no workflow 'shap'; registered are: shop\."):
        registry.get("shap")
    with pytest.raises(UnknownStep, match=r"'shop' has no step 'func_2'; its steps are: func_1\."):
        shop.step("func_2")


def test_steps_follow_each_other_unless_declared_otherwise() -> None:
    @child_task(name="shop.total")
    def total(progress: Progress) -> None: ...

    shop = Workflow(
        "shop",
        steps=[Step(func_1), Step(total), Step(func_2, after=()), Step(func_1, name="last")],
    )
    assert [shop.after(step) for step in shop.steps] == [(), ("func_1",), (), ("func_2",)]
    assert [step.label for step in shop.steps] == ["func_1", "total", "func_2", "last"]
    assert current_app.tasks["parent.shop"].name == shop.task_name
    assert messages() == []


@pytest.mark.parametrize("option", ["after", "unless", "weight", "retries", "run_timeout", "name"])
@pytest.mark.parametrize(
    "value", [object(), b"x", [[]], 10**400], ids=["object", "bytes", "list", "huge"]
)
def test_an_option_of_another_type_is_an_error_not_a_crash(option: str, value: Any) -> None:
    Workflow("odd", steps=[Step(func_1, **{option: value})])
    assert {found for found, *_ in messages()} == {"workflows.E003"}


@pytest.mark.parametrize(
    "option",
    [{"inputs": {"a": 1}}, {"queue": -1}, {"name": "a\0b"}, {"name": "\ud800"}],
    ids=repr,
)
def test_an_option_that_fails_later_is_an_error_at_start_up(option: dict[str, Any]) -> None:
    Workflow("odd", steps=[Step(func_1, **option)])
    assert [found for found, *_ in messages()] == ["workflows.E003"]


@pytest.mark.parametrize("steps", [7, None, "ab", [None], [[]]], ids=repr)
def test_steps_that_are_none_are_an_error(steps: Any) -> None:
    Workflow("odd", steps=steps)
    assert [found for found, *_ in messages()] == ["workflows.E003"]


@pytest.mark.parametrize("name", [7, None, b"x", ["x"]], ids=repr)
def test_a_workflow_name_that_is_no_text_is_refused_where_it_is_given(name: Any) -> None:
    with pytest.raises(InvalidWorkflow, match="is a text, not"):
        Workflow(name, steps=[Step(func_1)])


class Raising:
    """Raises in the method of that name."""

    def __new__(cls, method: str) -> "Raising":
        def fail(*_: Any) -> Any:
            raise ValueError(f"bad {method}")

        return object.__new__(type("Raising", (cls,), {method: fail}))


class WithoutMeta(ModelSerializer[Run]): ...


@pytest.mark.parametrize(
    ("workflow", "step", "tells"),
    [
        ({"params": 7}, {}, "it has params of the wrong type"),
        ({"params": func_1}, {}, "it has params of the wrong type"),
        ({"params": WithoutMeta}, {}, "its check failed: Class WithoutMeta"),
        ({"description": 7}, {}, "it has description of the wrong type"),
        ({"description": "a\0b"}, {}, "it has description of the wrong type"),
        ({"title": lazystr(Raising("__str__"))}, {}, "bad __str__"),
        ({}, {"retry_on": 7}, "step 'a' has retry_on of the wrong type"),
        ({}, {"retry_on": ValueError}, "step 'a' has retry_on of the wrong type"),
        ({}, {"retry_on": ["ValueError"]}, "step 'a' has retry_on of the wrong type"),
        ({}, {"retry_on": (KeyboardInterrupt,)}, "step 'a' has retry_on of the wrong type"),
        *(
            ({}, {option: Raising(method)}, f"step 'a' has {option} that cannot be shown")
            for option in ("when", "title", "task", "max_depth", "limits", "weight")
            for method in ("__repr__", "__eq__", "__bool__")
        ),
        ({"concurrency": Raising("__repr__")}, {}, "it has concurrency that cannot be shown"),
        ({"permission": Raising("__bool__")}, {}, "it has permission that cannot be shown"),
    ],
)
def test_a_check_says_what_is_wrong_and_never_ends_with_a_traceback(
    workflow: dict[str, Any], step: dict[str, Any], tells: str
) -> None:
    Workflow("odd", steps=[Step(**{"task": func_1, "name": "a", **step})], **workflow)
    [(found, problem, hint)] = messages()
    assert found in {"workflows.E003", "workflows.E024"}
    assert tells in problem
    assert "'odd'" in problem
    assert hint


@pytest.mark.parametrize("key", ["a\0b", "\ud800"], ids=repr)
def test_a_key_that_no_database_stores_is_an_error(key: str) -> None:
    Workflow("odd", steps=[Map(func_1, name="a", over=lambda _run: [], key=key)])
    [(found, problem, _)] = messages()
    assert (found, "step 'a' has key" in problem) == ("workflows.E003", True)
