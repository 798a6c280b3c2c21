"""The clients of docs/clients.md, as they stand there, in processes of their own."""

import os
import subprocess
import sys
from ast import literal_eval
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.authtoken.models import Token

from parent.models import Run, WatchLease
from tests.waiting import until
from tests.workers import Worker, database_url

PAGE = (Path(__file__).resolve().parent.parent.parent / "docs/clients.md").read_text()


def code_below(heading: str) -> str:
    return PAGE.split(f"## {heading}\n")[1].split("```python\n")[1].split("```")[0]


def run_elsewhere(code: str, folder: Path, **environ: str) -> str:
    """What the code prints, in a process that has nothing of this project on its path."""
    (folder / "client.py").write_text(code)
    clean = {
        k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "DJANGO_SETTINGS_MODULE")
    }
    done = subprocess.run(
        [sys.executable, "client.py"],
        cwd=folder,
        env=clean | environ,
        text=True,
        check=False,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def token(transactional_db: None) -> str:
    return str(Token.objects.create(user=User.objects.create_user("ann")).key)


def test_a_client_that_needs_nothing_of_django(
    live_server: Any, worker: Worker, token: str, tmp_path: Path
) -> None:
    code = code_below("A client that needs nothing of Django")
    assert len(code.split("api = ")[1].splitlines()) <= 10
    code = code.replace("http://127.0.0.1:8000", live_server.url).replace("...", token)

    printed = run_elsewhere(code, tmp_path).splitlines()

    run = Run.objects.get()
    assert (run.state, run.owner and run.owner.username) == ("SUCCESS", "ann")
    assert literal_eval(printed[-1]) == run.result
    assert printed[-2].startswith("100 %")


def test_a_client_that_has_celery_and_nothing_of_ours(
    worker: Worker, broker: str, tmp_path: Path
) -> None:
    code = code_below("A client that has Celery, and nothing of ours")
    code = code.replace('"limit": 20', '"limit": 120')  # long enough to be seen on its way
    until("the watch", WatchLease.objects.filter(holder__isnull=False).exists)

    printed = run_elsewhere(code, tmp_path, DATABASE_URL=database_url(), REDIS_URL=broker)

    run = Run.objects.get()
    assert run.state == "SUCCESS"
    assert literal_eval(printed.splitlines()[-1]) == run.result
    assert "'status': 'PROGRESS'" in printed
