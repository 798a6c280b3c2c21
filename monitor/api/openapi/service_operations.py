"""The probes of the service."""

from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers

from monitor.api.documents import describe
from monitor.api.openapi.answers import REASONS, Problem, Shape, problems
from monitor.http.problems import PROBLEM_JSON

__all__ = ["health", "ready"]

SERVICE = ["service"]


class Health(Shape):
    """The process answers."""

    status = serializers.CharField(help_text="`ok`")


class Readiness(Shape):
    """Runs can go on."""

    status = serializers.CharField(help_text="`ready`")
    checks = serializers.DictField(
        child=serializers.CharField(), help_text="`ok` for each of `database, broker, workers`."
    )


class NotReady(Problem):
    """Runs cannot go on."""

    checks = serializers.DictField(
        child=serializers.CharField(), help_text="What is wrong with each part, or `ok`."
    )


ready = describe(
    operation_id="ready",
    summary="Whether runs can go on",
    description="For staff, and for programs that send the `METRICS_TOKEN` as a bearer's.",
    tags=SERVICE,
    auth=[{"cookieAuth": []}],
    responses={
        200: OpenApiResponse(Readiness, description="Database, broker and a worker answer."),
        (503, PROBLEM_JSON): OpenApiResponse(
            NotReady, description="One of them does not: `detail` says what to do."
        ),
        **{key: value for key, value in problems(403).items() if key[0] != 503},
    },
)


health = describe(
    operation_id="health",
    summary="Whether the process answers",
    tags=SERVICE,
    responses={
        200: OpenApiResponse(Health, description="It does."),
        (406, PROBLEM_JSON): OpenApiResponse(Problem, description=REASONS[406]),
    },
)
