"""A template tag for the details of steps and items: what is open, and how to open it.

`{% details_of step.index as inside %}` is of a step, `{% details_of step.index item.index as
inside %}` of an item.
"""

from typing import NamedTuple

from django import template

from monitor.pages.steps.details import Details

__all__ = ["Inside", "details_of"]

register = template.Library()


class Inside(NamedTuple):
    """The details of one step or item; None while they are closed.

    `key` is its own in the address of the page, and `href` opens or closes it.
    """

    key: str
    href: str
    details: Details | None


@register.simple_tag(takes_context=True)
def details_of(context: template.Context, step: int, item: int | None = None) -> Inside | None:
    """The details; None for who may not see them."""
    opened = context.get("opened")
    if opened is None:
        return None
    key = str(step) if item is None else f"{step}.{item}"
    return Inside(key, f"{opened.toggled(key)}#step-{key}", opened.found.get(key))
