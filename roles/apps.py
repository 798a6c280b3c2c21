"""The app of the roles: web and worker."""

from django.apps import AppConfig


class RolesConfig(AppConfig):
    name = "roles"

    def ready(self) -> None:
        from roles import required  # noqa: F401, PLC0415 - its checks register themselves
