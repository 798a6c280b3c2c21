"""The settings of a production machine, in a process of its own; and of `make up`."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.workers import fork_servers

KEY = "a-key-of-fifty-characters-or-more-for-this-test-only"
SHOW = """
import django, json
from django.conf import settings
django.setup()
names = ["SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_SSL_REDIRECT",
         "SECURE_HSTS_SECONDS", "SECURE_PROXY_SSL_HEADER", "DEBUG", "SECRET_KEY"]
print(json.dumps({name: getattr(settings, name, None) for name in names}))
"""
ASK = """
import django, json
from django.conf import settings
django.setup()
from django.test import Client
def told(path, **how):
    answer = Client().get(path, **how)
    return [answer.status_code, dict(answer.headers)]
host = {"HTTP_HOST": "flows.example.com"}
proxied = host | {"HTTP_X_FORWARDED_PROTO": "https"}
print(json.dumps({"plain": told("/login/", **host), "health": told("/healthz", **host),
                  "secure": told("/login/", secure=True, **host),
                  "proxied": told("/login/", **proxied)}))
"""


def python(tmp_path: Path, *args: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    root = Path(__file__).resolve().parents[2]
    environ = {
        **kept,
        "DJANGO_SETTINGS_MODULE": "mainproj.settings",
        "DATA_DIR": str(tmp_path),
        **variables,
    }
    return fork_servers.without_settings.complete(*args, environ=environ, cwd=str(root))


def answer(tmp_path: Path, code: str, **variables: str) -> Any:
    done = python(tmp_path, "-c", code, **variables)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("more", [{}, {"HSTS_SECONDS": "31536000", "HSTS_SUBDOMAINS": "on"}])
def test_check_deploy_is_clean(tmp_path: Path, more: dict[str, str]) -> None:
    variables = {"SECRET_KEY": KEY, "ALLOWED_HOSTS": "flows.example.com"} | more
    command = ("manage.py", "check", "--deploy", "--fail-level", "WARNING")

    done = python(tmp_path, *command, **variables)

    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


def test_production_is_secure_without_a_word(tmp_path: Path) -> None:
    assert answer(tmp_path, SHOW, SECRET_KEY=KEY) == {
        "SESSION_COOKIE_SECURE": True,
        "CSRF_COOKIE_SECURE": True,
        "SECURE_SSL_REDIRECT": True,
        "SECURE_HSTS_SECONDS": 3600,
        "SECURE_PROXY_SSL_HEADER": None,
        "DEBUG": False,
        "SECRET_KEY": KEY,
    }


def test_one_machine_serves_plain_http_with_a_key_of_its_own(tmp_path: Path) -> None:
    found = answer(tmp_path, SHOW, LOCAL="on")

    assert found["SECRET_KEY"] == (tmp_path / "secret_key").read_text()
    assert len(found["SECRET_KEY"]) >= 50
    assert not found["SESSION_COOKIE_SECURE"]
    assert not found["SECURE_SSL_REDIRECT"]
    assert found["SECURE_HSTS_SECONDS"] == 0
    # Other commands find the key that was made.
    assert answer(tmp_path, SHOW)["SECRET_KEY"] == found["SECRET_KEY"]


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({}, ["SECRET_KEY is not set", "SECRET_KEY=", "LOCAL=on"]),
        ({"DEBUG": "perhaps", "SECRET_KEY": KEY}, ["DEBUG=perhaps", "neither on nor off"]),
        ({"LOCAL": "on", "ALLOWED_HOSTS": "a.example"}, ["LOCAL=on", "ALLOWED_HOSTS"]),
        (
            {"SECRET_KEY": KEY, "DATABASE_URL": "oracle://u:hidden@h/n"},
            ["DATABASE_URL cannot be used", "DATABASE_URL=postgres://"],
        ),
        ({"SECRET_KEY": KEY, "WORKFLOW_LEASE": "soon"}, ["WORKFLOW_LEASE=soon", "seconds"]),
    ],
)
def test_a_wrong_setting_stops_the_start(
    tmp_path: Path, variables: dict[str, str], words: list[str]
) -> None:
    done = python(tmp_path, "manage.py", "check", **variables)

    assert done.returncode != 0
    for word in words:
        assert word in done.stderr
    assert len(done.stderr.splitlines()) == 1  # a sentence, no traceback
    assert "hidden" not in done.stderr
    assert not (tmp_path / "secret_key").exists() or "LOCAL" in variables


def test_plain_http_is_sent_to_https_and_believed_from_a_proxy_alone(tmp_path: Path) -> None:
    hosts = {"SECRET_KEY": KEY, "ALLOWED_HOSTS": "flows.example.com"}
    direct = answer(tmp_path, ASK, **hosts)
    behind = answer(tmp_path, ASK, BEHIND_TLS_PROXY="on", **hosts)

    assert direct["plain"][0] == 301
    assert direct["plain"][1]["Location"] == "https://flows.example.com/login/"
    assert direct["health"][0] == 200  # a load balancer asks on plain http
    assert direct["proxied"][0] == 301
    assert behind["proxied"][0] == 200
    assert direct["secure"][0] == 200
    assert direct["secure"][1]["Strict-Transport-Security"] == "max-age=3600"
