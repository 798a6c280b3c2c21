"""Parents: workflows, and the engine that runs them.

from parent import Step, Workflow

resize_all = Workflow("resize_all", params=ResizeParams, steps=[Step(collect), Step(resize)])
"""

import children

try:
    import children.shadows
except ModuleNotFoundError as exc:
    if exc.name != "children.shadows":
        raise
    from django.core.exceptions import ImproperlyConfigured

    raise ImproperlyConfigured(
        f"{children.__path__[0]} hides the package 'children' of parentchild, which is in "
        f"{__path__[0].removesuffix('/parent')}. Both have the same name: rename yours."
    ) from None

from parent.definition.concurrency import Concurrency
from parent.definition.mapping import Map
from parent.definition.notify import Email, Webhook
from parent.definition.schedule import Schedule
from parent.definition.signals import Approval, Signal
from parent.definition.workflow import RunData, Step, Workflow

__all__ = [
    "Approval",
    "Concurrency",
    "Email",
    "Map",
    "RunData",
    "Schedule",
    "Signal",
    "Step",
    "Webhook",
    "Workflow",
]
