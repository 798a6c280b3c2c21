"""Template tags for URLs.

`{% our_url 'run' run.pk %}` is one of our views, wherever a project includes them.
`{% login_url %}` is
the project's login. `{% admin_page 'run' run.pk %}` is the admin's page of one of our rows.
"""

from typing import Any

from django import template
from django.conf import settings
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, reverse

from monitor.http import namespace

__all__ = ["admin_page", "login_url", "our_url", "url_if_there"]

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


@register.simple_tag(takes_context=True)
def url_if_there(context: template.RequestContext, name: str, *args: object) -> str:
    """As `our_url`; empty for a view that this project does not have."""
    try:
        return our_url(context, name, *args)
    except NoReverseMatch:
        return ""


@register.simple_tag(takes_context=True)
def admin_page(context: template.RequestContext, model: str, pk: object = None) -> str:
    """The admin's page of a row of the engine's, or of all of them without `pk`.

    Empty for who may not see it, and in a project without an admin.
    """
    user: Any = getattr(getattr(context, "request", None), "user", None)
    if not (getattr(user, "is_staff", False) and user.has_perm(f"parent.view_{model}")):
        return ""
    try:
        if pk is None:
            return reverse(f"admin:parent_{model}_changelist")
        return reverse(f"admin:parent_{model}_change", args=[pk])
    except NoReverseMatch:
        return ""
