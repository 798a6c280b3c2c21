"""Who holds a place and who waits for one: in the status, on the page and in the metrics."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client

from monitor.runs.snapshot import Snapshot
from parent import Concurrency, Map, Step, Workflow
from parent.messages.publish import publishing_off
from parent.models import Item, Place, Run
from parent.runs.concurrency import shared_limits
from parent.store import clock
from tests.flows import tasks

Api = Callable[[User], Any]

pytestmark = pytest.mark.usefixtures("own_registry")


@pytest.fixture(autouse=True)
def _one_gpu(settings: LazySettings) -> Iterator[None]:
    settings.WORKFLOW_LIMITS = {"gpu": 1, "mail": "1/m", "db": 0}
    with publishing_off():
        yield


@pytest.fixture
def flow(db: None) -> Workflow:
    return Workflow("limited", steps=[Step(tasks.noop, limits=["gpu", "mail"])])


def fill() -> None:
    """What follows the commits of the starts; in a test nothing is committed."""
    shared_limits.fill(["gpu", "mail", "db"])


def status(client: Any, run: Run) -> Any:
    return client.get(f"/tasks/{run.pk}/").json()


def test_a_step_says_for_what_it_waits_and_who_holds_it(
    flow: Workflow, api: Api, owner: User
) -> None:
    holder, second, third = (flow.start(owner=owner) for _ in range(3))
    fill()

    assert status(api(owner), holder)["in_line"] == []
    found = status(api(owner), third)
    since = Place.objects.filter(run_id=third.pk)[0].since.isoformat().replace("+00:00", "Z")
    common = {"step": "noop", "ahead": 1, "since": since, "held_by": [str(holder.pk)]}
    assert found["in_line"] == [
        {**common, "name": "gpu", "use": "1 of 1 in use"},
        {**common, "name": "mail", "use": "1 of 1 begun in this minute"},
    ]
    text = "gpu (1 of 1 in use), mail (1 of 1 begun in this minute)"
    assert (found["waits_for"], found["steps"][0]["waits_for"]) == (text, text)
    assert [each["ahead"] for each in status(api(owner), second)["in_line"]] == [0, 0]
    child = api(owner).get(f"/tasks/{found['steps'][0]['task_id']}/").json()
    assert (child["waits_for"], child["in_line"]) == (text, found["in_line"])


def test_a_run_of_somebody_else_is_not_named(
    flow: Workflow, api: Api, owner: User, other: User, staff: User
) -> None:
    holder, waits = flow.start(owner=owner), flow.start(owner=other)
    fill()

    assert [each["held_by"] for each in status(api(other), waits)["in_line"]] == [[], []]
    assert [each["held_by"] for each in status(api(staff), waits)["in_line"]] == [
        [str(holder.pk)]
    ] * 2


def test_a_poll_sees_that_the_line_has_moved(flow: Workflow, api: Api, owner: User) -> None:
    """The rows of the run that waits are the same."""
    _, second, third = (flow.start(owner=owner) for _ in range(3))
    fill()
    now = clock.now()
    before = Snapshot([third.pk]).digest(now)
    assert Snapshot([third.pk]).digest(now) == before

    second.steps.update(state="CANCELLED")

    assert Snapshot([third.pk]).digest(now) != before
    assert [each["ahead"] for each in status(api(owner), third)["in_line"]] == [0, 0]


def test_a_run_says_who_has_its_turn(api: Api, owner: User) -> None:
    flow = Workflow("limited", steps=[Step(tasks.noop)], concurrency=Concurrency())
    holder, _, third = (flow.start(owner=owner) for _ in range(3))

    found = status(api(owner), third)

    assert found["message"] == "waits for its turn"
    (standing,) = found["in_line"]
    assert standing.pop("since") == found["created_at"]
    assert standing == {
        "step": None,
        "name": "limited",
        "use": "1 of 1 in use",
        "ahead": 1,
        "held_by": [str(holder.pk)],
    }


def test_items_say_for_what_they_wait(db: None, api: Api, owner: User) -> None:
    each = Map(tasks.noop, name="each", over=lambda _: [{}] * 3, limits=["gpu"])
    run = Workflow("mapped", steps=[each]).start(owner=owner)
    fill()

    found = status(api(owner), run)["in_line"]
    assert [(each["step"], each["ahead"]) for each in found] == [("each[1]", 0), ("each[2]", 1)]
    item = Item.objects.get(index=2)
    child = api(owner).get(f"/tasks/{item.task_id}/").json()
    assert (child["waits_for"], len(child["in_line"])) == ("gpu (1 of 1 in use)", 1)


def test_a_limit_that_has_no_size_any_more_says_so(
    flow: Workflow, api: Api, owner: User, settings: LazySettings
) -> None:
    run = flow.start(owner=owner)
    settings.WORKFLOW_LIMITS = {"mail": "1/m"}
    fill()

    found = status(api(owner), run)["in_line"]
    assert found[0]["use"] == "it has no size in WORKFLOW_LIMITS"


def test_the_page_links_to_the_run_that_holds_the_place(
    flow: Workflow, client: Client, owner: User, other: User
) -> None:
    holder, waits = flow.start(owner=owner), flow.start(owner=other)
    fill()
    for user, sees in ((other, False), (owner, True)):
        Run.objects.filter(pk=waits.pk).update(owner=user)
        client.force_login(user)
        page = client.get(f"/runs/{waits.pk}/").content.decode()
        assert "Waits for a place" in page
        assert "1 of 1 in use; 0 before it" in page
        assert (f'<a href="/runs/{holder.pk}/">' in page) is sees
    assert "Waits for a place" not in client.get(f"/runs/{holder.pk}/").content.decode()


def test_metrics_count_who_holds_and_who_waits(flow: Workflow, api: Api, staff: User) -> None:
    for _ in range(3):
        flow.start()
    turns = Workflow("turns", steps=[Step(tasks.noop)], concurrency=Concurrency())
    for _ in range(3):
        turns.start()
    fill()

    text = api(staff).get("/metrics").content.decode()

    for line in (
        'workflow_limit_used{limit="gpu"} 1.0',
        'workflow_limit_used{limit="mail"} 1.0',
        'workflow_limit_used{limit="db"} 0.0',
        'workflow_in_line{limit="gpu",workflow=""} 2.0',
        'workflow_in_line{limit="db",workflow=""} 0.0',
        'workflow_in_line{limit="",workflow="turns"} 2.0',
        'workflow_in_line_oldest_seconds{limit="",workflow="turns"}',
        # What waits in line is in no queue.
        'workflow_steps{queue="celery",state="QUEUED"} 2.0',
    ):
        assert line in text
