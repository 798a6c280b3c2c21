"""What a page sends to a browser that shows it already, and how much of it."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from monitor.pages.steps.groups import FEW, step_groups
from monitor.runs.results import BEGINNING
from parent.models import Run, Step

MakeRun = Callable[..., Run]


@pytest.fixture
def signed_in(client: Client, owner: User) -> Client:
    client.force_login(owner)
    return client


def text(response: Any) -> str:
    return str(response.content.decode())


def digests(page: str) -> dict[str, str]:
    """The digests of the live parts by id, as the browser reads them."""
    parts = [tag for tag in page.split("<") if "data-live=" in tag]
    assert parts
    return {tag.split('id="')[1].split('"')[0]: tag.split('"')[1] for tag in parts}


def changed(client: Client, path: str, shown: dict[str, str]) -> set[str]:
    header = " ".join(f"{id}={digest}" for id, digest in shown.items())
    page = text(client.get(path, headers={"Live-Parts": header}))
    assert "<html" not in page
    return set(digests(page)) if "data-live" in page else set()


def test_each_part_can_be_asked_for_by_the_id_that_it_has_on_the_page(
    signed_in: Client, owner: User, make_run: MakeRun
) -> None:
    """A part that the page names otherwise than the server would never be brought up to date."""
    run = make_run(owner)
    for path in (f"/runs/{run.pk}/", "/runs/", "/"):
        shown = digests(text(signed_in.get(path)))
        assert changed(signed_in, path, dict.fromkeys(shown, "other")) == set(shown), path


def test_only_the_parts_that_have_changed_are_sent(
    signed_in: Client, owner: User, make_run: MakeRun
) -> None:
    run = make_run(owner)
    path = f"/runs/{run.pk}/"
    shown = digests(text(signed_in.get(path)))
    assert set(shown) == {
        "notices",
        "asked",
        "graph",
        "in_line",
        "items",
        "child_runs",
        "timeline",
        "result",
        "retry",
        "facts",
        "history",
        "delete",
    }

    # Time alone changes nothing, nor does a report: the bars have their own requests.
    run.steps.filter(name="func_1").update(completion=50.0, reported_at=timezone.now())
    assert changed(signed_in, path, shown) == set()

    run.steps.filter(name="func_1").update(state="OK", finished_at=timezone.now())
    assert changed(signed_in, path, shown) == {"graph", "timeline"}
    # A part that the browser does not ask for, because it is folded, is not sent.
    assert changed(signed_in, path, {"facts": shown["facts"]}) == set()

    Run.objects.update(state="SUCCESS", finished_at=timezone.now(), result=1)
    ended = {"graph", "timeline", "result", "facts", "delete"}
    assert changed(signed_in, path, shown) == ended | {"notices"}  # it needs no worker any more

    for wrong in ("timeline", "=", "nothing=1", "timeline=1=2"):
        assert signed_in.get(path, headers={"Live-Parts": wrong}).status_code == 200


def test_a_list_of_runs_is_sent_when_a_row_changes(
    signed_in: Client, owner: User, make_run: MakeRun
) -> None:
    run = make_run(owner)
    shown = digests(text(signed_in.get("/runs/")))

    Run.objects.update(completion=50.0, message="further on")
    assert changed(signed_in, "/runs/", shown) == set()
    Run.objects.filter(pk=run.pk).update(state="FAILURE", finished_at=timezone.now())
    assert changed(signed_in, "/runs/", shown) == {"list", "counts"}


@pytest.mark.parametrize("path", ["/", "/runs/", "/runs/{run}/", "/tasks/{run}/", "/tasks/"])
def test_answers_are_compressed(
    signed_in: Client, owner: User, make_run: MakeRun, path: str
) -> None:
    run = make_run(owner)

    response = signed_in.get(
        path.format(run=run.pk), headers={"Accept-Encoding": "gzip", "Accept": "*/*"}
    )

    assert response["Content-Encoding"] == "gzip"


@pytest.mark.parametrize(
    ("result", "cut"),
    [
        ({"total": 7}, False),
        ("x" * (BEGINNING - 2), False),
        ("x" * BEGINNING, True),
        (list(range(100_000)), True),
        ([[[[[[1]]]]]] * 2_000, True),  # short as JSON, long when it is indented
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_page_shows_the_beginning_of_a_long_result(
    signed_in: Client, owner: User, make_run: MakeRun, result: Any, cut: bool
) -> None:
    run = make_run(owner, state="SUCCESS", completion=100.0, result=result)

    page = text(signed_in.get(f"/runs/{run.pk}/"))

    shown = page.split('<pre class="json">')[1].split("</pre>")[0]
    assert len(shown.replace("&quot;", '"')) <= BEGINNING + 1
    assert ("The beginning of" in page) is cut
    assert ("…" in shown) is cut


def statuses(*states: str) -> list[dict[str, Any]]:
    error = {"FAILURE", "CANCELLED"}
    return [
        {
            "name": str(index),
            "state": "REVOKED" if state == "CANCELLED" else state,
            "status": "ERROR" if state in error else "PENDING",
            "task_id": None if state == "WAITING" else "x",
            "message": "",
        }
        | ({"state": "PENDING"} if state == "WAITING" else {})
        for index, state in enumerate(states)
    ]


def test_many_steps_are_grouped_with_failures_first() -> None:
    some = ("SUCCESS", "WAITING", "FAILURE", "PROGRESS", "REVOKED", "CANCELLED", "PENDING")

    assert step_groups(statuses(*["SUCCESS"] * FEW)) == []
    groups = step_groups(statuses(*some * 4), most=3)
    with_optional = [{**status, "optional": True} for status in statuses(*["FAILURE"] * 11)]
    assert [(each.word, each.count) for each in step_groups(with_optional)] == [("failed", 11)]

    words = ["failed", "running", "queued", "waiting", "done", "cancelled", "skipped"]
    assert [group.word for group in groups] == words
    assert [group.is_open for group in groups] == [True, True, *[False] * 5]
    assert {(group.count, len(group.steps), group.more) for group in groups} == {(4, 3, 1)}
    assert [step["name"] for step in groups[0].steps] == ["2", "9", "16"]


def test_without_javascript_all_steps_are_one_link_away(
    signed_in: Client, owner: User, make_run: MakeRun
) -> None:
    run = make_run(owner)
    run.steps.all().delete()
    Step.objects.bulk_create(
        Step(run=run, index=index, name=f"s{index}.", task="x", state="WAITING")
        for index in range(1_300)
    )

    page = text(signed_in.get(f"/runs/{run.pk}/"))
    whole = text(signed_in.get(f"/runs/{run.pk}/?steps=all"))

    assert "0 of 1,300 steps done" in page
    assert "1,300 waiting" in page
    assert 'href="?steps=all">Show 1,250 more' in page
    assert "1,250 more steps are not drawn" in page
    assert all(f"s{index}." in whole for index in range(1_300))
    assert len(page) < 100_000
