"""What `REST_FRAMEWORK` names, apart from views, which import it."""

from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.permissions import BasePermission
from rest_framework.renderers import JSONRenderer


class Nobody(BasePermission):
    def has_permission(self, request, view):
        return False


class Envelope(JSONRenderer):
    media_type = "application/vnd.team+json"
    format = "team"

    def render(self, data, *args, **more):
        return super().render({"data": data}, *args, **more)


class AlwaysTheFirst(BaseContentNegotiation):
    def select_parser(self, request, parsers):
        return parsers[0]

    def select_renderer(self, request, renderers, format_suffix=None):
        return renderers[0], renderers[0].media_type
