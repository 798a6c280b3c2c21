"""Parameters as a run stores them."""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta, timezone
from typing import Any

import pytest
from django.core.files.base import ContentFile
from rest_framework import serializers

from parent import Step, Workflow
from parent.definition.parameters.params import as_json, validate
from parent.definition.workflow import registry
from parent.errors import InvalidParams
from tests.flows import tasks


class Params(serializers.Serializer[None]):
    at = serializers.DateTimeField(required=False)
    clock = serializers.TimeField(required=False)
    lasts = serializers.DurationField(required=False)
    moments = serializers.ListField(child=serializers.DateTimeField(), required=False)
    by_name = serializers.DictField(required=False)
    extra = serializers.JSONField(required=False)
    file = serializers.FileField(required=False)


@pytest.fixture
def workflow() -> Iterator[Workflow]:
    yield Workflow("with_params", params=Params, steps=[Step(tasks.noop)])
    registry._workflows.pop("with_params", None)


@pytest.mark.parametrize(
    ("field", "sent", "kept"),
    [
        ("at", "2025-03-01T12:00:00.123456Z", "2025-03-01T12:00:00.123456Z"),
        ("at", "2025-03-01T12:00:00.000001+02:00", "2025-03-01T10:00:00.000001Z"),
        ("at", "2025-03-01T12:00:00Z", "2025-03-01T12:00:00Z"),
        ("clock", "12:30:00.000007", "12:30:00.000007"),
        ("lasts", "1 02:03:04.000005", "P1DT02H03M04.000005S"),
        ("moments", ["2025-03-01T12:00:00.999999Z"], ["2025-03-01T12:00:00.999999Z"]),
    ],
)
def test_no_microsecond_is_lost(workflow: Workflow, field: str, sent: Any, kept: Any) -> None:
    assert as_json(validate(workflow, {field: sent})) == {field: kept}


def test_times_that_no_serializer_made_keep_their_microseconds() -> None:
    offset = timezone(timedelta(hours=5, minutes=30))
    moment = datetime(2025, 3, 1, 12, 0, 0, 7, tzinfo=offset)

    assert as_json({"a": [moment], "b": moment.astimezone(UTC), "c": time(1, 2, 3, 4)}) == {
        "a": ["2025-03-01T12:00:00.000007+05:30"],
        "b": "2025-03-01T06:30:00.000007Z",
        "c": "01:02:03.000004",
    }


@pytest.mark.parametrize("field", ["by_name", "extra"])
@pytest.mark.parametrize("others", [{}, {"when": datetime(2025, 3, 1, tzinfo=UTC)}])
def test_keys_that_are_equal_in_json_are_an_error_of_their_field(
    workflow: Workflow, field: str, others: dict[str, Any]
) -> None:
    with pytest.raises(InvalidParams) as refused:
        as_json(validate(workflow, {field: {1: "int", "1": "str", **others}}))

    assert "are the same there" in str(refused.value.errors[field])


def test_a_list_of_files_is_no_file(workflow: Workflow) -> None:
    files = [ContentFile(b"a", "a"), ContentFile(b"b", "b")]

    with pytest.raises(InvalidParams) as refused:
        validate(workflow, {"file": files})

    assert refused.value.errors == {"file": ["Send one file."]}
