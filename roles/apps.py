"""The Django app of the service."""

import gc

from django.apps import AppConfig


class RolesConfig(AppConfig):
    name = "roles"

    def import_models(self) -> None:
        from parent.project_checks import require_apps  # noqa: PLC0415 - when all apps are known

        require_apps(self.name, ["rest_framework.authtoken", "monitor"])
        super().import_models()

    def ready(self) -> None:
        from roles import drf_tokens  # noqa: PLC0415 - models can be imported only from here on

        drf_tokens.connect()
        # What is loaded lives as long as the process. The garbage collector would go through it
        # again and again, and once more at the end: a quarter of the time of a short command.
        gc.freeze()
