"""The log: one line per event, with its context, as JSON or as text."""

import logging
from logging.config import dictConfig
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

__all__ = ["log_config", "set_up_celery"]

OF_RUN = ("run", "workflow", "step", "attempt")
"""What `progress.run.logger` adds to a record: in a body's own threads there is no context."""


def log_config(form: str, level: str) -> dict[str, Any]:
    """Django's `LOGGING`.

    Args:
        form: "json" or "text".
        level: the lowest level that is logged.
    """
    to_words: list[Processor] = [
        # A plain traceback: rich would add the values of variables, which may be secrets.
        structlog.dev.ConsoleRenderer(
            colors=False, exception_formatter=structlog.dev.plain_traceback
        )
    ]
    to_json: list[Processor] = [
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("message"),
        structlog.processors.JSONRenderer(ensure_ascii=False),
    ]
    without = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": [
            # The context: run, workflow, step and attempt in the engine and in a child; the ids
            # of request and user in a request.
            structlog.contextvars.merge_contextvars,
            _of_request,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso" if form == "json" else "%H:%M:%S"),
            structlog.stdlib.ExtraAdder(allow=(*OF_RUN, "status", "milliseconds")),
        ],
        "processors": [without, *(to_json if form == "json" else to_words)],
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": formatter},
        "filters": {"client_errors": {"()": "mainproj.log.ClientErrors"}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "lines",
                "filters": ["client_errors"],
            }
        },
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # Its own handlers would log everything twice.
            "django": {"handlers": [], "level": "INFO"},
            "axes": {"level": "WARNING"},
        },
    }


class ClientErrors(logging.Filter):
    """Makes a client error (4xx) one line of the log, at most a warning.

    Django logs an error with a traceback for a wrong Host or too many fields. Anybody could fill
    the log with those, and trigger alerts.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith("django.") and 400 <= getattr(record, "status_code", 0) < 500:
            record.exc_info = record.exc_text = None
            record.levelno = min(record.levelno, logging.WARNING)
            record.levelname = logging.getLevelName(record.levelno)
        return True


def _of_request(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Add the id of the request that a record of Django is about."""
    # A documented name: structlog puts the record that it formats here.
    request = getattr(event["_record"], "request", None)
    request_id = getattr(request, "request_id", None)
    return {"request_id": request_id, **event} if request_id else event


def set_up_celery(**_: Any) -> None:
    """Set up this log in Celery instead of its own, by its signal `setup_logging`.

    What a child prints becomes a log line, as with Celery's own set-up.
    """
    from celery import current_app  # noqa: PLC0415 - the settings import this module before Celery is loaded
    from django.conf import settings  # noqa: PLC0415

    dictConfig(settings.LOGGING)
    # By name: Celery repeats this in forked processes with the value given here.
    current_app.log.redirect_stdouts("INFO")  # type: ignore[arg-type]
