"""/metrics of a real installation, and what the dashboard and the alerts ask of it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families as families

from parent.models import RunState
from tests.flows import faults, workflows
from tests.ops.conftest import Gate, StartWorker
from tests.ops.web import Web, web_server
from tests.waiting import ended, until

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "workflows.json").read_text())
RULES = yaml.safe_load((ROOT / "deploy" / "alerts" / "workflow.yml").read_text())
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]
SUFFIXES = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_sum", "_count"),
}


def scrape(web: Web) -> dict[tuple[str, ...], float]:
    """Samples by name and sorted values of their labels; by name alone, 0 for each that may be."""
    found: dict[tuple[str, ...], float] = {}
    for family in families(web.get("/metrics")):
        found |= {(family.name + suffix,): 0 for suffix in SUFFIXES[family.type]}
        for sample in family.samples:
            found[sample.name, *sorted(sample.labels.values())] = sample.value
    return found


def test_a_real_installation_tells_what_the_dashboard_and_the_alerts_ask_for(
    start_worker: StartWorker, broker: str, token: str, gate: Gate
) -> None:
    start_worker("-P", "prefork", "-c", "1")
    with web_server(broker, token) as web:
        until("the first count", lambda: "workflow_watch_age_seconds" in web.get("/metrics"))
        until("a tally", lambda: scrape(web).get(("workflow_tick_seconds_count",)))
        web.post("/workflows/noops/", {})
        assert ended(workflows.broken.start()).state == RunState.FAILURE
        assert ended(faults.failing.start(failures=1, how="die")).state == RunState.FAILURE
        waiting = [workflows.gate.start(gate=gate.name) for _ in range(2)]
        gate.reached()

        def all_ended() -> dict[tuple[str, ...], float] | None:
            found = scrape(web)
            return found if ("workflow_runs_ended_total", "FAILURE", "failing") in found else None

        alive = until("what has ended", all_ended)
        for _ in waiting:
            gate.open()
        for run in waiting:
            ended(run)

        assert alive["workflow_runs_started_total", "noops"] == 1
        assert alive["workflow_runs_ended_total", "SUCCESS", "noops"] == 1
        assert alive["workflow_runs_ended_total", "FAILURE", "broken"] == 1
        assert alive["workflow_step_seconds_count", "OK", "first", "noops"] == 1
        assert alive["workflow_step_seconds_count", "ERROR", "broken", "fails"] == 1
        assert alive["workflow_processes_lost_total",] == 1
        assert alive["workflow_mirror_lag_seconds_count",] >= 1
        assert alive["workflow_executors",] == alive["workflow_queue_executors", "celery"] == 1
        assert alive["workflow_steps", "QUEUED", "celery"] == 1
        assert alive["workflow_steps", "RUNNING", "celery"] == 1
        assert alive["workflow_watch_age_seconds",] < 6
        assert {name for name, *_ in alive} >= asked_for()


def asked_for() -> set[str]:
    """The metrics that the dashboard and the alerts name."""
    targets = [target for panel in DASHBOARD["panels"] for target in panel["targets"]]
    told = [str(each["expr"]) for each in (*targets, *ALERTS)]
    return {name for text in told for name in re.findall(r"\bworkflow_\w+", text)}


def test_the_names_are_found_in_the_files() -> None:
    assert {"workflow_tick_lag_seconds_bucket", "workflow_queue_executors"} <= asked_for()
    assert len(asked_for()) > 12


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_the_guide_says_what_to_do_about_an_alert(rule: Any) -> None:
    guide = (ROOT / "docs" / "operations.md").read_text()

    assert f"\n### {rule['alert']}\n" in guide
    assert rule["annotations"]["summary"]
