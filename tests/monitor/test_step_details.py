"""What staff open at a step or an item: its inputs, worker, queue and traceback."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from rest_framework import serializers

from monitor.pages.live import HEADER
from monitor.pages.steps.details import LONGEST, MOST_OPEN, MOST_PAST
from monitor.pages.steps.groups import MOST
from parent import Map, Step, Workflow
from parent.definition.parameters.secrets import HIDDEN
from parent.models import Attempt, Executor, Item, Run
from parent.models import Step as StepRow
from parent.runs.items.child_runs import open_child_runs
from parent.runs.start import start
from tests.flows import tasks
from tests.monitor.conftest import MakeRun
from tests.monitor.runs import step

RAISED = 'File "tasks.py", line 7, in write\nValueError: no <ink>'


@pytest.fixture
def on_call(staff: User) -> User:
    staff.user_permissions.add(Permission.objects.get(codename="view_step"))
    return staff


@pytest.fixture
def page(client: Client, on_call: User) -> Client:
    client.force_login(on_call)
    return client


@pytest.fixture
def failed(owner: User, make_run: MakeRun) -> Run:
    """A run whose first step has failed at its second attempt."""
    run = make_run(owner, state="FAILURE", error="Error in func_1: no <ink>")
    worker = Executor.objects.create(host="press", pid=77)
    run.steps.filter(name="func_1").update(
        state="ERROR", attempt=2, queue="slow", executor=worker, traceback=RAISED,
        kwargs={"paper": "A4"}, error="Error in func_1: no <ink>", finished_at=run.finished_at,
    )  # fmt: skip
    Attempt.objects.create(
        step=step(run, "func_1"), number=1, worker="press:76", error="a jam", traceback="a trace",
        task_id="of-the-first", queued_at=run.created_at, finished_at=run.created_at,
    )  # fmt: skip
    return run


def shown(client: Client, run: Run, query: str = "", page: str = "") -> str:
    answer = client.get(f"/runs/{run.pk}/{page}{query}")
    assert answer.status_code == 200
    return str(answer.content.decode())


def boxes(html: str) -> list[str]:
    return [part.partition("\n</div>")[0] for part in html.split('<div class="inside">')[1:]]


def links(html: str) -> list[tuple[str, str]]:
    """Whether what they lead to is open, and where they lead."""
    found = re.findall(r'data-opens aria-expanded="(\w+)" href="([^"]*)"', html)
    return [(expanded, address.replace("&amp;", "&")) for expanded, address in found]


def test_a_step_shows_what_who_is_on_call_looks_for(page: Client, failed: Run) -> None:
    closed = shown(page, failed)
    assert (boxes(closed), links(closed)[0]) == ([], ("false", "?open=0#step-0"))

    opened = shown(page, failed, "?open=0")

    (box,) = boxes(opened)
    for each in ("children.func_1", "slow", "press:77", "press:76", "a jam", "a trace", "A4"):
        assert each in box, each
    assert "File &quot;tasks.py&quot;, line 7, in write\nValueError: no &lt;ink&gt;" in box
    assert str(step(failed, "func_1").task_id) in box
    admin = reverse("admin:parent_step_change", args=[step(failed, "func_1").pk])
    assert f'href="{admin}"' in box
    assert links(opened) == [("true", "?#step-0"), ("false", "?open=0&open=1#step-1")]


def test_several_are_open_and_the_rest_of_the_address_stays(page: Client, failed: Run) -> None:
    html = shown(page, failed, "?steps=all&open=0&open=1")

    assert len(boxes(html)) == 2
    assert links(html) == [
        ("true", "?steps=all&open=1#step-0"),
        ("true", "?steps=all&open=0#step-1"),
    ]


@pytest.mark.parametrize("key", ["7", "x", "-1", "0.0", "0.x", "", "999999999", "0.999999999", "²"])
def test_what_is_not_there_opens_nothing(page: Client, failed: Run, key: str) -> None:
    assert boxes(shown(page, failed, f"?open={key}")) == []


@pytest.mark.parametrize(
    ("is_staff", "permission"), [(False, ""), (False, "view_step"), (True, ""), (True, "view_run")]
)
def test_others_see_none_of_it(
    client: Client, owner: User, failed: Run, is_staff: bool, permission: str
) -> None:
    owner.is_staff = is_staff
    owner.save()
    owner.user_permissions.set(Permission.objects.filter(codename=permission))
    client.force_login(owner)

    html = shown(client, failed, "?open=0")

    assert (boxes(html), links(html)) == ([], [])
    assert "tasks.py" not in html
    assert "press" not in html


def test_what_is_closed_is_not_read(page: Client, failed: Run) -> None:
    failed.steps.update(state="OK")
    Run.objects.filter(pk=failed.pk).update(state="SUCCESS")

    def statements(query: str) -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            shown(page, failed, query)
        return [each["sql"] for each in captured.captured_queries]

    closed = [sql for sql in statements("") if re.search('"(traceback|kwargs)"', sql)]
    opened = [sql for sql in statements("?open=0") if re.search('"(traceback|kwargs)"', sql)]

    assert (closed, len(opened)) == ([], 3)


def test_a_page_opens_so_many_at_most(page: Client, failed: Run) -> None:
    StepRow.objects.bulk_create(
        StepRow(run=failed, index=index, name=f"step_{index}", task="x") for index in range(2, 40)
    )

    html = shown(page, failed, "?" + "&".join(f"open={index}" for index in range(40)))

    assert len(boxes(html)) == MOST_OPEN
    assert all(address.count("open=") <= MOST_OPEN for _, address in links(html))


def test_a_step_that_is_open_is_drawn_among_a_thousand(page: Client, failed: Run) -> None:
    StepRow.objects.bulk_create(
        StepRow(run=failed, index=index, name=f"step_{index}", task="x") for index in range(2, 1000)
    )
    last = 'id="step-999"'
    assert last not in shown(page, failed)

    html = shown(page, failed, "?open=999")

    assert last in html
    assert html.count('<li id="step-') == MOST
    assert '<details class="fold" data-lazy open>' in html


def test_earlier_attempts_are_the_latest_ones(page: Client, failed: Run) -> None:
    first = step(failed, "func_1")
    Attempt.objects.bulk_create(
        Attempt(step=first, number=number, task_id=f"of-{number}", error=f"jam {number}.")
        for number in range(2, 30)
    )

    (box,) = boxes(shown(page, failed, "?open=0"))

    assert re.findall(r"jam (\d+)\.", box) == [str(29 - n) for n in range(MOST_PAST)]


def test_long_inputs_are_cut(page: Client, failed: Run) -> None:
    failed.steps.filter(name="func_1").update(kwargs={"text": "x" * 3 * LONGEST})

    (box,) = boxes(shown(page, failed, "?open=0"))

    assert LONGEST - 50 < box.count("x") < LONGEST + 50
    assert "x…" in box


def test_an_open_page_gets_what_somebody_opens(page: Client, failed: Run) -> None:
    """Without a reload: the browser asks for the parts of the new address."""
    html = shown(page, failed)
    parts = dict(re.findall(r'data-live="(\w+)" id="(\w+)"', html))
    header = " ".join(f"{id}={digest}" for digest, id in parts.items())

    def changed(query: str) -> list[str]:
        answer = page.get(f"/runs/{failed.pk}/{query}", headers={HEADER: header})
        return re.findall(r'data-live="\w+" id="(\w+)"', answer.content.decode())

    assert changed("") == []
    assert "timeline" in changed("?open=0")


class Hush(serializers.Serializer[Any]):
    a = serializers.CharField(style={"input_type": "password"})


def hushed(_: Any = None) -> dict[str, str]:
    return {"a": 's3cret "ü"', "b": "seen"}


SECRET = {"a": 's3cret "ü"'}


def of_a_step() -> tuple[Workflow, dict[str, Any], str]:
    given = Step(tasks.add, inputs=lambda run: {**run.params, "b": "seen"})
    return Workflow("hush", params=Hush, steps=[given]), SECRET, "?open=0"


def of_an_item() -> tuple[Workflow, dict[str, Any], str]:
    each = Map(tasks.add, name="each", over=lambda run: [{**run.params, "b": "seen"}])
    return Workflow("hush", params=Hush, steps=[each]), SECRET, "steps/each/items/?open=0.0"


def of_a_run_inside() -> tuple[Workflow, dict[str, Any], str]:
    """Its secret is not a parameter of the run around it."""
    inner = Workflow("inner", params=Hush, steps=[Step(tasks.noop)])
    return Workflow("outer", steps=[Step(inner, inputs=lambda _: SECRET)]), {}, "?open=0"


def of_a_run_of_an_item() -> tuple[Workflow, dict[str, Any], str]:
    inner = Workflow("inner", params=Hush, steps=[Step(tasks.noop)])
    each = Map(inner, name="each", over=lambda _: [SECRET])
    return Workflow("outer", steps=[each]), {}, "steps/each/items/?open=0.0"


@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize("made", [of_a_step, of_an_item, of_a_run_inside, of_a_run_of_an_item])
def test_secrets_stay_hidden(page: Client, owner: User, made: Any) -> None:
    workflow, params, address = made()
    run = start(workflow, params, owner=owner)
    row = run.steps.get()
    open_child_runs(row.pk)
    trace = f"ValueError: {SECRET['a']}"
    run.steps.update(traceback=trace)
    Item.objects.filter(step=row).update(traceback=trace)
    Attempt.objects.create(
        step=row, item=row.rows.first(), number=1, task_id="x", error=trace, traceback=trace
    )

    html = shown(page, run, page=address)

    (box,) = boxes(html)
    assert "s3cret" not in html
    assert f"&quot;a&quot;: &quot;{HIDDEN}&quot;" in box
    assert box.count(f"ValueError: {HIDDEN}") == 3


@pytest.mark.usefixtures("own_registry")
def test_a_secret_at_the_cut_is_hidden_whole(page: Client, owner: User, client: Client) -> None:
    secret = "abcdefghij" * 5
    given = Step(tasks.add, inputs=lambda run: {"b": "x" * (LONGEST - 40), **run.params})
    run = start(Workflow("hush", params=Hush, steps=[given]), {"a": secret}, owner=owner)

    assert "abc" not in boxes(shown(page, run, "?open=0"))[0]

    admin = reverse("admin:parent_step_change", args=[run.steps.get().pk])
    assert "abcdef" not in client.get(admin).content.decode()


@pytest.mark.usefixtures("own_registry")
def test_the_admin_hides_the_secrets_of_a_run_inside(page: Client, owner: User) -> None:
    workflow, params, _ = of_a_run_inside()
    run = start(workflow, params, owner=owner)

    html = page.get(reverse("admin:parent_step_change", args=[run.steps.get().pk])).content.decode()

    assert HIDDEN in html
    assert "s3cret" not in html


@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize("address", ["?open=0.1", "steps/each/failed/?open=0.1"])
def test_an_item_shows_its_own(page: Client, owner: User, address: str) -> None:
    over = [{"a": 1, "b": n} for n in range(70, 73)]
    each = Map(tasks.add, name="each", over=lambda _: over)
    run = start(Workflow("few", steps=[each]), {}, owner=owner)
    row = run.steps.get()
    Item.objects.filter(step=row).update(state="ERROR", error="bad", traceback="a trace")
    run.steps.update(items={"total": 3, "failed": 3, "ok": 0})

    html = shown(page, run, page=address)

    (box,) = boxes(html)
    assert "&quot;b&quot;: 71" in box
    assert "a trace" in box
    assert ("true", "?#step-0.1") in links(html)
