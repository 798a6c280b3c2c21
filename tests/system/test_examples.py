"""The examples questionnaire and routine on real workers."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Thread

import pytest
from django.contrib.sessions.models import Session
from django.db import connections
from django.utils import timezone

from examples.questionnaire.service import Service
from examples.questionnaire.workflows import questionnaire
from examples.routine.workflows import workflows
from parent.models import Run, RunState
from parent.runs.signals.give import close, give
from parent.runs.user_retry.retry import retry
from tests.system.conftest import StartWorker, step
from tests.waiting import ended, until
from tests.workers import Worker

PAGES = 12


@pytest.fixture
def service() -> Iterator[Service]:
    """One that does not answer the first try of a browser."""
    with Service(busy=1) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def give_page(run: Run, number: int) -> None:
    try:
        give(run.pk, "page", {"number": number, "answers": [1, 2]})
    finally:
        connections.close_all()


def test_a_form_whose_pages_come_at_once_is_summed_up_after_a_replay(
    start_worker: StartWorker, service: Service
) -> None:
    start_worker("-P", "threads", "-c", "4", QUESTIONNAIRE_BROWSERS=service.url)
    run = questionnaire.start(study="sleep")
    with ThreadPoolExecutor(4) as givers:
        list(givers.map(lambda number: give_page(run, number), range(1, PAGES + 1)))
    until("the pages", lambda: (step(run, "score_page").items or {}).get("ok") == PAGES)
    run.signal("contact", email="ann@example.com", user_agent="Lynx")
    run.signal("person", name="Ann", age=40)
    until("the browser is refused", lambda: step(run, "describe_browser").state == "ERROR")

    close(run.pk, "page", who="ann")

    assert ended(run).state == RunState.FAILURE
    assert "does not know the browser 'Lynx'" in str(run.error)
    assert service.tries["Lynx"] == 2
    retry(run.pk, step="describe_browser", inputs={"user_agent": "Firefox/140"}, who="eve")
    assert ended(run).state == RunState.SUCCESS
    assert run.result["pages"] == list(range(1, PAGES + 1))
    assert (run.result["browser"], run.result["score"]) == ("Firefox", 3 * PAGES)


def test_a_routine_task_runs_in_a_worker(worker: Worker) -> None:
    long_ago = timezone.now() - timedelta(days=1)
    Session.objects.create(session_key="old", session_data="", expire_date=long_ago)

    run = ended(workflows["clear_sessions"].start())

    assert (run.state, run.result["deleted"]) == (RunState.SUCCESS, 1)
    assert not Session.objects.exists()
