"""Describes the parameters of a workflow's start, by drf-spectacular."""

import json
from typing import Any

from django.urls import path
from drf_spectacular.generators import SchemaGenerator
from rest_framework.serializers import (
    BaseSerializer,
    DictField,
    JSONField,
    Serializer,
)

from monitor.api.base import ApiView
from monitor.api.documents import StartSchema, describe, ours
from parent.store.files import takes_files

__all__ = ["bodies", "params_schema"]

JSON, MULTIPART = "application/json", "multipart/form-data"
FORM = "application/x-www-form-urlencoded"
OPENAPI_REF, JSON_SCHEMA_REF = "#/components/schemas/", "#/$defs/"

NESTED = (BaseSerializer, DictField, JSONField)

Params = type[BaseSerializer[Any]] | None


class NoParams(Serializer[Any]):  # without a docstring, which would be the description of a body
    pass


def bodies(params: Params) -> dict[str, Any]:
    """A serializer for each content type that a start takes, the most complete first.

    Only multipart can carry a file. The other types leave out optional files, and are left out
    themselves if a file is required. A plain form is for parameters without nested fields.
    """
    kind: Any = params or NoParams
    fields = kind().fields if issubclass(kind, Serializer) else {}
    files = {name: field for name, field in fields.items() if takes_files(field)}
    if any(field.required for field in files.values()):
        return {MULTIPART: kind}
    flat = not any(isinstance(field, NESTED) for field in fields.values())
    if not files:
        return {JSON: kind, MULTIPART: kind} | ({FORM: kind} if flat else {})
    without = type(f"{kind.__name__}WithoutFiles", (kind,), dict.fromkeys(files))
    return {MULTIPART: kind, JSON: without} | ({FORM: without} if flat else {})


def params_schema(params: Params) -> dict[str, Any]:
    """The JSON schema (2020-12) of what `params` accepts; nested parts are under `$defs`.

    It is the same as in the OpenAPI document. A file is a string of format `binary`, to be sent as
    `multipart/form-data`.
    """

    class Start(ApiView):
        schema = StartSchema()

        @describe(by=StartSchema, request=bodies(params), responses=None)
        def post(self) -> None:
            """For description only."""

    generator: Any = SchemaGenerator(patterns=[path("", Start.as_view())])  # type: ignore[no-untyped-call]
    with ours():
        document = generator.get_schema(public=True)
    (operation,) = document["paths"].values()
    media = next(iter(operation["post"]["requestBody"]["content"].values()))
    # OpenAPI 3.1 uses JSON Schema; only the place of shared parts differs.
    text = json.dumps([media["schema"], document["components"]["schemas"]])
    schema: dict[str, Any]
    schema, parts = json.loads(text.replace(OPENAPI_REF, JSON_SCHEMA_REF))
    schema = parts[schema["$ref"].removeprefix(JSON_SCHEMA_REF)] if "$ref" in schema else schema
    shared = _reachable(schema, parts)
    return schema | {"$defs": shared} if shared else schema


def _reachable(schema: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    """Those of `parts` that `schema` refers to, directly or through another."""
    found: dict[str, Any] = {}
    unread = [schema]
    while unread:
        text = json.dumps(unread.pop())
        for name, part in parts.items():
            if name not in found and f'"{JSON_SCHEMA_REF}{name}"' in text:
                found[name] = part
                unread.append(part)
    return found
