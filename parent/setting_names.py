"""What a setting is called where a reader changes it: hints name what their project has."""

from typing import Any

from celery import current_app
from django.apps import apps

__all__ = ["has_own_app", "in_celery", "in_project", "is_our_service"]


def is_our_service() -> bool:
    """Whether this is the service, with its commands and variables, and no other project."""
    return apps.is_installed("roles")


def in_project(variable: str, setting: str) -> str:
    """The `variable` of the environment in our service, and Django's `setting` elsewhere."""
    return variable if is_our_service() else setting


def has_own_app() -> bool:
    """Whether the project's Celery app is loaded. Else Celery makes one, which has no settings."""
    app: Any = current_app
    return app.main != "default" or bool(app.fixups)


def in_celery(setting: str) -> str:
    """Celery's setting as the project's app reads it: `CELERY_BROKER_URL`, with its own namespace,
    or `broker_url` in a module of its own.
    """
    app: Any = current_app
    namespace = app.namespace
    return f"{namespace}_{setting.upper()}" if namespace else setting
