"""The log: a line for each thing that happens, with what it is about; JSON, or text for people."""

import logging
from logging.config import dictConfig
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

__all__ = ["log_config", "set_up_celery"]


def log_config(form: str, level: str) -> dict[str, Any]:
    """Django's `LOGGING`.

    Args:
        form: "json" or "text".
        level: what is less than this is not logged.
    """
    to_words: list[Processor] = [
        # Without the values of variables, which rich would add: they may be secrets.
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
            # In the engine and in a child: run, workflow, step, attempt. In a request: its id and
            # its user's.
            structlog.contextvars.merge_contextvars,
            _of_request,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso" if form == "json" else "%H:%M:%S"),
            structlog.stdlib.ExtraAdder(allow=("status", "milliseconds")),
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
            # Its own handlers would say everything twice.
            "django": {"handlers": [], "level": "INFO"},
            "axes": {"level": "WARNING"},
        },
    }


class ClientErrors(logging.Filter):
    """A request that is refused is one line, whatever Django makes of it.

    Of a wrong Host, or of too many fields, it logs an error with a traceback: anybody could fill
    the log, and wake whoever watches it.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith("django.") and 400 <= getattr(record, "status_code", 0) < 500:
            record.exc_info = record.exc_text = None
            record.levelno = min(record.levelno, logging.WARNING)
            record.levelname = logging.getLevelName(record.levelno)
        return True


def _of_request(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The request that Django speaks of once it has been answered."""
    # structlog documents this name as the one of the record that it formats.
    request = getattr(event["_record"], "request", None)
    request_id = getattr(request, "request_id", None)
    return {"request_id": request_id, **event} if request_id else event


def set_up_celery(**_: Any) -> None:
    """Give Celery this log, where it would set up one of its own; it asks by a signal.

    What a child prints becomes a line, as Celery itself would have it.
    """
    from celery import current_app  # noqa: PLC0415 - these settings are read before Celery is
    from django.conf import settings  # noqa: PLC0415

    dictConfig(settings.LOGGING)
    # By name: Celery does it again in forked processes, with the name that it was given here.
    current_app.log.redirect_stdouts("INFO")  # type: ignore[arg-type]
