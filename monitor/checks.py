"""System checks, so that an unusable policy or throttle is found at start-up."""

import re
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.shortcuts import resolve_url
from django.template import TemplateDoesNotExist
from django.template.loader import get_template
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver
from django.utils.module_loading import import_string

from monitor.conf import MAX_UPLOAD_BYTES, START_RATE, metrics_token, start_rate
from monitor.policy import DEFAULT, Policy, policy
from parent.setting_names import in_project
from parent.setting_values import LARGEST_SIZE, flag_problem, number_problem

__all__ = ["check_policy", "check_settings", "check_throttles"]

VISIBLE = re.compile(r"[!-~]+")
RATE = re.compile(r"[1-9][0-9]{0,8}/(s|sec|second|m|min|minute|h|hour|d|day)")

NUMBERS = {"MAX_UPLOAD_BYTES": (1, MAX_UPLOAD_BYTES), "PROXIES": (0, 1)}
"""The settings that are whole numbers: the least, and an example."""

OUR_URLS = ["monitor.urls", "monitor.celery_progress.urls"]

TEMPLATES = "django.template.backends.django.DjangoTemplates"
PROCESSORS = [
    "django.template.context_processors.request",
    "django.contrib.auth.context_processors.auth",
    "django.contrib.messages.context_processors.messages",
]
MIDDLEWARE = {
    "django.contrib.auth.middleware.AuthenticationMiddleware": "our pages know no user",
    "django.contrib.messages.middleware.MessageMiddleware": "a page of ours that refuses "
    "something fails",
}

QUESTIONS = [name for name in vars(Policy) if not name.startswith("_")]


@register("monitor")
def check_policy(**_: Any) -> list[CheckMessage]:
    """`WORKFLOW_POLICY` names a class with all methods of `Policy`."""
    name = getattr(settings, "WORKFLOW_POLICY", DEFAULT)
    try:
        rule = policy()
    except Exception as exc:  # its module may raise anything
        problem = f"WORKFLOW_POLICY={name} cannot be used: {exc}."
        return [Error(problem, hint=f"Write, for example, {DEFAULT}.", id="monitor.E001")]
    missing = [name for name in QUESTIONS if not callable(getattr(rule, name, None))]
    if not missing:
        return []
    problem = f"WORKFLOW_POLICY={name} does not answer: {', '.join(missing)}."
    return [Error(problem, hint=f"Derive it from {DEFAULT}.", id="monitor.E002")]


@register("monitor")
def check_settings(**_: Any) -> list[CheckMessage]:
    """The values of our settings can be used, our templates are found, and what they need."""
    return [*_settings(), *_templates(), *_parts_of_django(), *_urls()]


def _settings() -> Iterator[CheckMessage]:
    token = metrics_token()
    if not isinstance(token, str) or (token and not VISIBLE.fullmatch(token)):
        yield Error(
            "METRICS_TOKEN is not text of visible ASCII characters without spaces.",
            hint='Write METRICS_TOKEN = "...", with what `openssl rand -hex 24` prints.',
            id="monitor.E003",
        )
    rate = getattr(settings, "WORKFLOW_START_RATE", None)
    if rate not in (None, "") and not (isinstance(rate, str) and RATE.fullmatch(rate)):
        yield Error(
            f"WORKFLOW_START_RATE = {rate!r} is not a rate.",
            hint=f'Write, for example, WORKFLOW_START_RATE = "{START_RATE}"; None is no limit.',
            id="monitor.E004",
        )
    for name, (least, example) in NUMBERS.items():
        given = getattr(settings, name, None)
        if given is not None and (
            problem := number_problem(given, least=least, most=LARGEST_SIZE, whole=True)
        ):
            yield Error(
                f"{name} = {given!r} {problem}.",
                hint=f"Write a number, for example {name} = {example}.",
                id="monitor.E006",
            )
    logged = getattr(settings, "ACCESS_LOG", None)
    if problem := flag_problem(logged):
        yield Error(
            f"ACCESS_LOG = {logged!r} {problem}.",
            hint="Write True, which is its default, or False.",
            id="monitor.E007",
        )


def _parts_of_django() -> Iterator[CheckMessage]:
    """What our pages take from Django's own parts, which a project may have left out."""
    given = [_imported(name) for name in settings.MIDDLEWARE]
    for name, why in MIDDLEWARE.items():
        needed = import_string(name)
        if not any(isinstance(each, type) and issubclass(each, needed) for each in given):
            yield Warning(
                f"MIDDLEWARE has no {name.rpartition('.')[2]}, so {why}.",
                hint=f"Add {name!r}, unless another middleware of yours does the same.",
                id="monitor.W002",
            )
    engines: list[Any] = [each for each in settings.TEMPLATES if each["BACKEND"] == TEMPLATES]
    processors = [each.get("OPTIONS", {}).get("context_processors", ()) for each in engines]
    absent = [name for name in PROCESSORS if not any(name in each for each in processors)]
    if engines and absent:
        yield Warning(
            "Templates do not get all that our pages show: who is signed in, where one is, and why "
            "something was refused.",
            hint=f"Add to the context_processors in TEMPLATES: {', '.join(map(repr, absent))}.",
            id="monitor.W003",
        )


def _urls() -> Iterator[CheckMessage]:
    if not getattr(settings, "ROOT_URLCONF", None):  # as of machines with workers alone
        return
    try:
        resolve_url(settings.LOGIN_URL)
    except NoReverseMatch:
        yield Warning(
            f"LOGIN_URL = {settings.LOGIN_URL!r} names no URL, so each page of ours fails.",
            hint="Write the name of your login page's URL, with its namespace, or its path.",
            id="monitor.W004",
        )
    for prefix in _prefixes_with_values(get_resolver()):
        yield Error(
            f"Our URLs are included under {prefix!r}, which gives our views a value that they do "
            "not take: each of them fails.",
            hint="Include them under a text alone. WORKFLOW_POLICY says who sees which runs.",
            id="monitor.E008",
        )


def _prefixes_with_values(
    resolver: URLResolver, before: str = "", *, given: bool = False
) -> Iterator[str]:
    each: URLResolver | URLPattern
    for each in resolver.url_patterns:
        if not isinstance(each, URLResolver):
            continue
        prefix = f"{before}{each.pattern}"
        gives = given or bool(each.pattern.regex.groups or each.default_kwargs)
        if getattr(each.urlconf_module, "__name__", None) in OUR_URLS:
            yield from [prefix] if gives else []
        else:
            yield from _prefixes_with_values(each, prefix, given=gives)


def _imported(name: str) -> Any:
    try:
        return import_string(name)
    except ImportError:  # Django says so
        return None


def _templates() -> Iterator[CheckMessage]:
    try:
        get_template("monitor/base.html")
    except (TemplateDoesNotExist, ImproperlyConfigured) as exc:
        yield Error(
            f"The templates of our pages are not found ({exc}).",
            hint="TEMPLATES needs an entry of DjangoTemplates with APP_DIRS = True.",
            id="monitor.E005",
        )


@register("monitor", deploy=True)
def check_throttles(**_: Any) -> list[CheckMessage]:
    """All web processes count starts together."""
    if start_rate() is None:
        return []
    match caches["default"]:
        case DummyCache():
            problem = "The cache stores nothing, so starts are not counted: they have no limit."
        case LocMemCache():
            problem = "Each web process counts starts by itself: the limit holds for each of them."
        case _:
            return []
    return [
        Warning(
            problem,
            hint=f"Let {in_project('CACHE_URL', 'CACHES')} name a server that they share, such as "
            "redis://host:6379/1.",
            id="monitor.W001",
        )
    ]
