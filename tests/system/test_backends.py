"""With a result backend that is not the database nothing starts that would never seem to end."""

import os
import subprocess
import sys
from typing import Any

import pytest
from celery import current_app
from celery.result import AsyncResult
from django.core.exceptions import ImproperlyConfigured
from django_celery_results.backends import DatabaseBackend

from parent.inline import run_inline
from parent.models import Run
from parent.project_checks import celery_problems
from tests.flows import canvas
from tests.system.conftest import StartWorker
from tests.waiting import PATIENCE
from tests.workers import database_url

ELSEWHERE = ["redis://127.0.0.1:1", "rpc://", "cache+memory://"]
REFUSED = [*ELSEWHERE, "django-cache", "no.such:Backend", None]
TAKEN = ["django-db", f"{__name__}:OwnBackend"]


class OwnBackend(DatabaseBackend):  # type: ignore[misc]
    """A team's own, derived from the database's."""


@pytest.fixture
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    # The app keeps what it makes of the setting. So make that before, for the tests that follow.
    assert isinstance(current_app.backend, DatabaseBackend)
    monkeypatch.setattr(current_app.conf, "result_backend", request.param)
    return request.param


def ids() -> list[str | None]:
    return [message.id for message in celery_problems(current_app.conf)]


@pytest.mark.django_db
@pytest.mark.parametrize("backend", REFUSED, indirect=True)
def test_a_start_is_refused(backend: Any) -> None:
    assert ids() == ["parent.E005"]
    for start in (
        lambda: canvas.doubled.start(a=2),
        lambda: canvas.doubled.delay(a=2),
        lambda: canvas.doubled.start_many([{"a": 2}]),
    ):
        with pytest.raises(ImproperlyConfigured, match='CELERY_RESULT_BACKEND = "django-db"'):
            start()
    assert not Run.objects.exists()
    assert run_inline(canvas.doubled, a=2).result == 4


@pytest.mark.django_db
@pytest.mark.parametrize("backend", TAKEN, indirect=True)
def test_a_start_is_taken(backend: Any) -> None:
    assert ids() == []
    assert canvas.doubled.start(a=2).pk


@pytest.mark.parametrize("backend", ELSEWHERE)
def test_a_worker_does_not_start(transactional_db: None, broker: str, backend: str) -> None:
    environ = os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DATABASE_URL": database_url(),
        "REDIS_URL": broker,
        "RESULT_BACKEND": backend,
    }
    command = [sys.executable, "-m", "celery", "-A", "mainproj", "worker", "-P", "threads"]
    ended = subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=90, check=False
    )
    assert ended.returncode != 0
    assert "(parent.E005)" in ended.stderr + ended.stdout
    assert "Write CELERY_RESULT_BACKEND = " in ended.stderr + ended.stdout


def test_with_the_database_the_state_is_read_by_the_id(start_worker: StartWorker) -> None:
    start_worker("-P", "threads", "-c", "1")
    result = canvas.doubled.delay(a=2)
    assert result.get(timeout=PATIENCE) == 4
    bare: Any = AsyncResult(result.id)
    assert (bare.state, bare.result) == ("SUCCESS", 4)
