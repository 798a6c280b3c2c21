"""The OpenAPI document and its page: one path for each workflow's start."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.contrib.auth.mixins import LoginRequiredMixin
from drf_spectacular.renderers import (
    OpenApiJsonRenderer,
    OpenApiJsonRenderer2,
    OpenApiYamlRenderer,
    OpenApiYamlRenderer2,
)
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.renderers import TemplateHTMLRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from monitor.api.base import ApiView
from monitor.api.documents import TITLE, Document, StartSchema, ours
from monitor.api.openapi import workflow_operations
from monitor.api.params_schema import bodies
from monitor.api.views import WorkflowView
from monitor.apply_policy import find_workflow
from monitor.http.namespace import our_url
from parent.definition.workflow import Workflow, registry

__all__ = ["DocsPage", "SchemaView", "start_view", "with_starts"]

Endpoint = tuple[str, str, str, Any]
"""Path, its regular expression, method, and the view's callable."""


class SchemaView(ApiView):
    """The document, as YAML or JSON."""

    schema = None
    renderer_classes = (
        *(OpenApiYamlRenderer, OpenApiYamlRenderer2),
        *(OpenApiJsonRenderer, OpenApiJsonRenderer2),
    )

    def get(self, request: Request) -> Response:
        document = Document().get_schema(request, public=False)  # type: ignore[no-untyped-call]
        name = f"{TITLE}.{request.accepted_renderer.format}"
        return Response(document, headers={"Content-Disposition": f'inline; filename="{name}"'})


class DocsPage(LoginRequiredMixin, ApiView, SpectacularSwaggerSplitView):
    """The document as a page with forms. Its script is a file, for the security policy."""

    schema = None
    renderer_classes: Any = (TemplateHTMLRenderer,)
    metadata_class = None  # a template says nothing of it
    template_name = "monitor/docs.html"
    title = TITLE

    def get(self, request: Request) -> Response:
        with ours():
            page: Any = super()
            response: Response = page.get(request)
        return response

    def _get_schema_url(self, request: Request) -> str:
        # Private. Its `url_name` knows nothing of where a project has included our URLs.
        return our_url(request, "schema")


def with_starts(endpoints: Iterable[Endpoint]) -> list[Endpoint]:
    """Replace the one path that starts any workflow by a path for each: a drf-spectacular hook."""
    return [each for endpoint in endpoints for each in _expanded(endpoint)]


def _expanded(endpoint: Endpoint) -> Iterator[Endpoint]:
    path, regex, method, callback = endpoint
    if callback.cls is not WorkflowView:
        yield endpoint
        return
    for workflow in registry.workflows():
        yield path.format(name=workflow.name), regex, method, start_view(workflow)


def start_view(workflow: Workflow) -> Any:
    """A view that represents the start of this workflow in the document."""

    class Start(WorkflowView):
        schema = StartSchema()

        def check_permissions(self, request: Request) -> None:
            # drf-spectacular calls it for each path, to leave out what the caller may not use.
            super().check_permissions(request)
            find_workflow(request.user, workflow.name)

        @workflow_operations.start(workflow.name, workflow.description, bodies(workflow.params))
        def post(self) -> None:
            """For description only."""

    Start.workflow = workflow  # type: ignore[attr-defined]
    return Start.as_view()
