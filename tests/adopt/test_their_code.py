"""Serializers, values, pages and mistakes of a team, in its own project."""

import re
from typing import Any

import pytest

from tests.adopt.conftest import Client, MakeTeam, Team
from tests.waiting import until

VALUES = {
    "price": "1.50",
    "day": "2026-01-31",
    "moment": "2026-01-31T12:00:00+00:00",
    "id": "00000000-0000-0000-0000-000000000001",
    "text": "Weight",
}
"""As kombu's JSON has them."""


def result_of(client: Client, workflow: str, **params: Any) -> tuple[str, Any]:
    started = client.post(f"/flows/workflows/{workflow}/", json=params)
    assert started.status_code == 202, started.text
    run = str(started.json()["task_id"])

    def ended() -> dict[str, Any] | None:
        status: dict[str, Any] = client.get(f"/flows/tasks/{run}/").json()
        return status if status["poll_after_ms"] is None else None

    return run, until("its end", ended)["result"]


def test_their_rows_are_parameters_by_their_ids(team: Team, ann: Client, eve: Client) -> None:
    page = eve.get("/admin/people/user/?q=ann").text
    [me] = re.findall(r"/admin/people/user/([0-9a-f-]{36})/change", page)

    _, result = result_of(ann, "prices", sender=me, parcels=[{"weight": 2}])

    assert result == VALUES | {"sender": me, "parcels": [{"weight": 2}]}


def test_a_page_of_celery_progress_goes_on_with_a_run_and_its_task(ann: Client) -> None:
    run, result = result_of(ann, "old_prices")

    answer = ann.get(f"/progress/{run}/").json()

    assert result == VALUES
    assert answer == {
        "state": "SUCCESS",
        "complete": True,
        "success": True,
        "progress": {"pending": False, "current": 100, "total": 100, "percent": 100},
        "result": VALUES,
    }


@pytest.fixture(scope="module")
def alone(make_team: MakeTeam) -> Team:
    """Without servers."""
    return make_team(TEAM_EAGER="on")


EAGER = """
from django.core.management import call_command
from shop.workflows import old_prices, weigh_all
call_command("migrate", verbosity=0)
for run in (old_prices.start(), weigh_all.start(parcels=3)):
    run.refresh_from_db()
    print("ended:", run.state)
"""


def test_with_eager_tasks_a_run_ends_at_once_with_its_retries(alone: Team) -> None:
    printed = alone.manage("shell", "-v", "0", "-c", EAGER)

    assert re.findall("ended: (.*)", printed) == ["SUCCESS", "SUCCESS"]


MISTAKES = """

@child_task(name="shop.forgets")
def forgets(parcels):
    return parcels


def reads_a_later_step(run):
    return {"parcels": run.results["after"]}


Workflow("fits_not", params=FolderParams, steps=[Step(weigh)])
Workflow("forgets", params=ParcelParams, steps=[Step(forgets)])
Workflow(
    "reads_early",
    params=ParcelParams,
    steps=[Step(weigh, inputs=reads_a_later_step), Step(weigh, name="after", inputs=dict)],
)
"""


def test_their_mistakes_are_found_by_a_check(alone: Team) -> None:
    path = alone.folder / "shop" / "workflows.py"
    before = path.read_text()
    path.write_text(f"{before}\nfrom children import child_task\n{MISTAKES}")
    try:
        told = alone.manage("check", code=1)
    finally:
        path.write_text(before)

    assert "step 'weigh' needs 'parcels', which is not a parameter of the workflow" in told
    assert "takes 'parcels', which is a parameter, where the progress comes" in told
    assert "read run.results['after'], which does not come before it" in told
