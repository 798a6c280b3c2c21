"""drf-spectacular for our own documents: the settings, schema classes and generator of the API.

A project may use drf-spectacular, or another generator, for an API of its own. Nothing of ours is
in its document, and none of its settings changes ours.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, cast

from drf_spectacular.drainage import has_override
from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.generators import EndpointEnumerator, SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.settings import (
    IMPORT_STRINGS,
    SPECTACULAR_DEFAULTS,
    SpectacularSettings,
    spectacular_settings,
)
from drf_spectacular.utils import extend_schema
from rest_framework.fields import JSONField

from monitor.http.namespace import our_url

__all__ = ["TITLE", "ApiSchema", "Document", "StartSchema", "describe", "ours"]

TITLE = "parentchild"
URLCONF = "monitor.urls"
SETTINGS: dict[str, Any] = {
    "TITLE": TITLE,
    "DESCRIPTION": (
        "Start workflows, follow their runs, cancel, retry and delete them. Log in with a token "
        "(`Authorization: Token ...`) or a session; a session's unsafe requests need the CSRF "
        "token in `X-CSRFToken`. Every error is a problem document (RFC 9457)."
    ),
    "VERSION": "0.1",  # of the API
    "OAS_VERSION": "3.1.0",  # the first whose schemas are JSON Schema
    "COMPONENT_SPLIT_REQUEST": True,  # a file is sent as content and returned as a name
    "PREPROCESSING_HOOKS": ["monitor.api.schema_views.with_starts"],
    "PATH_CONVERTER_OVERRIDES": {"workflow_id": {"type": "string", "format": "uuid"}},
    "SCHEMA_PATH_PREFIX": "/",
    "SERVE_PUBLIC": False,  # each caller sees the workflows that they may start
    "POSTPROCESSING_HOOKS": [],  # keep enums inline: those of two apps may have the same name
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "SWAGGER_UI_DIST": "SIDECAR",  # from this server, not from a CDN
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"displayOperationId": True, "defaultModelsExpandDepth": 0},
}

ANYTHING = ["object", "array", "string", "number", "boolean"]  # all but null

_ours: ContextVar[bool] = ContextVar("ours", default=False)


@contextmanager
def ours() -> Iterator[None]:
    """In this context drf-spectacular has our settings, and our views are described."""
    token = _ours.set(True)
    try:
        yield
    finally:
        _ours.reset(token)


OURS = SpectacularSettings(cast(Any, SETTINGS), cast(Any, SPECTACULAR_DEFAULTS), IMPORT_STRINGS)


class SettingsByContext(SpectacularSettings):
    """The project's settings, and ours in the context of `ours()`.

    drf-spectacular reads one global object. Its own `patched_settings` changes that object for all
    threads, so a document of the project that is made meanwhile would have our settings.
    """

    def __getattribute__(self, name: str) -> Any:
        if name in SPECTACULAR_DEFAULTS and _ours.get():
            return getattr(OURS, name)
        return super().__getattribute__(name)


spectacular_settings.__class__ = SettingsByContext


class ApiSchema(AutoSchema):
    """Describes our views, in our own documents only: for all other generators it is None."""

    def __get__(self, instance: Any, owner: Any) -> Any:
        # DRF and the generators of other packages leave out a view whose schema is None.
        return super().__get__(instance, owner) if _ours.get() else None

    # Private. An extension, the public way, would change the project's own document as well, and
    # would take precedence over the extensions of a workflow's author.
    def _map_serializer_field(
        self, field: Any, direction: Any, bypass_extensions: bool = False
    ) -> Any:
        parent: Any = super()
        schema: Any = parent._map_serializer_field(field, direction, bypass_extensions)
        plain = not has_override(field, "field") and not _extension(field)
        if isinstance(field, JSONField) and plain and direction == "request":
            return schema if field.allow_null else {"type": ANYTHING, **schema}
        return schema


def _extension(field: Any) -> Any:
    return OpenApiSerializerFieldExtension.get_match(field)


class StartSchema(ApiSchema):
    """Describes what the start of a workflow takes."""

    view: Any

    def get_serializer_name(self, serializer: Any, direction: Any) -> str:
        """Prefixed by the workflow: serializers of two apps may have the same name."""
        name: str = super().get_serializer_name(serializer, direction)
        workflow = getattr(self.view, "workflow", None)
        return f"{workflow.name}.{name}" if workflow and direction == "request" else name

    # Private, as above: an extension would forbid additional properties in every view.
    def _map_serializer(
        self, serializer: Any, direction: Any, bypass_extensions: bool = False
    ) -> dict[str, Any]:
        parent: Any = super()
        schema: dict[str, Any] = parent._map_serializer(serializer, direction, bypass_extensions)
        if direction == "request" and schema.get("type") == "object":
            schema["additionalProperties"] = False
        return schema


def describe(*, by: type[AutoSchema] = ApiSchema, **operation: Any) -> Callable[[Any], Any]:
    """drf-spectacular's `extend_schema` for a method of our views.

    That derives from the project's `DEFAULT_SCHEMA_CLASS` unless the method has a class already.
    """
    extend: Callable[[Any], Any] = extend_schema(**operation)

    def decorate(method: Any) -> Any:
        method.kwargs = {"schema": by}
        return extend(method)

    return decorate


class OurEndpoints(EndpointEnumerator):
    """Our endpoints under the prefix where a project has included them."""

    def __init__(self, root: str, *_: Any) -> None:
        super().__init__(urlconf=URLCONF)
        self._root = root

    def get_api_endpoints(self, patterns: Any = None, prefix: str = "") -> list[Any]:
        parent: Any = super()
        found = parent.get_api_endpoints(patterns, prefix)
        return [(self._root + path.lstrip("/"), *more) for path, *more in found]


class Document(SchemaGenerator):
    """Generates the document of the whole API, and of nothing else."""

    def get_schema(self, request: Any = None, public: bool = False) -> Any:
        parent: Any = super()
        endpoints: Any = partial(OurEndpoints, our_url(request, "start"))
        self.endpoint_inspector_cls = endpoints
        with ours():
            return parent.get_schema(request, public)
