"""What a project sets wrong, beside our apps and in our settings, is found by a check that says
what to write."""

import re
import socket
import threading
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from celery import current_app
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from parent.conf import DEFAULTS, SIZES
from parent.operations.doctor import services
from parent.project_checks import NUMBERS, celery_problems, check_project, require_apps
from parent.setting_values import LONGEST_TIME, LONGEST_WAIT


def found() -> dict[str, Any]:
    return {str(message.id): message for message in check_project()}


def test_our_own_settings_are_well() -> None:
    assert found() == {}


NO_NUMBERS = ["five", "5", "", -1, float("nan"), float("inf"), True, [5], timedelta(seconds=5)]
TOO_LARGE = [1e300, 10**30, 10**400]
"""Later an `OverflowError`: of a moment, of a wait, of a column, of a float."""


@pytest.mark.parametrize("name", sorted(NUMBERS))
@pytest.mark.parametrize("value", NO_NUMBERS + TOO_LARGE, ids=lambda value: repr(value)[:40])
def test_a_value_that_is_no_number(settings: Any, name: str, value: Any) -> None:
    setattr(settings, name, value)

    error = found()["parent.E001"]

    assert re.match(re.escape(f"{name} = {value!r} ") + r"is not a (whole )?number", str(error.msg))
    assert f"for example {name} = " in str(error.hint)


@pytest.mark.parametrize("name", sorted(NUMBERS.keys() - SIZES - {"MAX_BODY_VALUES"}))
def test_the_longest_time_can_be_counted_with(settings: Any, name: str) -> None:
    settings.WORKFLOW_LEASE = LONGEST_TIME
    longest = LONGEST_WAIT if name == "WORKFLOW_NOTIFICATION_TIMEOUT" else LONGEST_TIME
    setattr(settings, name, longest)

    assert "parent.E001" not in found()
    now = datetime.now(UTC)
    assert now - timedelta(seconds=longest) < now < now + 4 * timedelta(seconds=longest)
    with socket.socket() as waiting:
        if name == "WORKFLOW_NOTIFICATION_TIMEOUT":
            waiting.settimeout(longest)
    assert longest < threading.TIMEOUT_MAX


@pytest.mark.parametrize("name", sorted({*SIZES, "MAX_BODY_VALUES"}))
def test_a_size_is_whole(settings: Any, name: str) -> None:
    setattr(settings, name, 1.5)
    assert "is not a whole number" in str(found()["parent.E001"].msg)

    setattr(settings, name, 1e6)
    assert found() == {}


FLAGS = [True, False, None, 0, 1]
NO_FLAGS: list[Any] = ["off", "False", "0", "on", " ", "", 2, [], {"on": True}]


@pytest.mark.parametrize("value", [*FLAGS, *NO_FLAGS], ids=repr)
def test_a_text_is_no_flag(settings: Any, value: Any) -> None:
    """It would be true, so "off" would open what is closed."""
    settings.WORKFLOW_WEBHOOK_ALLOW_PRIVATE = value

    assert ("parent.E012" in found()) is (value not in FLAGS)


LEVELS = [("INFO", False), (None, False), ("", False), ("loud", True), (10, True), (0, True)]


@pytest.mark.parametrize(("value", "wrong"), [*LEVELS, (["INFO"], True)], ids=repr)
def test_a_level_is_one_of_loggings(settings: Any, value: Any, wrong: bool) -> None:
    settings.WORKFLOW_LOG_LEVEL = value

    assert ("parent.E008" in found()) is wrong


@pytest.mark.parametrize("name", sorted(DEFAULTS))
@pytest.mark.parametrize("value", [None, 0])
def test_a_value_that_is_off(settings: Any, name: str, value: Any) -> None:
    setattr(settings, name, value)

    assert "parent.E001" not in found()


@pytest.mark.parametrize(("lease", "heartbeat", "ids"), [(9, 5, {"parent.E002"}), (10, 5, set())])
def test_a_lease_that_one_late_heartbeat_ends(
    settings: Any, lease: float, heartbeat: float, ids: set[str]
) -> None:
    settings.WORKFLOW_LEASE, settings.WORKFLOW_HEARTBEAT = lease, heartbeat

    assert set(found()) == ids


REDIS = {"broker_url": "redis://localhost"}
ALL_PICKLE = {"task_serializer": "pickle", "accept_content": ["pickle"]}
CELERY = [
    ({"result_backend": "redis://localhost"}, {"parent.E005"}),
    ({"result_backend": "rpc://"}, {"parent.E005"}),
    ({"result_backend": None}, {"parent.E005"}),
    ({"result_backend": "django-db"}, set()),
    ({"result_serializer": "pickle"}, {"parent.E011"}),
    ({"result_serializer": "yaml"}, {"parent.E011"}),
    ({"accept_content": ["pickle"]}, {"parent.E011", "parent.E014"}),
    (ALL_PICKLE, {"parent.E011"}),
    (ALL_PICKLE | {"result_accept_content": ["json"]}, set()),
    ({"accept_content": ["yaml"], "result_accept_content": ["json"]}, {"parent.E014"}),
    ({"task_serializer": "pickle"}, {"parent.E014"}),
    ({"task_serializer": "pickle", "accept_content": ["json", "pickle"]}, set()),
    (
        {
            "task_serializer": "pickle",
            "accept_content": ["json", "application/x-python-serialize"],
        },
        set(),
    ),
    ({"accept_content": ["application/json"]}, set()),
    (REDIS | {"broker_transport_options": {}}, {"parent.W001"}),
    (REDIS | {"broker_transport_options": {"socket_timeout": 2}}, {"parent.W001"}),
    (
        REDIS | {"broker_transport_options": {"socket_timeout": 2, "socket_connect_timeout": 60}},
        {"parent.W001"},
    ),
    (
        REDIS | {"broker_transport_options": {"socket_timeout": 2, "socket_connect_timeout": 2}},
        set(),
    ),
    ({"broker_url": "amqp://localhost", "broker_transport_options": {}}, set()),
    ({"worker_disable_prefetch": False}, {"parent.W003"}),
    ({"worker_disable_prefetch": False, "worker_prefetch_multiplier": 1}, set()),
]


READ = [
    *(
        "result_serializer",
        "accept_content",
        "task_serializer",
        "result_accept_content",
        "result_backend",
        "broker_write_url",
        "broker_url",
        "broker_transport_options",
    ),
    *("worker_prefetch_multiplier", "worker_disable_prefetch"),
]


# Each process must give a test the same name: the order of a set differs between them.
@pytest.mark.parametrize(
    ("changed", "ids"),
    CELERY,
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value)[:60],
)
def test_what_celery_is_told(changed: dict[str, Any], ids: set[str]) -> None:
    ours = {name: getattr(current_app.conf, name) for name in READ}
    conf = SimpleNamespace(**ours | {"broker_write_url": None} | changed)

    messages = list(celery_problems(conf))

    assert {message.id for message in messages} == ids
    assert all(message.hint for message in messages)


def test_moments_without_a_time_zone(settings: Any) -> None:
    settings.USE_TZ = False

    assert set(found()) == {"parent.E003"}


IMMEDIATE = {"transaction_mode": "IMMEDIATE"}


@pytest.mark.skipif(connection.vendor != "sqlite", reason="It is an option of SQLite's.")
@pytest.mark.parametrize(
    ("options", "ids"),
    [
        ({}, {"parent.W004"}),
        ({"transaction_mode": None}, {"parent.W004"}),
        ({"transaction_mode": "DEFERRED"}, {"parent.W004"}),
        (IMMEDIATE, set()),
        ({"transaction_mode": "exclusive"}, set()),
    ],
)
def test_transactions_of_sqlite(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], ids: set[str]
) -> None:
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", options)

    assert set(found()) == ids


def test_another_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(connection), "vendor", "mysql", raising=False)

    assert set(found()) == {"parent.E004"}


def test_transactions_that_nothing_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "AUTOCOMMIT", False)

    assert set(found()) == {"parent.E013"}


class Router:
    """Answers as another one does for the apps that it names, and else has no opinion."""

    def __init__(self, apps: set[str], read: str, write: str, *, tables: bool = True) -> None:
        self._apps, self._read, self._write, self._tables = apps, read, write, tables

    def db_for_read(self, model: Any, **_: Any) -> str | None:
        return self._read if model._meta.app_label in self._apps else None

    def db_for_write(self, model: Any, **_: Any) -> str | None:
        return self._write if model._meta.app_label in self._apps else None

    def allow_migrate(self, _db: str, app_label: str, **_: Any) -> bool | None:
        return self._tables if app_label in self._apps else None


OURS = {"parent", "monitor", "django_celery_results"}
ROUTERS = {
    "theirs": (Router({"shop"}, "replica", "shop"), []),
    "as it has to be": (Router(OURS, "default", "default"), []),
    "a replica": (Router(OURS | {"shop"}, "replica", "default"), ["reads of "]),
    "another database": (Router(OURS, "flows", "flows"), ["reads of ", "writes of "]),
    "results elsewhere": (
        Router({"django_celery_results"}, "default", "results"),
        ["writes of django_celery_results."],
    ),
    "users": (
        Router({"auth"}, "default", "people"),
        ["users (auth.User) are in the database 'people'"],
    ),
    "users on a replica": (Router({"auth"}, "replica", "default"), []),
    "no table of users": (
        Router({"auth"}, "default", "default", tables=False),
        ["users (auth.User) get no table"],
    ),
    "no table": (
        Router({"monitor"}, "default", "default", tables=False),
        ["monitor.ApiToken gets no table"],
    ),
}


@pytest.mark.parametrize("kind", ROUTERS)
def test_rows_that_a_router_sends_elsewhere(settings: Any, kind: str) -> None:
    router, problems = ROUTERS[kind]
    settings.DATABASE_ROUTERS = [router]

    messages = [message for message in check_project() if message.id == "parent.E010"]

    assert len(messages) == len(problems)
    for message, problem in zip(messages, problems, strict=True):
        assert str(message.msg).startswith(f"By DATABASE_ROUTERS {problem}")
        assert "parent, monitor, django_celery_results" in str(message.hint)


@pytest.mark.parametrize(
    ("namespace", "name"),
    [
        ("CELERY", "CELERY_RESULT_BACKEND"),
        ("SHOP", "SHOP_RESULT_BACKEND"),
        (None, "result_backend"),
    ],
)
def test_a_hint_has_the_name_that_the_app_reads(
    monkeypatch: pytest.MonkeyPatch, namespace: str | None, name: str
) -> None:
    app: Any = current_app
    monkeypatch.setattr(app, "namespace", namespace)
    ours = {name: getattr(current_app.conf, name) for name in READ}

    [message] = celery_problems(SimpleNamespace(**ours | {"result_backend": "rpc://"}))

    assert message.hint == f'Write {name} = "django-db".'


@pytest.mark.parametrize("name", ["children", "parent", "monitor"])
def test_keys_are_those_of_our_migrations_in_any_project(settings: Any, name: str) -> None:
    settings.DEFAULT_AUTO_FIELD = "django.db.models.AutoField"

    assert apps.get_app_config(name).default_auto_field == "django.db.models.BigAutoField"


def test_an_app_that_is_missing_is_named() -> None:
    with pytest.raises(ImproperlyConfigured, match="'parent' needs 'no_results'") as told:
        require_apps("parent", ["no_results", "children"])

    assert str(told.value).endswith("add it to INSTALLED_APPS.")


def test_the_doctor_says_it_too(settings: Any) -> None:
    settings.WORKFLOW_HEARTBEAT = "five"

    [finding] = [each for each in services.project() if "parent.E001" in each.what]

    assert "WORKFLOW_HEARTBEAT = 'five'" in finding.what
    assert "WORKFLOW_HEARTBEAT = 5" in finding.do
