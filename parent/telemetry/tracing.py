"""Traces with OpenTelemetry, if configured: a request, its run and its children are one trace.

The start of a run is a span of its own. Its context is stored in the run's row, and every child is
published under that span, by the child before it or by a tick.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any
from uuid import UUID

from celery import signals
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from parent.definition.parent_task import parent_task_name

if TYPE_CHECKING:
    from parent.models import Run

__all__ = ["begin", "headers", "is_on", "set_up", "under"]

EXPORTERS = ("otlp", "console", "none")
FLUSH = 2_000
"""Milliseconds that an exiting process waits to export its last spans."""


def is_on() -> bool:
    """Whether the settings name an exporter."""
    return _exporter_name() != "none"


def _exporter_name() -> str:
    name: str = getattr(settings, "OTEL_TRACES_EXPORTER", None) or "none"
    return name


def set_up() -> None:
    """Start tracing in this process and in those that it forks.

    Raises:
        ImproperlyConfigured: the packages are not installed, or there is no such exporter.
    """
    name = _exporter_name()
    if name not in EXPORTERS:
        raise ImproperlyConfigured(
            f"OTEL_TRACES_EXPORTER = {name!r} is none of {', '.join(EXPORTERS)}."
        )
    if not is_on():
        return
    try:
        from opentelemetry import trace  # noqa: PLC0415 - an extra
        from opentelemetry.instrumentation.celery import CeleryInstrumentor  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        exporter = _exporter(name)
    except ImportError as exc:
        raise ImproperlyConfigured(
            f"OTEL_TRACES_EXPORTER={name} asks for traces, and {exc}. "
            "Install what the extra `otel` in pyproject.toml names."
        ) from exc
    # Without the setting OpenTelemetry reads the variable.
    service = getattr(settings, "OTEL_SERVICE_NAME", None)
    provider = TracerProvider(
        resource=Resource.create({"service.name": service} if service else {})
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    CeleryInstrumentor().instrument()  # type: ignore[no-untyped-call]

    def flush(**_: Any) -> None:
        provider.force_flush(FLUSH)

    # Pool processes exit without running Python's exit handlers.
    signals.worker_process_shutdown.connect(
        flush, weak=False, dispatch_uid="parent.telemetry.tracing.pool"
    )
    signals.worker_shutdown.connect(
        flush, weak=False, dispatch_uid="parent.telemetry.tracing.worker"
    )


def _exporter(name: str) -> Any:
    if name == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter  # noqa: PLC0415

        return ConsoleSpanExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )

    return OTLPSpanExporter()


def begin(workflow: str, run_id: UUID) -> str:
    """Create the span of a run under the current span; return its W3C traceparent or ""."""
    if not is_on():
        return ""
    from opentelemetry import propagate, trace  # noqa: PLC0415

    about = {"workflow.name": workflow, "workflow.run": str(run_id)}
    carrier: dict[str, str] = {}
    tracer, name = trace.get_tracer("parent"), parent_task_name(workflow)
    with tracer.start_as_current_span(name, attributes=about):
        propagate.inject(carrier)
    return carrier.get("traceparent", "")


def headers(run: "Run") -> dict[str, str]:
    """Headers by which a task belongs to the run's trace."""
    return {"traceparent": run.trace} if run.trace and is_on() else {}


def under(run: "Run") -> AbstractContextManager[None]:
    """Messages sent in this context belong to the run's trace."""
    return _under(run.trace) if run.trace and is_on() else nullcontext()


@contextmanager
def _under(traceparent: str) -> Iterator[None]:
    from opentelemetry import context, propagate  # noqa: PLC0415

    token = context.attach(propagate.extract({"traceparent": traceparent}, context.Context()))
    try:
        yield
    finally:
        context.detach(token)
