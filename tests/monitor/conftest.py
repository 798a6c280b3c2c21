"""Rows and clients for the tests of the HTTP API and the pages."""

import json
import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cache
from io import StringIO
from logging.config import dictConfig
from typing import Any
from uuid import uuid4

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.core.cache import caches
from django.utils import timezone
from rest_framework import serializers
from rest_framework.test import APIClient

from examples.main_flow.tasks import func_1
from mainproj.cache import cache_at
from mainproj.log import log_config
from monitor.http import throttles
from monitor.polling.slow_down import pace
from parent.definition.workflow import Step as StepDefinition
from parent.definition.workflow import Workflow, registry
from parent.models import Run, Step

MakeRun = Callable[..., Run]


@pytest.fixture(autouse=True)
def _own_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """The polls of other tests make no answer ask for a longer pause."""
    monkeypatch.setattr(pace, "_asked", 0.0)


@pytest.fixture
def counted(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Starts are counted in this process's memory, without those of other tests, and in a minute
    that does not end meanwhile.
    """
    monkeypatch.setattr(throttles, "time", type("Clock", (), {"time": lambda: 1_200_000_030.0}))
    settings.CACHES = {"default": cache_at("memory://")}
    caches["default"].clear()
    yield
    caches["default"].clear()


@pytest.fixture
def owner(db: None) -> User:
    return User.objects.create_user("ann", password="a long pass phrase")


@pytest.fixture
def other(db: None) -> User:
    return User.objects.create_user("bob", password="another pass phrase")


@pytest.fixture
def staff(db: None) -> User:
    return User.objects.create_user("eve", password="a staff pass phrase", is_staff=True)


@pytest.fixture
def api() -> Callable[[User | None], APIClient]:
    """A client of the HTTP API, signed in as a user or anonymous."""

    def client(user: User | None) -> APIClient:
        made = APIClient()
        if user is not None:
            made.force_login(user)
        return made

    return client


@pytest.fixture
def make_run(db: None) -> MakeRun:
    """Writes a run of two steps: `func_1` at 40 %, `func_2` waiting; keywords change the run."""

    def make(owner: User | None = None, **columns: Any) -> Run:
        now = timezone.now()
        run = Run.objects.create(
            **{
                "workflow": "main_flow",
                "owner": owner,
                "state": "PROGRESS",
                "completion": 20.0,
                "iteration": 4,
                "total": 10,
                "message": "func_1: 4 of 10",
                "created_at": now - timedelta(seconds=11),
                "started_at": now - timedelta(seconds=10),
                "finished_at": now if columns.get("state") in Run.ENDED else None,
                **columns,
            }
        )
        Step.objects.create(
            run=run,
            index=0,
            name="func_1",
            task="children.func_1",
            state="RUNNING",
            attempt=1,
            task_id=str(uuid4()),
            iteration=4,
            total=10,
            completion=40.0,
            message="4 of 10",
            queued_at=now - timedelta(seconds=11),
            started_at=now - timedelta(seconds=10),
            reported_at=now,
        )
        Step.objects.create(
            run=run, index=1, name="func_2", task="children.func_2", after=["func_1"]
        )
        return run

    return make


@pytest.fixture
def log() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """The log lines in the format of production."""
    root, stream = logging.getLogger(), StringIO()
    before = root.handlers[:], root.level
    dictConfig(log_config("json", "INFO"))
    handler: Any = root.handlers[0]
    handler.setStream(stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:], root.level = before


class Size(serializers.Serializer[None]):
    width = serializers.IntegerField(required=False, default=3)


class EveryKind(serializers.Serializer[None]):
    """One field of each kind that a form can show, and one that it cannot."""

    title = serializers.CharField(label="The title", help_text="Shown on <top>.", max_length=40)
    limit = serializers.IntegerField(min_value=1, max_value=10, default=7)
    ratio = serializers.FloatField(required=False)
    day = serializers.DateField(required=False)
    careful = serializers.BooleanField(default=True)
    colour = serializers.ChoiceField(choices=[("r", "Red"), ("g", "Green")], required=False)
    sizes = serializers.MultipleChoiceField(choices=["s", "m", "l"], required=False)
    names = serializers.ListField(child=serializers.CharField(max_length=40), required=False)
    extra = serializers.JSONField(required=False)
    size = Size(required=False)
    labels = serializers.DictField(required=False)
    file = serializers.FileField(required=False)


@cache
def every_kind() -> Workflow:
    return Workflow(
        "every_kind",
        description="Takes all there is.",
        params=EveryKind,
        steps=[StepDefinition(func_1, inputs=lambda _: {"limit": 1})],
    )


@pytest.fixture
def form_flow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workflow]:
    """A workflow with every kind of parameter, registered for one test."""
    known = {workflow.name: workflow for workflow in registry.workflows()}
    monkeypatch.setattr(registry, "_workflows", {**known, "every_kind": every_kind()})
    yield every_kind()
    # Making one registers it, also where that happened in this test.
    monkeypatch.undo()
    registry._workflows.pop("every_kind", None)
