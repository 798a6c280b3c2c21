"""The Django app of the engine."""

from celery import current_app
from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class ParentConfig(AppConfig):
    name = "parent"

    def ready(self) -> None:
        from children import host  # noqa: PLC0415 - models are importable only from here on
        from parent import checks, foreign, log_context, refusal, sqlite, tracing  # noqa: F401, PLC0415 - checks register themselves
        from parent.bootstep import WatchStep  # noqa: PLC0415
        from parent.engine import Engine  # noqa: PLC0415

        tracing.set_up()
        sqlite.connect()
        host.install(Engine())
        log_context.connect_first()
        foreign.connect()
        log_context.connect_last()
        refusal.connect()
        # Before any worker starts: the default app is the one that will have it.
        current_app.steps["worker"].add(WatchStep)
        autodiscover_modules("workflows")
