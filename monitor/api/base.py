"""What all our API views have in common, whatever a project's own `REST_FRAMEWORK` says."""

from contextlib import nullcontext
from typing import Any

from django.http import HttpRequest
from django.utils.translation import override
from rest_framework import renderers
from rest_framework.authentication import SessionAuthentication
from rest_framework.metadata import SimpleMetadata
from rest_framework.negotiation import BaseContentNegotiation, DefaultContentNegotiation
from rest_framework.parsers import FormParser, MultiPartParser
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.settings import DEFAULTS, IMPORT_STRINGS, APISettings
from rest_framework.views import APIView

from monitor.api.documents import ApiSchema
from monitor.http.our_view import OurView
from monitor.http.parsers import JSONParser
from monitor.texts.row_texts import asked_language
from monitor.tokens import TokenAuthentication

__all__ = ["ApiView"]

Classes = tuple[Any, ...]

SETTINGS: Any = APISettings(
    {"EXCEPTION_HANDLER": "monitor.http.problems.exception_handler"}, DEFAULTS, IMPORT_STRINGS
)
"""DRF's defaults, and our own handler. An empty dict would mean the project's settings."""


class JSONRenderer(renderers.JSONRenderer):
    """DRF's, with its defaults."""

    ensure_ascii, compact, strict = False, True, True


class Negotiation(DefaultContentNegotiation):
    """DRF's, with its defaults."""

    settings = SETTINGS


class ApiView(OurView, APIView):
    """A view of ours. Each attribute that DRF takes from `REST_FRAMEWORK` is set here."""

    settings = SETTINGS
    authentication_classes: Classes = (TokenAuthentication, SessionAuthentication)
    permission_classes: Classes = (IsAuthenticated,)
    throttle_classes: Classes = ()
    parser_classes: Classes = (JSONParser, FormParser, MultiPartParser)
    renderer_classes: Classes = (JSONRenderer,)
    content_negotiation_class: type[BaseContentNegotiation] = Negotiation
    metadata_class: type[SimpleMetadata] | None = SimpleMetadata
    versioning_class = None
    schema: Any = ApiSchema()

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """In the language that is asked for, in which serializers say what is wrong in a field."""
        language = asked_language(request)
        with override(language) if language else nullcontext():
            return super().dispatch(request, *args, **kwargs)

    def handle_exception(self, exc: Exception) -> Response:
        """The problem document for an error: JSON, whatever this view answers otherwise."""
        self.request.accepted_renderer = JSONRenderer()
        self.request.accepted_media_type = JSONRenderer.media_type
        return super().handle_exception(exc)
