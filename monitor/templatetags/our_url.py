"""Template tags for URLs.

`{% our_url 'run' run.pk %}` is one of our views, wherever a project includes them.
`{% login_url %}` is
the project's login.
"""

from django import template
from django.conf import settings
from django.shortcuts import resolve_url

from monitor.http import namespace

__all__ = ["login_url", "our_url"]

register = template.Library()


@register.simple_tag(takes_context=True)
def our_url(context: template.RequestContext, name: str, *args: object) -> str:
    """As `monitor.http.namespace.our_url`, for the request that the page answers."""
    # Without Django's context processor `request`, the context itself still has the request.
    return namespace.our_url(getattr(context, "request", None), name, *args)


@register.simple_tag
def login_url() -> str:
    """The page that `LOGIN_URL` names."""
    return str(resolve_url(settings.LOGIN_URL))
