"""The team's project on each broker and database, with beat, `acks_late` and Celery's prefetch."""

import html
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.adopt.conftest import WORKER, Client, MakeTeam, Team
from tests.waiting import until

SETUPS = [("broker_url", None, "file"), ("rabbitmq", "postgres", "database")]
"""The fixtures of the broker and of the database, where None is SQLite; and where beat has its
schedule: in the database it is django-celery-beat's.
"""
ROWS = "from django_celery_beat.models import *; print(*PeriodicTask.objects.all())"
HELD = 10
SLOTS = 2
ELSEWHERE = "redis://127.0.0.1:1/0"
REMEDY = 'Write CELERY_RESULT_BACKEND = "django-db".'


@pytest.fixture(
    scope="module", params=SETUPS, ids=lambda setup: f"{setup[0]}-{setup[1]}-{setup[2]}"
)
def busy(request: pytest.FixtureRequest, make_team: MakeTeam) -> Iterator[Team]:
    """The project with its web server, and a worker with beat in it."""
    broker, database, beat = request.param
    environ = {"TEAM_BROKER": request.getfixturevalue(broker), "TEAM_BEAT": beat}
    if database:
        environ["TEAM_POSTGRES"] = request.getfixturevalue(database)
    team = make_team(**environ)
    team.make_people()
    with team.serve(), team.work("team", "--beat"):
        if beat == "database":
            until("beat's row", lambda: "nightly weighing" in team.manage("shell", "-c", ROWS))
        yield team


@pytest.fixture(scope="module")
def ann(busy: Team) -> Iterator[Client]:
    with busy.browser("ann@example.com") as client:
        yield client


def ended(client: Client, run: str) -> dict[str, Any]:
    def status() -> dict[str, Any] | None:
        found: dict[str, Any] = client.get(f"/flows/tasks/{run}/").json()
        return found if found["poll_after_ms"] is None else None

    return until("its end", status)


def test_a_run_ends_and_a_template_of_theirs_shows_it(ann: Client) -> None:
    answer = ann.post("/flows/workflows/weigh_all/", json={"parcels": 3})
    run = answer.json()["task_id"]

    status = ended(ann, run)

    assert (status["state"], status["result"]) == ("SUCCESS", {"kilos": 3})
    page = ann.get(f"/bar/{run}/").text
    [src] = re.findall(r'<task-progress src="([^"]+)"', page)
    assert ann.get(src).json()["result"] == {"kilos": 3}
    assert ann.get(f"/flows/runs/{run}/").status_code == 200


def test_a_run_of_beat_has_its_owner_and_its_name(ann: Client) -> None:
    def by_beat() -> dict[str, Any] | None:
        runs = ann.get("/flows/tasks/?workflow=weigh_all&state=SUCCESS").json()["results"]
        return next((run for run in runs if run["periodic_task"]), None)

    run = until("a run of beat", by_beat)  # Ann sees only her own

    assert run["periodic_task"] == "nightly weighing"
    assert "nightly weighing" in ann.get(f"/flows/runs/{run['task_id']}/").text


SEND = """
from celery import chain
from shop.tasks import note
from shop.workflows import weigh_all
print("result:", weigh_all.delay(parcels=4).get(timeout=60))
chain(weigh_all.task.si(parcels=3), note.s(folder={folder!r})).apply_async()
"""


def test_a_client_of_celery_waits_for_a_run_and_chains_it(busy: Team, tmp_path: Path) -> None:
    printed = busy.manage("shell", "-v", "0", "-c", SEND.format(folder=str(tmp_path)))

    assert "result: {'kilos': 6}" in printed
    followed = tmp_path / "followed"
    assert until("what follows", lambda: followed.exists() and followed.read_text()) == (
        "{'kilos': 3}"
    )


AGAIN = """
import time
from django.db.models.functions import Now
from parent.models import Step
queued = Step.objects.filter(task="shop.legacy", state="QUEUED")
while queued.filter(publish_count__lt=3).exists():
    queued.update(due_at=Now())
    time.sleep(0.3)
print("queued:", queued.count())
"""


def test_bodies_of_their_own_tasks_run_once(busy: Team, ann: Client, tmp_path: Path) -> None:
    """Also of those that the worker holds, whenever a tick asks whether they are lost."""
    body = {"folder": str(tmp_path)}
    answers = [ann.post("/flows/workflows/old_task/", json=body) for _ in range(HELD)]
    begun = tmp_path / "begun"
    until("two bodies", lambda: begun.exists() and len(begun.read_text().split()) == SLOTS)

    assert f"queued: {HELD - SLOTS}" in busy.manage("shell", "-v", "0", "-c", AGAIN)
    (tmp_path / "go").touch()

    for answer in answers:
        assert ended(ann, answer.json()["task_id"])["state"] == "SUCCESS"
    assert len(begun.read_text().split()) == HELD


@pytest.fixture(scope="module")
def elsewhere(make_team: MakeTeam) -> Team:
    """With results in a Redis."""
    return make_team(TEAM_RESULTS=ELSEWHERE)


def test_with_results_elsewhere_the_check_says_what_to_set(elsewhere: Team) -> None:
    checked = elsewhere.manage("check", code=1)

    assert "(parent.E005)" in checked
    assert REMEDY in checked


def test_with_results_elsewhere_no_worker_starts(elsewhere: Team) -> None:
    done = subprocess.run(
        [elsewhere.installed.python, *WORKER, "team", "worker", "-c", "1"],
        cwd=elsewhere.folder,
        env=elsewhere.installed.environ(TEAM_RESULTS=ELSEWHERE),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )

    assert done.returncode != 0
    assert REMEDY in done.stdout + done.stderr


START = """
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.test import Client
from people.models import User
from shop.workflows import weigh_all
call_command("migrate", verbosity=0, skip_checks=True)
try:
    weigh_all.start(parcels=1)
except ImproperlyConfigured as exc:
    print("refused:", exc)
client = Client(SERVER_NAME="127.0.0.1")
client.force_login(User.objects.create_user("ann@example.com"))
answer = client.post("/flows/workflows/weigh_all/", {"parcels": 1}, content_type="application/json")
print("answer:", answer.status_code, answer.json()["detail"])
page = client.post("/flows/start/weigh_all/", {"parcels": 1}, headers={"accept": "text/html"})
print("page:", page.status_code, page.content.decode())
"""
SAID = "The server&#x27;s settings do not let it do this, so nothing was started"


def test_with_results_elsewhere_no_run_starts(elsewhere: Team) -> None:
    """Also where no check was made, as under a WSGI server."""
    printed = elsewhere.manage("shell", "-v", "0", "-c", START)

    assert f"refused: Celery's result backend is '{ELSEWHERE}'" in printed
    assert printed.count(REMEDY) >= 3  # and in the log, for each request
    assert f"answer: 500 {html.unescape(SAID)}" in printed
    assert "page: 500" in printed
    assert SAID in printed
