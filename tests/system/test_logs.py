"""The log lines of children and of the engine in real workers."""

import json
import signal
from functools import partial
from typing import Any

import pytest
from celery import current_app

from parent.models import Run
from tests.flows import workflows
from tests.system.conftest import Gate, StartWorker, step
from tests.waiting import ended, until
from tests.workers import Worker


def lines(worker: Worker) -> list[dict[str, Any]]:
    """Its log so far. What Python says before the log is set up is not JSON."""
    return [json.loads(line) for line in worker.log.read_text().splitlines() if line[:1] == "{"]


def wrote(worker: Worker, text: str) -> bool:
    return text in worker.log.read_text()


def said(worker: Worker, text: str) -> list[dict[str, Any]]:
    return [line for line in lines(worker) if text in line["message"]]


def about(line: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(line.get(name) for name in ("run", "workflow", "step", "attempt"))


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_each_line_of_a_child_says_whose_it_is(start_worker: StartWorker, pool: str) -> None:
    worker = start_worker("-P", pool, "-c", "2", LOG_FORMAT="json")

    run = workflows.talkative.start()
    ended(run)
    for last in ("ended: FAILURE", "will be retried"):  # of two threads
        until(f"the line {last!r}", partial(wrote, worker, last))

    left = [(str(run.pk), "talkative", "left", attempt) for attempt in (1, 2)]
    right = [(str(run.pk), "talkative", "right", 1)]
    for text in ("said", "printed"):
        assert sorted(map(about, said(worker, f"{text} left"))) == left
        assert list(map(about, said(worker, f"{text} right"))) == right
    (again,) = said(worker, "will be retried")
    assert about(again) == left[0]
    assert "stumbled over left" in again["exception"]
    for failure in said(worker, "raised unexpected"):  # Celery's own words
        assert about(failure) in (left[1], right[0])
    (end,) = said(worker, "ended: FAILURE")
    assert about(end)[:2] == (str(run.pk), "talkative")
    assert {line["level"] for line in said(worker, "said")} == {"info"}
    assert all(line["timestamp"] and line["logger"] for line in lines(worker))


def test_a_parent_and_a_plain_child_say_what_there_is(worker: Worker, broker: str) -> None:
    sent = current_app.send_task("parent.noops")
    worker.wait_for(f"noops[{sent.id}] ended")
    plain = current_app.send_task("flows.talks", kwargs={"text": "alone"})
    worker.wait_for("said alone")

    assert plain.id
    assert about(said(worker, "said alone")[0]) == (None, None, None, None)
    assert about(said(worker, "ended: SUCCESS")[0])[:2] == (sent.id, "noops")
    for line in said(worker, f"parent.noops[{sent.id}] "):
        assert about(line)[:2] in ((sent.id, "noops"), (None, None))  # the latter: "received"


def test_the_engines_lines_say_what_they_are_about(
    start_worker: StartWorker, gate: Gate, broker: str
) -> None:
    worker = start_worker(
        "-P", "prefork", "-c", "1", LOG_FORMAT="json", WORKFLOW_SHUTDOWN_GRACE="1"
    )
    run = workflows.gate.start(gate=gate.name)
    gate.reached()

    worker.process.send_signal(signal.SIGTERM)
    worker.wait_for("is given up")

    (line,) = said(worker, "is given up")
    assert about(line) == (str(run.pk), "gate", "gated", 1)
    assert step(Run.objects.get(pk=run.pk), "gated").state == "ERROR"


def test_text_for_people_says_it_too(start_worker: StartWorker) -> None:
    worker = start_worker("-P", "threads", "-c", "1", LOG_FORMAT="text")

    run = workflows.talkative.start()
    line = worker.wait_for("said right")

    for part in (f"run={run.pk}", "workflow=talkative", "step=right", "attempt=1"):
        assert part in line
