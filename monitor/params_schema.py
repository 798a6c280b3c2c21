"""The JSON schema of a workflow's parameters, as drf-spectacular writes it."""

import json
from typing import Any

from django.urls import path
from drf_spectacular.generators import SchemaGenerator
from rest_framework.generics import CreateAPIView
from rest_framework.serializers import BaseSerializer

__all__ = ["params_schema"]

NO_PARAMS = {"type": "object", "properties": {}}
OPENAPI_REF, JSON_SCHEMA_REF = "#/components/schemas/", "#/$defs/"


def params_schema(params: type[BaseSerializer[Any]] | None) -> dict[str, Any]:
    """The JSON schema (2020-12) of what `params` accepts; nested parts are under `$defs`.

    A file is a string of format `binary`, to be sent as `multipart/form-data`.
    """
    if params is None:
        return NO_PARAMS
    view: Any = type("Start", (CreateAPIView,), {"serializer_class": params})
    generator: Any = SchemaGenerator(patterns=[path("", view.as_view())])  # type: ignore[no-untyped-call]
    document = generator.get_schema(public=True)
    (operation,) = document["paths"].values()
    body = operation["post"].get("requestBody")
    if body is None:
        return NO_PARAMS
    # OpenAPI 3.1 embeds JSON Schema itself; only the place of shared parts differs.
    text = json.dumps([next(iter(body["content"].values())), document["components"]["schemas"]])
    media, parts = json.loads(text.replace(OPENAPI_REF, JSON_SCHEMA_REF))
    root = media["schema"].get("$ref", "").removeprefix(JSON_SCHEMA_REF)
    schema: dict[str, Any] = parts[root] if root else media["schema"]
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
