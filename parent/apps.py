"""The Django app of the engine."""

from celery import current_app
from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class ParentConfig(AppConfig):
    name = "parent"
    # What the migrations have, whatever the project's own is.
    default_auto_field = "django.db.models.BigAutoField"

    def import_models(self) -> None:
        from parent.project_checks import NEEDED, require_apps, require_label  # noqa: PLC0415 - when all apps are known

        # Before the `ready` of any app: that of Django's admin imports our modules.
        require_apps(self.name, NEEDED)
        require_label(self)
        super().import_models()

    def ready(self) -> None:
        # Models can be imported only from here on.
        from children import host  # noqa: PLC0415
        from parent import checks  # noqa: F401, PLC0415 - checks register themselves
        from parent.definition import runtime  # noqa: PLC0415
        from parent.engine import Engine  # noqa: PLC0415
        from parent.messages import receipts  # noqa: PLC0415
        from parent.models import Run  # noqa: PLC0415
        from parent.runs.items.child_runs import ChildRunsOfItems  # noqa: PLC0415
        from parent.runs.nested import of_items  # noqa: PLC0415
        from parent.runs.signals.give import give  # noqa: PLC0415
        from parent.store import connections, results  # noqa: PLC0415
        from parent.telemetry import log_context, tracing  # noqa: PLC0415
        from parent.worker import foreign_tasks, unknown_tasks  # noqa: PLC0415
        from parent.worker.bootstep import WatchStep  # noqa: PLC0415
        from parent.worker.host import ParentHost  # noqa: PLC0415

        tracing.set_up()
        connections.connect()
        results.keep_from_cleanup()
        runtime.install(Engine())
        Run.give = staticmethod(give)
        of_items.install(ChildRunsOfItems())
        host.install(ParentHost())
        log_context.connect_first()
        foreign_tasks.connect()
        receipts.connect()
        log_context.connect_last()
        unknown_tasks.connect()
        # Before any worker starts, so that each worker of the app has this step.
        current_app.steps["worker"].add(WatchStep)
        autodiscover_modules("workflows")
