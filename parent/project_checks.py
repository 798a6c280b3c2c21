"""System checks of what a project sets outside our own apps, and of our settings' values.

`manage.py check`, each start of a worker and `manage.py workflow doctor` run them.
"""

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from celery import current_app
from django.apps import AppConfig, apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, connection, router
from kombu.serialization import registry  # type: ignore[attr-defined]

from children.progress import REPORT_INTERVAL
from parent.conf import (
    DEFAULTS,
    INTERVALS,
    LIMITS,
    MAX_BODY_VALUES,
    SIZES,
    limit_sizes,
    setting,
)
from parent.decisions.limit_sizes import sizes_of
from parent.setting_names import has_own_app, in_celery
from parent.setting_values import (
    LARGEST_SIZE,
    LONGEST_TIME,
    LONGEST_WAIT,
    flag_problem,
    number_problem,
)

__all__ = ["NEEDED", "celery_problems", "check_project", "require_apps", "require_label"]

NEEDED = ["django.contrib.auth", "django.contrib.contenttypes", "django_celery_results", "children"]
OF_RUNS = ["parent", "monitor", "django_celery_results"]
"""The apps whose rows a run has."""
LONGEST_SOCKET_TIMEOUT = 10  # seconds
NUMBERS: Mapping[str, float | None] = DEFAULTS | {
    "WORKFLOW_REPORT_INTERVAL": REPORT_INTERVAL,
    "MAX_BODY_VALUES": MAX_BODY_VALUES,
}
"""The settings that are numbers, with their defaults."""


def require_apps(ours: str, needed: list[str]) -> None:
    """Stop the start if an app is missing: importing its models would fail without saying so.

    Raises:
        ImproperlyConfigured: it names the apps.
    """
    missing = [name for name in needed if not apps.is_installed(name)]
    if missing:
        raise ImproperlyConfigured(
            f"{ours!r} needs {', '.join(map(repr, missing))}: add it to INSTALLED_APPS."
        )


def require_label(config: AppConfig) -> None:
    """Stop the start if a project has given an app of ours another label than its name.

    Raises:
        ImproperlyConfigured: our tables, their migrations and relations have that label.
    """
    if config.label != config.name:
        kind = type(config)
        raise ImproperlyConfigured(
            f"{kind.__module__}.{kind.__qualname__} labels {config.name!r} {config.label!r}, and "
            "its tables have its own label: take `label` out. An app of yours that has the same "
            "one needs another."
        )


@register("parent")
def check_project(**_: Any) -> list[CheckMessage]:
    """Check the values of our settings, and the settings of Django and Celery that we rely on."""
    wrong = [*_values()]
    # The others compare with our settings.
    return wrong or [*_django(), *celery_problems(current_app.conf)]


def _values() -> Iterator[CheckMessage]:
    problems = {name: _number_problem(name, getattr(settings, name, None)) for name in NUMBERS}
    wrong = {name: problem for name, problem in problems.items() if problem}
    for name, why in wrong.items():
        off = ", or None for none" if name in LIMITS else ""
        yield Error(
            f"{name} = {getattr(settings, name)!r} {why}.",
            hint=f"Write a number{off}, for example {name} = {NUMBERS[name] or 60.0:.10g}.",
            id="parent.E001",
        )
    private = getattr(settings, "WORKFLOW_WEBHOOK_ALLOW_PRIVATE", False)
    if problem := flag_problem(private):
        yield Error(
            f"WORKFLOW_WEBHOOK_ALLOW_PRIVATE = {private!r} {problem}.",
            hint="Write True, or False, which is its default.",
            id="parent.E012",
        )
    url = getattr(settings, "WORKFLOW_RUN_URL", "")
    if url and not (isinstance(url, str) and "{id}" in url and url.startswith(("http:", "https:"))):
        yield Error(
            f"WORKFLOW_RUN_URL = {url!r} is not the URL of a run's page.",
            hint='Write, for example, "https://flows.example.com/runs/{id}/", with {id} in it.',
            id="parent.E006",
        )
    yield from _of_logs()
    try:
        sizes_of(limit_sizes())
    except ValueError as exc:
        problem, _, hint = str(exc).partition(". ")
        yield Error(f"WORKFLOW_LIMITS: {problem}.", hint=hint, id="parent.E007")
    if {"WORKFLOW_LEASE", "WORKFLOW_HEARTBEAT"} & wrong.keys():
        return
    lease, heartbeat = (
        setting(name) or INTERVALS[f"WORKFLOW_{name}"] for name in ("LEASE", "HEARTBEAT")
    )
    if lease < 2 * heartbeat:
        yield Error(
            f"WORKFLOW_LEASE is {lease:g} s and WORKFLOW_HEARTBEAT {heartbeat:g} s: a worker that "
            "is late for one heartbeat would lose what it runs.",
            hint=f"Write, for example, WORKFLOW_LEASE = {6 * heartbeat:g}.",
            id="parent.E002",
        )


def _of_logs() -> Iterator[CheckMessage]:
    known = logging.getLevelNamesMapping()
    level = getattr(settings, "WORKFLOW_LOG_LEVEL", None)
    if level not in (None, "", *known):
        yield Error(
            f"WORKFLOW_LOG_LEVEL = {level!r} is not a level of `logging`.",
            hint=f"Write one of {', '.join(known)}.",
            id="parent.E008",
        )
    hides = getattr(settings, "WORKFLOW_LOG_HIDE", [])
    if not isinstance(hides, list | tuple) or not all(isinstance(each, str) for each in hides):
        yield Error(
            f"WORKFLOW_LOG_HIDE = {hides!r} is not a list of regular expressions.",
            hint="Write, for example, WORKFLOW_LOG_HIDE = [*HIDE_IN_LOGS, r'pin [0-9]+'], with "
            "`from parent.conf import HIDE_IN_LOGS`.",
            id="parent.E009",
        )
        return
    for pattern in hides:
        try:
            re.compile(pattern)
        except re.error as exc:
            yield Error(
                f"WORKFLOW_LOG_HIDE: {pattern!r} is not a regular expression: {exc}.",
                hint="See https://docs.python.org/3/library/re.html#regular-expression-syntax.",
                id="parent.E009",
            )


def _number_problem(name: str, value: Any) -> str | None:
    if value is None:
        return None
    if name == "MAX_BODY_VALUES" or name in SIZES:
        least = 0 if name in SIZES else 1
        return number_problem(value, least=least, most=LARGEST_SIZE, whole=True)
    most = LONGEST_WAIT if name == "WORKFLOW_NOTIFICATION_TIMEOUT" else LONGEST_TIME
    return number_problem(value, most=most)


def _django() -> Iterator[CheckMessage]:
    if not settings.USE_TZ:
        yield Error(
            "USE_TZ is off, and runs store moments with their time zone.",
            hint="Write USE_TZ = True; TIME_ZONE says in which one your pages show times.",
            id="parent.E003",
        )
    if connection.vendor not in ("postgresql", "sqlite"):
        yield Error(
            f"The default database is {connection.vendor}: runs need PostgreSQL or SQLite.",
            hint="Let DATABASES['default'] name one of them.",
            id="parent.E004",
        )
    mode = str(connection.settings_dict["OPTIONS"].get("transaction_mode", "")).upper()
    if connection.vendor == "sqlite" and mode not in ("IMMEDIATE", "EXCLUSIVE"):
        yield Warning(
            "On SQLite a transaction that reads before it writes fails at once while another one "
            "writes.",
            hint="Write DATABASES['default']['OPTIONS'] = "
            '{"transaction_mode": "IMMEDIATE", "timeout": 20}.',
            id="parent.W004",
        )
    if not connection.settings_dict["AUTOCOMMIT"]:
        yield Error(
            "AUTOCOMMIT is off in DATABASES['default'], so that nothing that runs write is kept.",
            hint="Leave it on: a transaction of yours begins with transaction.atomic().",
            id="parent.E013",
        )
    yield from _routers()


def _routers() -> Iterator[CheckMessage]:
    """The engine's own statements go to the default database, so that all others have to."""
    models = [model for model in apps.get_models() if model._meta.app_label in OF_RUNS]
    owner = apps.get_model(settings.AUTH_USER_MODEL)
    if (alias := router.db_for_write(owner)) != DEFAULT_DB_ALIAS:
        yield _elsewhere(f"users ({owner._meta.label}) are in the database {alias!r}")
    elif not router.allow_migrate_model(DEFAULT_DB_ALIAS, owner):
        yield _elsewhere(f"users ({owner._meta.label}) get no table in the default database")
    for what, database_of in (("reads", router.db_for_read), ("writes", router.db_for_write)):
        wrong = {
            alias: model._meta.label
            for model in models
            if (alias := database_of(model)) != DEFAULT_DB_ALIAS
        }
        for alias, label in wrong.items():
            yield _elsewhere(f"{what} of {label} go to the database {alias!r}")
    for model in models:
        if not router.allow_migrate_model(DEFAULT_DB_ALIAS, model):
            yield _elsewhere(f"{model._meta.label} gets no table in the default database")
            return


def _elsewhere(problem: str) -> CheckMessage:
    return Error(
        f"By DATABASE_ROUTERS {problem}, and a run needs all its rows in the default one.",
        hint=f"Let them answer 'default' for the apps {', '.join(OF_RUNS)}, and allow their tables "
        "there; no replica either, for what a run decides by must not be late. The users that own "
        "runs are written there too.",
        id="parent.E010",
    )


def celery_problems(conf: Any) -> Iterator[CheckMessage]:
    """What an app's configuration has that runs cannot do with, or only badly."""
    # Not at the top: the models cannot be imported when this module is.
    from parent.store.results import backend_hint, backend_problem  # noqa: PLC0415

    if problem := backend_problem(conf.result_backend):
        yield Error(problem, hint=backend_hint(), id="parent.E005")
        if not has_own_app():
            return  # nothing of what follows is the project's
    accepted = conf.result_accept_content or conf.accept_content
    if accepted and not _types(["json"]) <= _types(accepted):
        yield Error(
            "Celery refuses JSON, so that it cannot read the results of runs.",
            hint=f'Write {in_celery("result_accept_content")} = ["json"].',
            id="parent.E011",
        )
    written = conf.task_serializer
    if conf.accept_content and not _types([written]) <= _types(conf.accept_content):
        yield Error(
            f"Messages are written as {written}, and workers refuse that: no run would go on.",
            hint=f"Add {written!r} to {in_celery('accept_content')}, or let "
            f"{in_celery('task_serializer')} be one of those.",
            id="parent.E014",
        )
    if conf.result_serializer != "json":
        yield Error(
            f"Results are stored as {conf.result_serializer}, and those of runs as JSON, which "
            "Celery could not read then.",
            hint=f'Write {in_celery("result_serializer")} = "json". What comes in messages may '
            "stay as it is.",
            id="parent.E011",
        )
    if _is_redis(str(conf.broker_write_url or conf.broker_url or "")):
        yield from _timeouts(conf.broker_transport_options or {})
    if conf.worker_prefetch_multiplier != 1 and not conf.worker_disable_prefetch:
        yield Warning(
            "Workers take messages before they can run them: a step waits behind a long one, "
            "while another worker is idle.",
            hint=f"Write {in_celery('worker_disable_prefetch')} = True, or with a broker other "
            f"than Redis {in_celery('worker_prefetch_multiplier')} = 1.",
            id="parent.W003",
        )


def _types(names: Iterable[str]) -> set[str]:
    """The media types of serializers, which both have as names."""
    return {registry.name_to_type.get(name, name) for name in names}


def _is_redis(url: str) -> bool:
    return url.partition("://")[0].partition("+")[0] in ("redis", "rediss", "sentinel")


def _timeouts(options: Mapping[str, Any]) -> Iterator[CheckMessage]:
    names = ("socket_timeout", "socket_connect_timeout")
    given = {name: options.get(name) for name in names}
    if all(
        value and not number_problem(value, most=LONGEST_SOCKET_TIMEOUT) for value in given.values()
    ):
        return
    yield Warning(
        "A Redis that hangs holds whoever starts a run: it has no socket timeouts of at most "
        f"{LONGEST_SOCKET_TIMEOUT} s.",
        hint=f"Write {in_celery('broker_transport_options')} = "
        '{"socket_timeout": 2, "socket_connect_timeout": 2}. No run is lost by a timeout.',
        id="parent.W001",
    )
