"""The Django app of the monitor."""

from django.apps import AppConfig

NEEDED = ["parent", "rest_framework", "django.contrib.sessions", "django.contrib.messages"]


class MonitorConfig(AppConfig):
    name = "monitor"
    # What the migrations have, whatever the project's own is.
    default_auto_field = "django.db.models.BigAutoField"

    def import_models(self) -> None:
        from parent.project_checks import require_apps, require_label  # noqa: PLC0415 - when all apps are known

        require_apps(self.name, NEEDED)  # before the `ready` of any app, as `parent` does
        require_label(self)
        super().import_models()

    def ready(self) -> None:
        from monitor import checks, probe_paths  # noqa: F401, PLC0415 - checks register themselves
        from monitor.http import uploads  # noqa: PLC0415 - after the settings
        from monitor.runs.approvals import MailPages  # noqa: PLC0415 - after the models
        from parent.notifications import email  # noqa: PLC0415 - after the models
        from parent.telemetry import tracing  # noqa: PLC0415 - after the settings

        uploads.take_any_name()
        email.install_pages(MailPages())
        if tracing.is_on():
            from opentelemetry.instrumentation.django import DjangoInstrumentor  # noqa: PLC0415

            # It inserts its own middleware before all others.
            DjangoInstrumentor().instrument(excluded_urls=",".join(probe_paths.ALL))
