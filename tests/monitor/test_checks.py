"""What the system checks find in a project's settings."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from django.conf.urls.i18n import i18n_patterns
from django.contrib import admin
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.urls import include, path, re_path
from django.views import View

from mainproj.cache import cache_at
from monitor.checks import check_policy, check_settings, check_throttles
from monitor.policy import OwnerOrStaff


class Half:
    def visible(self, _user: Any, runs: Any) -> Any:
        return runs


class Broken(OwnerOrStaff):
    def __init__(self) -> None:
        raise RuntimeError("no team server")


def told(found: Any) -> list[tuple[str, str]]:
    return [(message.id, message.msg) for message in found]


def test_the_projects_own_settings_are_right() -> None:
    assert check_policy() == []


@pytest.mark.parametrize(
    ("name", "number", "words"),
    [
        ("shop.policy.Team", "monitor.E001", "No module named 'shop'"),
        ("monitor.policy.Nobody", "monitor.E001", "Nobody"),
        ("nonsense", "monitor.E001", "nonsense"),
        (f"{__name__}.Broken", "monitor.E001", "no team server"),
        (f"{__name__}.Half", "monitor.E002", "may_see, may_start, may_change"),
    ],
)
def test_a_policy_that_cannot_be_asked_is_found(
    settings: Any, name: str, number: str, words: str
) -> None:
    settings.WORKFLOW_POLICY = name

    [(found, problem)] = told(check_policy())

    assert found == number
    assert f"WORKFLOW_POLICY={name}" in problem
    assert words in problem


@pytest.mark.parametrize(
    ("cache", "rate", "found"),
    [
        (cache_at("amqp://host//"), "60/min", "by itself"),
        (cache_at("amqp://host//"), None, ""),
        (cache_at("redis://host/0"), "60/min", ""),
        ({"BACKEND": "django.core.cache.backends.dummy.DummyCache"}, "60/min", "not counted"),
        ({"BACKEND": "django.core.cache.backends.dummy.DummyCache"}, None, ""),
    ],
)
def test_processes_that_count_alone_or_not_at_all_are_found(
    settings: Any, cache: dict[str, Any], rate: str | None, found: str
) -> None:
    settings.WORKFLOW_START_RATE = rate
    settings.CACHES = {"default": cache}

    messages = told(check_throttles())

    assert [number for number, _ in messages] == ["monitor.W001"] * bool(found)
    assert all(found in problem for _, problem in messages)


class Derived(AuthenticationMiddleware):
    """A team's own."""


DJANGOS = "django.contrib.auth.middleware.AuthenticationMiddleware"
PARTS = [
    ({}, []),
    ({"without": DJANGOS}, ["monitor.W002"]),
    ({"without": DJANGOS, "with": f"{__name__}.Derived"}, []),
    ({"without": "django.contrib.messages.middleware.MessageMiddleware"}, ["monitor.W002"]),
    ({"without": DJANGOS, "with": f"{__name__}.no_such"}, ["monitor.W002"]),
    ({"processors": []}, ["monitor.W003"]),
    ({"processors": None}, ["monitor.W003"]),
]


@pytest.mark.parametrize(("change", "found"), PARTS, ids=str)
def test_what_pages_take_of_django_is_there(
    settings: Any, change: dict[str, Any], found: list[str]
) -> None:
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "Auth" not in name]
    settings.MIDDLEWARE += [name for name in (DJANGOS, change.get("with")) if name]
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if name != change.get("without")]
    if "processors" in change:
        options = {"context_processors": change["processors"] or ()}
        settings.TEMPLATES = [dict(settings.TEMPLATES[0], OPTIONS=options)]

    assert [number for number, _ in told(check_settings())] == found


NO_SIZES: list[Any] = ["5", "", 0, -1, 1.5, 10**400, float("nan"), True, [5]]
NO_FLAGS: list[Any] = ["off", "", "True", 2, []]
NO_RATES: list[Any] = [0, False, [], "1" * 99 + "/s"]
VALUES: list[tuple[str, Any, str | None]] = [
    ("METRICS_TOKEN", "two words", "monitor.E003"),
    ("METRICS_TOKEN", "schlüssel", "monitor.E003"),
    ("METRICS_TOKEN", 12345, "monitor.E003"),
    ("METRICS_TOKEN", b"bytes", "monitor.E003"),
    ("METRICS_TOKEN", "", None),
    ("METRICS_TOKEN", None, None),
    ("METRICS_TOKEN", "a-token-for-probes", None),
    ("WORKFLOW_START_RATE", "often", "monitor.E004"),
    ("WORKFLOW_START_RATE", "0/min", "monitor.E004"),
    ("WORKFLOW_START_RATE", 60, "monitor.E004"),
    *[("WORKFLOW_START_RATE", value, "monitor.E004") for value in NO_RATES],
    ("WORKFLOW_START_RATE", "60/min", None),
    ("WORKFLOW_START_RATE", None, None),
    ("TEMPLATES", [], "monitor.E005"),
    *[("LOGIN_URL", value, "monitor.W004") for value in ("sign-in", "accounts:login", "")],
    ("ROOT_URLCONF", None, None),
    *[("LOGIN_URL", value, None) for value in ("login", "/enter/", "https://sso.example.com/")],
    *[("MAX_UPLOAD_BYTES", value, "monitor.E006") for value in NO_SIZES],
    *[("PROXIES", value, "monitor.E006") for value in ("1", "", -1, 1.5, True, [1])],
    *[("PROXIES", value, None) for value in (None, 0, 2)],
    *[("MAX_UPLOAD_BYTES", value, None) for value in (None, 1, 10**12)],
    *[("ACCESS_LOG", value, "monitor.E007") for value in NO_FLAGS],
    *[("ACCESS_LOG", value, None) for value in (None, True, False, 0)],
]


@pytest.mark.parametrize(("name", "value", "wanted"), VALUES)
def test_a_setting_that_cannot_be_used_is_found(
    settings: Any, name: str, value: Any, wanted: str | None
) -> None:
    setattr(settings, name, value)

    found = check_settings()

    assert [message.id for message in found] == ([wanted] if wanted else [])
    assert all(message.hint for message in found)


INCLUDED: list[tuple[Callable[[], Any], list[str]]] = [
    (lambda: path("flows/", include("monitor.urls")), []),
    (lambda: path("", include("monitor.urls")), []),
    (lambda: path("flows/", include(([path("a/", include("monitor.urls"))], "office"))), []),
    (lambda: re_path(r"^(?:a|b)/", include("monitor.urls")), []),
    (lambda: i18n_patterns(path("flows/", include("monitor.urls")))[0], []),
    (lambda: path("<slug:team>/", View.as_view()), []),
    (lambda: path("<slug:team>/flows/", include("monitor.urls")), ["<slug:team>/flows/"]),
    (lambda: path("flows/", include("monitor.urls"), {"team": "a"}), ["flows/"]),
    (lambda: re_path(r"^(\w+)/", include("monitor.urls")), [r"^(\w+)/"]),
    (
        lambda: path("<slug:team>/", include([path("flows/", include("monitor.urls"))])),
        ["<slug:team>/flows/"],
    ),
    (
        lambda: path("<slug:team>/cp/", include("monitor.celery_progress.urls")),
        ["<slug:team>/cp/"],
    ),
]


@pytest.mark.parametrize(("pattern", "prefixes"), INCLUDED)
def test_a_prefix_that_gives_our_views_a_value_is_found(
    settings: Any, pattern: Callable[[], Any], prefixes: list[str]
) -> None:
    """Each page and each answer under it would be a 500."""
    admin_urls = path("admin/", admin.site.urls)
    urls = ModuleType("their_urls")
    urls.urlpatterns = [admin_urls, path("login/", View.as_view(), name="login"), pattern()]  # type: ignore[attr-defined]
    settings.ROOT_URLCONF = urls

    found = check_settings()

    assert [each.id for each in found] == ["monitor.E008"] * len(prefixes)
    for each, prefix in zip(found, prefixes, strict=True):
        assert f"under {prefix!r}" in each.msg
