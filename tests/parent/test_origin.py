"""A run that a Celery client or beat starts has the owner and the periodic task that it names."""

from typing import Any
from uuid import uuid4

import pytest
from celery import current_app
from celery.app.task import Context
from django.contrib.auth.models import User

from parent.definition.runtime import runtime
from parent.errors import UnknownOwner
from parent.models import Run
from tests.flows import canvas

pytestmark = pytest.mark.django_db


def sent(**headers: Any) -> Run:
    run_id = uuid4()
    runtime().start_or_continue(canvas.doubled, {"a": 2}, run_id, Context(headers=headers))
    return Run.objects.get(pk=run_id)


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann")


def test_without_headers_the_run_is_nobodys() -> None:
    run = sent()

    assert (run.owner, run.periodic_task) == (None, "")


def test_the_headers_name_owner_and_periodic_task(ann: User) -> None:
    run = sent(workflow_owner="ann", periodic_task_name="nightly")

    assert (run.owner, run.periodic_task) == (ann, "nightly")


@pytest.mark.parametrize(
    ("name", "kept"), [("x" * 300, "x" * 200), ("a\x00b", "ab"), (None, ""), (7, "7")]
)
def test_a_name_that_the_column_cannot_have_is_cut(name: Any, kept: str) -> None:
    assert sent(periodic_task_name=name).periodic_task.replace("\ufffd", "") == kept


@pytest.mark.parametrize("name", ["zoe", "", 7])
def test_an_unknown_owner_is_named_and_no_run_is_started(ann: User, name: Any) -> None:
    with pytest.raises(UnknownOwner) as told:
        sent(workflow_owner=name)

    assert f"username is {str(name)!r}: correct the header 'workflow_owner'" in str(told.value)
    assert not Run.objects.exists()


def test_an_eager_task_takes_them_too(ann: User) -> None:
    headers = {"workflow_owner": "ann", "periodic_task_name": "nightly"}

    current_app.tasks["parent.doubled_number"].apply(kwargs={"a": 2}, headers=headers).get()

    run = Run.objects.get()
    assert (run.owner, run.periodic_task) == (ann, "nightly")
