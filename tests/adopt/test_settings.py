"""Mixes of settings that other projects have: a run is started on a page, ends, and is shown."""

import re
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from tests.adopt.conftest import PASSWORD, MakeTeam, Team
from tests.waiting import until

VARIANT = "team/variant.py"
BEGIN = "from team.settings import *\nfrom team.settings import BASE_DIR\n"

OF_DJANGO = """
DATABASES["default"]["ATOMIC_REQUESTS"] = True
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
LANGUAGE_CODE, USE_THOUSAND_SEPARATOR = "de", True
FORCE_SCRIPT_NAME, APPEND_SLASH = "/office", False
STATIC_URL = "/office/static/"
SESSION_ENGINE, CSRF_USE_SESSIONS = "django.contrib.sessions.backends.signed_cookies", True
SECURE_SSL_REDIRECT, SECURE_PROXY_SSL_HEADER = True, ("HTTP_X_FORWARDED_PROTO", "https")
CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
LOGGING_CONFIG = None
SILENCED_SYSTEM_CHECKS = ["security.W004"]
INSTALLED_APPS.remove("django.contrib.admin")
MIDDLEWARE.insert(0, "django.middleware.security.SecurityMiddleware")
MIDDLEWARE.insert(0, "team.stamp.stamp")
MIDDLEWARE.insert(3, "django.middleware.locale.LocaleMiddleware")
TEMPLATES[0]["OPTIONS"]["string_if_invalid"] = "NOT-THERE"
"""
STAMP = """
from django.utils.decorators import async_only_middleware

@async_only_middleware
def stamp(get_response):
    async def middleware(request):
        return await get_response(request)
    return middleware
"""
OF_CELERY = """
DATABASES["default"]["CONN_MAX_AGE"] = None
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
SHOP_BROKER_URL, SHOP_RESULT_BACKEND = CELERY_BROKER_URL, CELERY_RESULT_BACKEND
SHOP_BROKER_TRANSPORT_OPTIONS = CELERY_BROKER_TRANSPORT_OPTIONS | {
    "global_keyprefix": "shop:", "queue_order_strategy": "priority", "priority_steps": [0, 5],
}
SHOP_WORKER_DISABLE_PREFETCH = True
del CELERY_BROKER_URL, CELERY_RESULT_BACKEND, CELERY_BROKER_TRANSPORT_OPTIONS
SHOP_TASK_SERIALIZER, SHOP_ACCEPT_CONTENT = "pickle", ["pickle", "json"]
SHOP_TASK_COMPRESSION = "gzip"
SHOP_TASK_DEFAULT_QUEUE = "shop"
SHOP_TASK_ROUTES = {"shop.*": {"queue": "steps"}, "parent.*": "flows"}
SHOP_TASK_IGNORE_RESULT = True
SHOP_TASK_ACKS_LATE = SHOP_TASK_REJECT_ON_WORKER_LOST = True
SHOP_TASK_TRACK_STARTED = SHOP_RESULT_EXTENDED = True
SHOP_TASK_TIME_LIMIT, SHOP_TASK_SOFT_TIME_LIMIT = 60, 50
SHOP_ENABLE_UTC, SHOP_TIMEZONE = False, "America/New_York"
SHOP_WORKER_MAX_TASKS_PER_CHILD = 1
SHOP_WORKER_ENABLE_REMOTE_CONTROL = False
"""


SEND = """
from shop.workflows import weigh_all
print("result:", weigh_all.delay(parcels=4).get(timeout=60))
"""


def varied(make_team: MakeTeam, settings: str, **environ: str) -> Team:
    made = make_team(DJANGO_SETTINGS_MODULE="team.variant", **environ)
    (made.folder / VARIANT).write_text(BEGIN + settings)
    return made


def change(team: Team, name: str, before: str, after: str) -> None:
    path = team.folder / name
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def of_django(make_team: MakeTeam, request: pytest.FixtureRequest) -> tuple[Team, list[str]]:
    team = varied(make_team, OF_DJANGO, TEAM_BROKER=request.getfixturevalue("broker_url"))
    (team.folder / "team" / "stamp.py").write_text(STAMP)
    change(team, "team/urls.py", 'path("admin/", admin.site.urls),', "")
    return team, ["-P", "threads"]


def of_celery(make_team: MakeTeam, request: pytest.FixtureRequest) -> tuple[Team, list[str]]:
    places = {"TEAM_BROKER": request.getfixturevalue("broker_url")}
    server: str = request.getfixturevalue("postgres")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("CREATE DATABASE mixed")  # the server's own is that of other tests
    places["TEAM_POSTGRES"] = urlsplit(server)._replace(path="/mixed").geturl()
    team = varied(make_team, OF_CELERY, **places, C_FORCE_ROOT="1")
    change(team, "team/celery.py", 'namespace="CELERY"', 'namespace="SHOP"')
    return team, ["-Q", "shop,steps,flows"]


@pytest.mark.parametrize(
    ("mix", "prefix"), [(of_django, "/office"), (of_celery, "")], ids=["django", "celery"]
)
def test_a_run_ends_and_is_shown(
    make_team: MakeTeam, request: pytest.FixtureRequest, mix: Any, prefix: str
) -> None:
    team, options = mix(make_team, request)
    assert "no issues" in team.manage("check")
    team.make_people()
    ours = ["parent", "monitor", "children"]
    assert "No changes" in team.manage("makemigrations", "--check", "--dry-run", *ours)
    headers = {"X-Forwarded-Proto": "https", "Accept-Language": "de"}

    with team.serve(), team.work("team", *options), httpx.Client(timeout=30) as browser:
        browser.base_url = team.url
        browser.headers.update(headers | {"Referer": team.url.replace("http:", "https:")})
        send(browser, "/enter/", username="ann@example.com", password=PASSWORD)
        page = send(browser, "/flows/start/weigh_all/", parcels="3").headers["Location"]
        assert page.startswith(f"{prefix}/flows/runs/")
        page = page.removeprefix(prefix)  # which a proxy takes away

        status = page.replace("/runs/", "/tasks/")
        until("its end", lambda: browser.get(status).json()["poll_after_ms"] is None)

        assert browser.get(status).json()["result"] == {"kilos": 3}
        for path in (page, f"{page}log/", "/flows/", "/flows/runs/"):
            shown = browser.get(path)
            assert (shown.status_code, "NOT-THERE" in shown.text) == (200, False), path
        assert "result: {'kilos': 6}" in team.manage("shell", "-v", "0", "-c", SEND)


def send(browser: httpx.Client, path: str, **form: str) -> httpx.Response:
    """Send the form of a page, as a browser does."""
    [token, *_] = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', browser.get(path).text)
    answer = browser.post(path, data={"csrfmiddlewaretoken": token, **form})
    assert answer.status_code == httpx.codes.FOUND, answer.text
    return answer
