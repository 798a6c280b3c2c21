"""The operations on workflows: which there are, and the start of one."""

from typing import Any

from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers

from monitor.api.documents import StartSchema, describe
from monitor.api.openapi.answers import RETRY_AFTER, UNSAFE, Decorator, Shape, header, problems
from monitor.api.openapi.task_shapes import TaskStatus
from monitor.api.request_options import IDEMPOTENCY_KEY, INSTEAD, LONGEST_KEY
from parent.models import Awaits, When

__all__ = ["list_workflows", "start"]

WORKFLOWS = ["workflows"]
LOCATION = header("Location", "Where the status of the run is.", 200, 202)
INSTEAD_HEADER = header(
    INSTEAD,
    "`skipped` or `existing`: no run was started, and this is the one that goes on.",
    200,
    type={"type": "string", "enum": ["skipped", "existing"]},
)
# A schema of our own: drf-spectacular drops the pattern of a header otherwise.
IDEMPOTENCY = header(
    IDEMPOTENCY_KEY,
    "With the same key and the same parameters, the same owner gets the same run; "
    "with other parameters it is a 409.",
    type={"type": "string", "pattern": f"^[!-~]{{1,{LONGEST_KEY}}}$"},
)


class WorkflowStep(Shape):
    """A step of a workflow."""

    name = serializers.CharField()
    title = serializers.CharField(help_text="For people; the name where there is no title.")
    after = serializers.ListField(
        child=serializers.CharField(), help_text="The steps that it waits for."
    )
    when = serializers.ChoiceField(
        choices=When.choices, help_text="How these must end so that it runs."
    )
    optional = serializers.BooleanField(help_text="Whether its failure leaves the run as it is.")
    mapped = serializers.BooleanField(help_text="Whether its child runs over many items.")
    workflow = serializers.CharField(
        allow_null=True, help_text="The workflow that it runs; null where it runs a task."
    )


class WorkflowSignal(Shape):
    """A signal or an approval of a workflow."""

    name = serializers.CharField(help_text="As in `POST /tasks/<id>/signals/<name>/`.")
    title = serializers.CharField(help_text="For people; the name where there is no title.")
    awaits = serializers.ChoiceField(choices=Awaits.choices)
    permission = serializers.CharField(
        allow_null=True, help_text="Of those who may give it; null: who may change the run."
    )
    feeds = serializers.CharField(
        allow_null=True,
        help_text="The mapped step that takes each one that comes as an item; null: one counts.",
    )
    params = serializers.DictField(help_text="A JSON Schema (2020-12) of what it takes.")


class WorkflowEntry(Shape):
    """A workflow that can be started."""

    name = serializers.CharField(help_text="As in `POST /workflows/<name>/`.")
    title = serializers.CharField(help_text="For people; the name where there is no title.")
    description = serializers.CharField(allow_blank=True)
    params = serializers.DictField(help_text="A JSON Schema (2020-12) of what a start takes.")
    steps = WorkflowStep(many=True)
    signals = WorkflowSignal(many=True)


def start(name: str, description: str, request: dict[str, Any]) -> Decorator:
    """The start of one workflow; `request` has a serializer for each type of body."""
    return describe(
        by=StartSchema,
        operation_id=f"start_{name}",
        summary=f"Start {name}",
        description=description or f"Starts a run of {name}.",
        tags=WORKFLOWS,
        parameters=[IDEMPOTENCY, LOCATION, INSTEAD_HEADER, RETRY_AFTER],
        request=request,
        responses={
            200: OpenApiResponse(
                TaskStatus, description="Not started, because this run goes on already."
            ),
            202: OpenApiResponse(TaskStatus, description="Started; poll its status."),
            **problems(*UNSAFE, 404, 409, 429, 507),
        },
    )


list_workflows = describe(
    operation_id="list_workflows",
    summary="The workflows that can be started",
    description="Each with its steps, and a JSON Schema of the parameters that a start takes.",
    tags=WORKFLOWS,
    parameters=[RETRY_AFTER],
    responses={
        200: OpenApiResponse(WorkflowEntry(many=True), description="All of them, by name."),
        **problems(),
    },
)
