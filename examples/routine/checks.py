"""A system check of the setting `ROUTINE`. Whether a schedule can come, the engine's checks say."""

from typing import Any

from django.core.checks import CheckMessage, Error, register

from examples.routine.setting import given, problems

__all__ = ["check_routine"]


@register()
def check_routine(app_configs: Any, **_: Any) -> list[CheckMessage]:  # noqa: ARG001 - Django's
    return [
        Error(f"The setting ROUTINE: {problem}.", hint=hint, id="routine.E001")
        for problem, hint in problems(given())
    ]
