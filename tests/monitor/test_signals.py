"""Signals and approvals over HTTP: who may give them, and what is answered."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone
from rest_framework import serializers
from rest_framework.test import APIClient

from monitor.runs.snapshot import Snapshot, task_status
from parent import Approval, Map, Signal, Step, Workflow
from parent.models import ReceivedSignal, Run
from parent.runs.signals.give import give
from parent.runs.start import start
from tests.flows import tasks

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_registry")]

Api = Callable[[User | None], APIClient]


class Prices(serializers.Serializer[Any]):
    price = serializers.IntegerField(min_value=1)


@pytest.fixture
def flow(own_registry: None) -> Workflow:
    steps = [
        Step(tasks.noop, name="merge", after=["prices"], inputs=lambda _: {}),
        Approval("release", form=Prices, permission="parent.view_run"),
        Approval("public"),
    ]
    return Workflow("priced", steps=steps, signals=[Signal("prices", params=Prices, timeout=60)])


@pytest.fixture
def run(flow: Workflow, owner: User) -> Run:
    return start(flow, {}, owner=owner)


def address(run: Run, name: str, more: str = "") -> str:
    return f"/tasks/{run.pk}/signals/{name}/{more}"


def test_a_signal_is_given_by_json_and_by_form(owner: User, api: Api, run: Run) -> None:
    answer = api(owner).post(address(run, "prices"), {"price": 3}, format="json")

    assert answer.status_code == 200
    assert answer.json() == {
        "run_id": str(run.pk),
        "name": "prices",
        "key": "",
        "values": {"price": 3},
        "who": "ann",
        "at": answer.json()["at"],
    }
    again = api(owner).post(address(run, "prices"), {"price": "3"})
    assert (again.status_code, again.json()) == (200, answer.json())


def test_other_values_are_a_conflict(owner: User, api: Api, run: Run) -> None:
    api(owner).post(address(run, "prices"), {"price": 3}, format="json")

    answer = api(owner).post(address(run, "prices"), {"price": 4}, format="json")

    assert answer.status_code == 409
    assert "The first one counts" in answer.json()["detail"]


BAD: list[tuple[Any, list[str]]] = [
    ({}, ["price"]),
    ({"price": 0}, ["price"]),
    ({"price": 1, "x": 1}, ["x"]),
    ([1], ["non_field_errors"]),
    ("text", ["non_field_errors"]),
]


@pytest.mark.parametrize(("body", "fields"), BAD)
def test_bad_values_are_a_400_that_names_the_field(
    owner: User, api: Api, run: Run, body: Any, fields: list[str]
) -> None:
    answer = api(owner).post(address(run, "prices"), body, format="json")

    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == fields
    assert not ReceivedSignal.objects.exists()


def test_an_unknown_signal_is_a_404_that_names_those_there_are(
    owner: User, api: Api, run: Run
) -> None:
    answer = api(owner).post(address(run, "price"), {}, format="json")

    assert answer.status_code == 404
    assert "it takes: release, public, prices" in answer.json()["detail"]


def test_a_closed_signal_is_a_409(owner: User, api: Api, run: Run) -> None:
    assert api(owner).post(address(run, "prices", "close/")).status_code == 204

    answer = api(owner).post(address(run, "prices"), {"price": 3}, format="json")

    assert answer.status_code == 409
    assert "closed by ann" in answer.json()["detail"]
    assert api(owner).post(address(run, "prices", "close/")).status_code == 409


def allowed(user: User) -> User:
    user.user_permissions.add(Permission.objects.get(codename="view_run"))
    return User.objects.get(pk=user.pk)


WHO = [
    ("owner", "prices", 200),
    ("other", "prices", 404),
    ("staff", "prices", 200),
    (None, "prices", 401),
    ("owner", "release", 403),
    ("staff", "release", 403),
    ("other", "release", 404),
    ("approver", "release", 200),
    ("approver", "prices", 404),
    ("approver", "public", 404),
]


@pytest.fixture
def users(owner: User, other: User, staff: User) -> dict[str, User]:
    return {"owner": owner, "other": other, "staff": staff}


@pytest.mark.parametrize(("who", "name", "status"), WHO)
def test_who_may_give_what(
    who: str | None, name: str, status: int, users: dict[str, User], api: Api, run: Run
) -> None:
    user = allowed(users["other"]) if who == "approver" else users[who] if who else None
    body = {"price": 1} if name == "prices" else {"decision": "approve", "price": 1}

    answer = api(user).post(address(run, name), body, format="json")

    assert answer.status_code == status
    assert ReceivedSignal.objects.exists() == (status == 200)


def test_the_run_says_what_it_waits_for_and_until_when(owner: User, api: Api, run: Run) -> None:
    status = api(owner).get(f"/tasks/{run.pk}/").json()

    assert status["message"] == "prices: waits for this signal"
    assert status["steps"][3]["waits_for"] == "a signal"
    assert status["steps"][3]["waits_until"]
    assert status["eta_seconds"] is None
    assert [step["awaits"] for step in status["steps"]] == ["", "approval", "approval", "signal"]


def test_the_time_to_the_next_poll_grows_while_a_run_only_waits(owner: User, run: Run) -> None:
    def poll_after(seconds: float) -> Any:
        task = Snapshot([run.pk]).task(owner)
        return task_status(task, now=timezone.now() + timedelta(seconds=seconds))["poll_after_ms"]

    assert poll_after(0) == 500
    assert poll_after(100) == 6_400
    assert poll_after(10_000) == 30_000


def test_the_catalogue_has_what_a_signal_takes(owner: User, api: Api, flow: Workflow) -> None:
    (entry,) = api(owner).get("/workflows/").json()

    found = {each["name"]: each for each in entry["signals"]}
    assert list(found) == ["release", "public", "prices"]
    assert list(found["prices"]["params"]["properties"]) == ["price"]
    assert list(found["release"]["params"]["properties"]) == ["price", "decision", "comment"]
    assert found["release"]["permission"] == "parent.view_run"


def test_metrics_count_what_waits(staff: User, api: Api, run: Run) -> None:
    text = api(staff).get("/metrics").content.decode()

    assert 'workflow_awaiting{awaits="signal",step="prices",workflow="priced"} 1.0' in text
    assert "workflow_awaiting_oldest_seconds" in text


@pytest.fixture
def fed(own_registry: None, owner: User) -> Run:
    """A run whose items come by a signal."""
    each = Map(tasks.noop, name="each", over=Signal("price"))
    return start(Workflow("fed", steps=[each]), {}, owner=owner)


def test_each_one_is_an_item_and_the_header_is_its_key(owner: User, api: Api, fed: Run) -> None:
    client = api(owner)
    first = client.post(address(fed, "price"), {}, headers={"Idempotency-Key": "a"})
    again = client.post(address(fed, "price"), {}, headers={"Idempotency-Key": "a"})
    other = client.post(address(fed, "price"), {})

    assert (first.status_code, first.json()["key"]) == (200, "a")
    assert again.json() == first.json()
    assert other.json()["key"] == "1"
    assert client.get(f"/tasks/{fed.pk}/").json()["steps"][0]["items"]["total"] == 2
    long = client.post(address(fed, "price"), {}, headers={"Idempotency-Key": "a" * 201})
    assert (long.status_code, list(long.json()["errors"])) == (400, ["non_field_errors"])


@pytest.mark.parametrize("key", ["", "two words", "k\xe4se", "a" * 256])
def test_a_key_that_a_start_would_refuse_is_refused(
    owner: User, api: Api, fed: Run, key: str
) -> None:
    answer = api(owner).post(address(fed, "price"), {}, headers={"Idempotency-Key": key})

    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["Idempotency-Key"])
    assert not ReceivedSignal.objects.exists()


def test_a_closed_one_takes_no_more(owner: User, other: User, api: Api, fed: Run) -> None:
    client = api(owner)
    client.post(address(fed, "price"), {}, headers={"Idempotency-Key": "a"})
    assert api(other).post(address(fed, "price", "close/")).status_code == 404

    assert client.post(address(fed, "price", "close/")).status_code == 204

    assert client.post(address(fed, "price", "close/")).status_code == 409
    again = client.post(address(fed, "price"), {}, headers={"Idempotency-Key": "a"})
    late = client.post(address(fed, "price"), {})
    assert (again.status_code, late.status_code) == (200, 409)
    assert "nothing more is taken (closed by ann)" in late.json()["detail"]


def test_the_catalogue_says_what_it_feeds(owner: User, api: Api, fed: Run, run: Run) -> None:
    entries = {each["name"]: each for each in api(owner).get("/workflows/").json()}

    assert [each["feeds"] for each in entries["fed"]["signals"]] == ["each"]
    assert {each["feeds"] for each in entries["priced"]["signals"]} == {None}


def test_the_history_has_the_first_of_many(owner: User, fed: Run) -> None:
    client = Client()
    client.force_login(owner)
    for number in range(52):
        give(fed.pk, "price", {}, who="ann", key=f"k{number}")

    html = client.get(f"/runs/{fed.pk}/").content.decode()

    assert "price k49" in html
    assert "price k50" not in html
    assert "and 2 more, which are items" in html


def test_the_key_of_any_other_signal_is_ignored(owner: User, api: Api, run: Run) -> None:
    answer = api(owner).post(address(run, "prices"), {"price": 3}, headers={"Idempotency-Key": "a"})

    assert (answer.status_code, answer.json()["key"]) == (200, "")


def test_a_run_that_only_waits_for_items_is_polled_slowly(owner: User, fed: Run) -> None:
    def poll_after() -> Any:
        task = Snapshot([fed.pk]).task(owner)
        return task_status(task, now=timezone.now() + timedelta(hours=1))["poll_after_ms"]

    assert poll_after() > 20_000
    fed.signal("price")
    assert poll_after() <= 5_000


def test_the_page_of_the_run_has_a_button_that_closes_it(
    owner: User, other: User, fed: Run
) -> None:
    client, stranger = Client(), Client()
    client.force_login(owner)
    stranger.force_login(other)
    where = f"/runs/{fed.pk}/signals/price/close/"
    assert where in client.get(f"/runs/{fed.pk}/").content.decode()
    assert stranger.post(where).status_code == 404

    assert client.post(where).url == f"/runs/{fed.pk}/"  # type: ignore[attr-defined]

    assert where not in client.get(f"/runs/{fed.pk}/").content.decode()
    assert fed.steps.get(name="price").state == "OK"
    assert client.post(where).status_code == 302
    assert "price is closed" in client.get(f"/runs/{fed.pk}/").content.decode()


def test_a_post_takes_few_statements(
    owner: User, run: Run, client: Client, django_assert_num_queries: Any
) -> None:
    """Session, user, run; then one transaction, which reads the run and its steps once.

    A savepoint is around the `inputs` of the next step.
    """
    client.force_login(owner)

    with django_assert_num_queries(13) as captured:
        answer = client.post(address(run, "prices"), {"price": 3}, "application/json")

    assert answer.status_code == 200
    texts = [query["sql"] for query in captured.captured_queries]
    reads = [text for text in texts if text.startswith("SELECT") and "parent_" in text]
    assert len(reads) == 3
    assert run.steps.get(name="merge").state == "QUEUED"
