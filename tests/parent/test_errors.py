"""Each error of this project is a sentence: what happened, and what to do."""

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from children import errors as children_errors
from children.errors import AttemptLost
from children.meta import Meta
from parent import errors as parent_errors
from parent.definition.workflow import Workflow, registry
from parent.deletion.delete import delete_run
from parent.errors import UnknownRun, WorkflowError
from parent.models import Run
from parent.runs.cancel import cancel
from parent.runs.endings import end_attempt
from parent.runs.signals.give import close, give
from parent.runs.start import start
from parent.runs.user_retry.retry import retry
from parent.store.writes.one_row import RowChanged
from tests.flows import workflows
from tests.parent.conftest import claimed

ROOT = Path(__file__).resolve().parent.parent.parent
OWN = {
    name: value
    for module in (children_errors, parent_errors)
    for name, value in vars(module).items()
    if inspect.isclass(value) and value.__module__ == module.__name__
} | {"RowChanged": RowChanged}

PASSED_ON = {
    "error",  # the outcome's own text
    "one_line(run.error)",
    "str(exc)",
    "error_text(exc)",
    "shorten_errors(errors, serializer)",
    "errors",
}
"""Arguments that are another error's text, or errors of fields, which DRF's texts describe."""

FEWEST_WORDS = 4


def raised() -> Iterator[tuple[str, ast.expr | None]]:
    """Each `raise` of an own error in the shipped code: where, and the error's argument."""
    for app in ("children", "parent", "monitor", "examples", "quickstart", "roles", "mainproj"):
        for path in sorted((ROOT / app).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Raise) or node.exc is None:
                    continue
                call = node.exc if isinstance(node.exc, ast.Call) else None
                name = ast.unparse(call.func if call else node.exc)
                if name in OWN:
                    argument = call.args[0] if call and call.args else None
                    yield f"{path.relative_to(ROOT)}:{node.lineno} {name}", argument


def is_sentence(argument: ast.expr | None) -> bool:
    if argument is None:
        return False
    if ast.unparse(argument) in PASSED_ON:
        return True
    parts = list(ast.walk(argument))
    values = sum(isinstance(part, ast.FormattedValue) for part in parts)
    texts = [part.value for part in parts if isinstance(part, ast.Constant)]
    words = re.findall(r"[A-Za-z']{2,}", " ".join(map(str, texts)))
    return bool(words) and len(words) + values >= FEWEST_WORDS


def test_no_error_is_raised_with_a_bare_value() -> None:
    # Not a test for each: every process of the suite would read all the code when it collects.
    found = list(raised())

    assert len(found) > 80
    assert [where for where, argument in found if not is_sentence(argument)] == []


@pytest.mark.parametrize("name", sorted(OWN))
def test_each_class_says_in_sentences_what_it_means(name: str) -> None:
    text = inspect.getdoc(OWN[name]) or ""

    assert text[:1].isupper() or text.startswith("`"), text
    assert text.endswith("."), text


def unknown_step() -> None:
    workflows.sums.step("nothing")


def lost_attempt() -> None:
    run = start(workflows.noops, {})
    run.steps.filter(index=0).update(name="one")
    attempt = claimed(run)
    end_attempt(attempt.task_id, Meta().failed("taken away"))
    attempt.report(Meta.at(1, 2))


def ended() -> Run:
    run = start(workflows.noops, {})
    return cancel(run.pk)


def parent_task_with_an_id_that_is_no_uuid() -> None:
    task: Any = workflows.noops.task
    task.push_request(id="seven", called_directly=False)
    try:
        task.run()
    finally:
        task.pop_request()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("raising", "name"),
    [
        (unknown_step, "UnknownStep"),
        (lost_attempt, "AttemptLost"),
        (lambda: registry.get("nothing"), "UnknownWorkflow"),
        (lambda: start(workflows.sums, {}), "InvalidParams"),
        (lambda: start(Workflow("stepless", steps=[]), {}), "InvalidWorkflow"),
        (lambda: cancel(uuid4()), "UnknownRun"),
        (lambda: retry(uuid4()), "UnknownRun"),
        (lambda: cancel(ended().pk), "RunEnded"),
        (lambda: retry(start(workflows.noops, {}).pk), "CannotRetry"),
        (lambda: retry(ended().pk, step="nothing"), "InvalidRetry"),
        (lambda: delete_run(start(workflows.noops, {})), "RunActive"),
        (parent_task_with_an_id_that_is_no_uuid, "WorkflowError"),
    ],
)
def test_the_text_of_an_error_is_a_sentence(raising: Callable[[], Any], name: str) -> None:
    try:
        with pytest.raises((WorkflowError, AttemptLost)) as caught:
            raising()
    finally:
        registry._workflows.pop("stepless", None)

    text = str(caught.value)
    assert type(caught.value).__name__ == name
    assert len(text.split()) >= FEWEST_WORDS, text
    assert text[0].isupper() or ": " in text, text  # else it begins with a field's name
    assert text[-1] in ".?" or ": " in text, text


@pytest.mark.django_db
@pytest.mark.parametrize("run_id", ["nope", "", "\x00", "\ud800", "9" * 5_000, 0, None, 1.5, b"x"])
@pytest.mark.parametrize(
    "call", [cancel, retry, partial(give, name="paid", values={}), partial(close, name="paid")]
)
def test_no_run_has_an_id_that_is_no_uuid(call: Callable[[Any], Any], run_id: Any) -> None:
    with pytest.raises(UnknownRun, match="There is no run") as caught:
        call(run_id)

    assert len(str(caught.value)) < 200
