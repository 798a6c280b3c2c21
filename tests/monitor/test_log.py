"""What children have logged, over HTTP and on its page."""

from collections.abc import Callable
from datetime import datetime
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from rest_framework.test import APIClient

from parent.models import LogChunk, Run

Api = Callable[[User | None], APIClient]
MakeRun = Callable[..., Run]
AT = 1_764_150_000.25


def write(run: Run, *texts: str, first: int = 1, index: int = 0, **of_chunk: Any) -> None:
    """Store lines of a step's attempt; the last one is an error."""
    levels = [20] * (len(texts) - 1) + [40]
    lines = [
        [first + n, AT + n, level, "shop", text]
        for n, (text, level) in enumerate(zip(texts, levels, strict=True))
    ]
    step = run.steps.get(index=index)
    row = {"attempt": 1, "task_id": f"t{index}", **of_chunk}
    LogChunk.objects.create(step=step, first=first, lines=lines, **row)


def test_it_has_each_line(owner: User, api: Api, make_run: MakeRun) -> None:
    run = make_run(owner)
    write(run, "begun", "failed")

    page = api(owner).get(f"/tasks/{run.pk}/log/").json()

    first, second = page.pop("lines")
    assert page == {"next": 0, "more": False, "ended": False}
    assert datetime.fromisoformat(first.pop("at")).timestamp() == AT
    chunk = LogChunk.objects.get()
    assert first == {
        "id": f"{chunk.pk}.1",
        "run_id": str(run.pk),
        "step": "func_1",
        "item": "",
        "attempt": 1,
        "number": 1,
        "level": "INFO",
        "logger": "shop",
        "text": "begun",
    }
    assert (second["level"], second["text"]) == ("ERROR", "failed")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["a", "b", "c", "d"]),
        ("?level=ERROR", ["b", "d"]),
        ("?step=func_2", ["c", "d"]),
        ("?step=func_2&level=ERROR", ["d"]),
        ("?attempt=2", []),
        ("?item=7", []),
        ("?step=none", []),
    ],
)
def test_it_can_be_narrowed(
    owner: User, api: Api, make_run: MakeRun, query: str, found: list[str]
) -> None:
    run = make_run(owner)
    write(run, "a", "b")
    write(run, "c", "d", index=1)

    page = api(owner).get(f"/tasks/{run.pk}/log/{query}").json()

    assert [line["text"] for line in page["lines"]] == found


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?after=-1", "after"),
        ("?after=x", "after"),
        ("?after=99999999999999999999", "after"),
        ("?level=LOUD", "level"),
        ("?attempt=0", "attempt"),
        ("?attempt=99999999999", "attempt"),
        ("?step=a&step=b", "step"),
        ("?lines=1", "lines"),
    ],
)
def test_a_wrong_query_is_refused(
    owner: User, api: Api, make_run: MakeRun, query: str, field: str
) -> None:
    answer = api(owner).get(f"/tasks/{make_run(owner).pk}/log/{query}")

    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [field]


def test_an_ended_runs_log_is_read_to_its_end(owner: User, api: Api, make_run: MakeRun) -> None:
    run = make_run(owner, state="SUCCESS")
    write(run, *map(str, range(1_200)))
    write(run, "last", first=1_201)

    first = api(owner).get(f"/tasks/{run.pk}/log/").json()
    rest = api(owner).get(f"/tasks/{run.pk}/log/?after={first['next']}").json()

    assert (len(first["lines"]), first["more"], first["ended"]) == (1_200, True, True)
    assert ([line["text"] for line in rest["lines"]], rest["more"]) == (["last"], False)


def test_nothing_new_is_a_304(owner: User, api: Api, make_run: MakeRun) -> None:
    run, client = make_run(owner), api(owner)
    write(run, "a")
    tag = client.get(f"/tasks/{run.pk}/log/")["ETag"]

    assert client.get(f"/tasks/{run.pk}/log/", headers={"if-none-match": tag}).status_code == 304


@pytest.mark.parametrize("address", ["/tasks/{}/log/", "/runs/{}/log/", "/runs/{}/log.txt"])
def test_it_is_nobody_elses(
    owner: User, other: User, client: Client, make_run: MakeRun, address: str
) -> None:
    run = make_run(owner)
    client.force_login(other)

    assert client.get(address.format(run.pk)).status_code == 404


def test_the_page_shows_it(owner: User, client: Client, make_run: MakeRun) -> None:
    run = make_run(owner)
    write(run, "begun", "<b>failed</b>")
    write(run, "again", "late", first=10)
    client.force_login(owner)

    shown = client.get(f"/runs/{run.pk}/log/").content.decode()

    assert "&lt;b&gt;failed&lt;/b&gt;" in shown
    assert "7 lines left out" in unescape(shown)
    assert f"/runs/{run.pk}/log/" in client.get(f"/runs/{run.pk}/").content.decode()


@pytest.mark.parametrize(
    ("query", "says"),
    [("", "Nothing has been logged yet."), ("?level=ERROR", "No line matches.")],
)
def test_the_page_says_that_there_is_nothing(
    owner: User, client: Client, make_run: MakeRun, query: str, says: str
) -> None:
    client.force_login(owner)

    assert says in client.get(f"/runs/{make_run(owner).pk}/log/{query}").content.decode()


def test_it_can_be_downloaded(owner: User, client: Client, make_run: MakeRun) -> None:
    run = make_run(owner)
    write(run, "begun\nsecond", "failed")
    client.force_login(owner)

    answer = client.get(f"/runs/{run.pk}/log.txt?level=")
    text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]

    assert answer["Content-Disposition"] == f'attachment; filename="{run.pk}.log"'
    assert text.splitlines() == [
        "2025-11-26T09:40:00.250000Z INFO func_1 #1 shop: begun",
        "    second",
        "2025-11-26T09:40:01.250000Z ERROR func_1 #1 shop: failed",
    ]
