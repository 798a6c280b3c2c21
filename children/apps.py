"""The Django app of the children."""

from celery import current_app
from django.apps import AppConfig


class ChildrenConfig(AppConfig):
    name = "children"
    # What the migrations have, whatever the project's own is.
    default_auto_field = "django.db.models.BigAutoField"

    def import_models(self) -> None:
        from children.shadows import refuse_shadows  # noqa: PLC0415 - when all apps are known

        # Before the `ready` of any app: that of Django's admin imports our modules.
        refuse_shadows()
        super().import_models()

    def ready(self) -> None:
        from children import checks  # noqa: F401, PLC0415 - checks register themselves
        from children.worker.follower_terms import TermsStep  # noqa: PLC0415
        from children.worker.loop_wakeup import WakeStep  # noqa: PLC0415 - not every process needs Celery's worker

        current_app.steps["worker"].update({WakeStep, TermsStep})
