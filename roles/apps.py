"""The Django app of the service."""

from django.apps import AppConfig


class RolesConfig(AppConfig):
    name = "roles"

    def ready(self) -> None:
        from roles import drf_tokens  # noqa: PLC0415 - models can be imported only from here on

        drf_tokens.connect()
