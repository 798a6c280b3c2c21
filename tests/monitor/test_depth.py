"""Nested JSON that the API accepts works everywhere: in inputs, results and responses."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from celery.result import AsyncResult
from django.contrib.auth.models import User
from rest_framework import serializers
from rest_framework.test import APIClient

from children import child_task
from children.progress import Progress
from children.sanitize import GIVEN_DEPTH
from parent import Step, Workflow
from parent.definition.workflow import registry
from parent.inline import run_inline
from parent.models import Run

Api = Callable[[User | None], APIClient]


def nested(depth: int, how: str = "lists") -> Any:
    """JSON of `depth` nested lists or objects."""
    text = {"lists": "[%s]", "objects": '{"a":%s}'}[how]
    before, after = text.split("%s")
    return json.loads(before * depth + "1" + after * depth)


class Anything(serializers.Serializer[None]):
    extra = serializers.JSONField()


@child_task(name="flows.wraps")
def wraps(progress: Progress, given: Any) -> dict[str, Any]:
    return {"wrapped": [given]}


@pytest.fixture
def deep_flow(monkeypatch: pytest.MonkeyPatch) -> Workflow:
    """Each step nests its result deeper for the next one."""
    monkeypatch.setattr(registry, "_workflows", dict(registry._workflows))
    return Workflow(
        "deep",
        params=Anything,
        steps=[
            Step(wraps, name="first", inputs=lambda run: {"given": run.params}),
            Step(wraps, name="second", inputs=lambda run: {"given": [run.results["first"]]}),
        ],
        result=lambda run: {"results": [run.results]},
    )


@pytest.mark.parametrize("how", ["lists", "objects"])
@pytest.mark.parametrize("depth", [GIVEN_DEPTH - 2, GIVEN_DEPTH - 1, GIVEN_DEPTH])
def test_accepted_nesting_is_stored_and_returned(
    owner: User, api: Api, deep_flow: Workflow, depth: int, how: str
) -> None:
    given, client = nested(depth, how), api(owner)
    started = client.post("/workflows/deep/", {"extra": given}, format="json")
    assert started.status_code == 202, started.content

    run = run_inline(deep_flow, owner=owner, extra=given)

    assert (run.state, run.error) == ("SUCCESS", None)
    first = {"wrapped": [{"extra": given}]}
    assert run.result == {"results": [{"first": first, "second": {"wrapped": [[first]]}}]}
    assert AsyncResult(str(run.pk)).result == run.result
    assert client.get(f"/tasks/{run.pk}/").status_code == 200
    assert client.get("/tasks/").status_code == 200
    assert client.get(f"/runs/{run.pk}/").status_code == 200
    assert client.get(f"/runs/{run.pk}/result.json").json() == run.result


@pytest.mark.parametrize("how", ["lists", "objects"])
@pytest.mark.parametrize("kind", ["json", "multipart"])
def test_deeper_nesting_is_refused(
    owner: User, api: Api, deep_flow: Workflow, how: str, kind: str
) -> None:
    given = nested(GIVEN_DEPTH + 1, how)
    body = {"extra": given if kind == "json" else json.dumps(given)}

    refused = api(owner).post("/workflows/deep/", body, format=kind)

    assert refused.status_code == 400
    assert refused.json()["errors"] == {
        "extra": ["It is not JSON that can be stored: it is nested deeper than 200."]
    }
    assert not Run.objects.exists()


def test_the_inputs_and_results_of_a_retry_go_as_deep(
    owner: User, api: Api, deep_flow: Workflow
) -> None:
    run = run_inline(deep_flow, owner=owner, extra=1)
    Run.objects.filter(pk=run.pk).update(state="FAILURE")
    run.steps.filter(name="second").update(state="ERROR")
    for depth, status in ((GIVEN_DEPTH + 1, 400), (GIVEN_DEPTH, 202)):
        wish = {"step": "second", "skip": True, "result": nested(depth)}

        answer = api(owner).post(f"/tasks/{run.pk}/retry/", wish, format="json")

        assert answer.status_code == status, answer.content
    run.refresh_from_db()
    assert run.state == "SUCCESS"
