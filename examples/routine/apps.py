"""The Django app of the routine example."""

from django.apps import AppConfig


class RoutineConfig(AppConfig):
    name = "examples.routine"
    label = "routine"
    verbose_name = "Routine"

    def ready(self) -> None:
        from examples.routine import checks  # noqa: F401, PLC0415 - it registers itself
