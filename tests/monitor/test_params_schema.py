"""The JSON schema of parameters."""

from rest_framework import serializers

from monitor.api.params_schema import params_schema
from parent.definition.workflow import Workflow


class Inner(serializers.Serializer[None]):
    name = serializers.CharField(allow_null=True)


class Outer(serializers.Serializer[None]):
    limit = serializers.IntegerField(min_value=1, default=5, help_text="How many.")
    file = serializers.FileField()
    inner = Inner(many=True, required=False)
    shown = serializers.CharField(read_only=True)


class Empty(serializers.Serializer[None]):
    pass


def test_a_serializer_becomes_a_json_schema() -> None:
    schema = params_schema(Outer)

    assert schema["type"] == "object"
    assert schema["required"] == ["file"]
    assert schema["properties"] == {
        "limit": {"type": "integer", "minimum": 1, "default": 5, "description": "How many."},
        "file": {"type": "string", "format": "binary"},
        "inner": {"type": "array", "items": {"$ref": "#/$defs/InnerRequest"}},
    }


def test_shared_parts_are_in_the_schema_itself_and_no_others() -> None:
    assert params_schema(Outer)["$defs"] == {
        "InnerRequest": {
            "type": "object",
            "properties": {"name": {"type": ["string", "null"], "minLength": 1}},
            "required": ["name"],
            "additionalProperties": False,
        }
    }


def test_without_parameters_the_schema_is_an_empty_object() -> None:
    assert params_schema(None) == params_schema(Empty)
    assert params_schema(None)["additionalProperties"] is False
    assert params_schema(None).get("properties", {}) == {}


def test_every_kind_of_field_has_a_schema(form_flow: Workflow) -> None:
    assert form_flow.params is not None
    properties = params_schema(form_flow.params)["properties"]

    assert set(properties) == set(form_flow.params().fields)  # type: ignore[attr-defined]
