"""Access rights of each kind of caller to each address, by session and by token."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings as project
from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db.models import QuerySet
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern
from django.utils import timezone
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from examples.main_flow.tasks import func_1
from monitor.apply_policy import may_see, visible_runs
from monitor.policy import OwnerOrStaff
from parent.definition.workflow import Step, Workflow, registry
from parent.models import Item, Run

MakeRun = Callable[..., Run]

DOCUMENTATION = Path(project.BASE_DIR) / "docs/security.md"
CALLERS = ("anonymous", "owner", "other", "staff", "unpermitted")
LOGIN = "to the login"
NEVER_SEEN = uuid4()

# method, path, the run's state, and what each of CALLERS gets. The run is the owner's, or that
# of the caller without the permission that its workflow asks for.
MATRIX = [
    ("get", "/healthz", None, (200, 200, 200, 200, 200)),
    ("get", "/readyz", None, (401, 403, 403, 503, 403)),
    ("get", "/metrics", None, (401, 403, 403, 200, 403)),
    ("get", "/workflows/", None, (401, 200, 200, 200, 200)),
    ("post", "/workflows/main_flow/", None, (401, 202, 202, 202, 202)),
    ("post", "/workflows/guarded/", None, (401, 202, 202, 202, 403)),
    ("post", "/workflows/nope/", None, (401, 404, 404, 404, 404)),
    ("get", "/tasks/", "PROGRESS", (401, 200, 200, 200, 200)),
    ("get", "/tasks/{run}/", "PROGRESS", (401, 200, 404, 200, 200)),
    ("get", "/tasks/{child}/", "PROGRESS", (401, 200, 404, 200, 200)),
    ("get", "/tasks/{nothing}/", "PROGRESS", (401, 404, 404, 404, 404)),
    ("get", "/tasks/{run}/result/", "SUCCESS", (401, 200, 404, 200, 200)),
    ("get", "/tasks/{child}/result/", "SUCCESS", (401, 404, 404, 404, 404)),
    ("post", "/tasks/{run}/cancel/", "PROGRESS", (401, 202, 404, 202, 202)),
    ("post", "/tasks/{run}/retry/", "FAILURE", (401, 202, 404, 202, 403)),
    ("delete", "/tasks/{run}/", "SUCCESS", (401, 204, 404, 204, 204)),
    ("get", "/", None, (LOGIN, 200, 200, 200, 200)),
    ("get", "/start/main_flow/", None, (LOGIN, 200, 200, 200, 200)),
    ("get", "/start/guarded/", None, (LOGIN, 200, 200, 200, 403)),
    ("post", "/start/guarded/", None, (LOGIN, 302, 302, 302, 403)),
    ("get", "/start/nope/", None, (LOGIN, 404, 404, 404, 404)),
    ("get", "/runs/{run}/", "PROGRESS", (LOGIN, 200, 404, 200, 200)),
    ("get", "/runs/", None, (LOGIN, 200, 200, 200, 200)),
    ("get", "/runs/{run}/result.json", "SUCCESS", (LOGIN, 200, 404, 200, 200)),
    ("get", "/runs/{run}/files/0/", "SUCCESS", (LOGIN, 200, 404, 200, 200)),
    ("get", "/runs/{run}/files/1/", "SUCCESS", (LOGIN, 404, 404, 404, 404)),
    ("get", "/start/guarded/?again={run}", "SUCCESS", (LOGIN, 200, 404, 200, 403)),
    ("post", "/runs/{run}/cancel/", "PROGRESS", (LOGIN, 302, 404, 302, 302)),
    ("post", "/runs/{run}/retry/", "FAILURE", (LOGIN, 302, 404, 302, 403)),
    ("post", "/runs/{run}/delete/", "FAILURE", (LOGIN, 302, 404, 302, 302)),
    ("get", "/schema/", None, (401, 200, 200, 200, 200)),
    ("get", "/docs/", None, (LOGIN, 200, 200, 200, 200)),
    ("get", "/admin/", None, (LOGIN, LOGIN, LOGIN, 200, LOGIN)),
    ("get", "/login/", None, (200, 302, 302, 302, 302)),
    ("post", "/logout/", None, (LOGIN, LOGIN, LOGIN, LOGIN, LOGIN)),
]
API = [row for row in MATRIX if row[1].startswith(("/tasks/", "/workflows/"))]
BODY = {"/workflows/main_flow/": {"limit": 1}}


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> Workflow:
    """A workflow with a permission, registered for one test beside another one."""
    # Pages and documents with all that the tests know take a second each.
    monkeypatch.setattr(registry, "_workflows", {"main_flow": registry.get("main_flow")})
    return Workflow(
        "guarded",
        permission="auth.view_group",
        steps=[Step(func_1, inputs=lambda _: {"limit": 1})],
    )


@pytest.fixture
def callers(owner: User, other: User, staff: User, guarded: Workflow) -> dict[str, Any]:
    permission = Permission.objects.get(content_type__app_label="auth", codename="view_group")
    for user in (owner, other, staff):
        user.user_permissions.add(permission)
    unpermitted = User.objects.create_user("una", password="some pass phrase")
    known = {"owner": owner, "other": other, "staff": staff, "unpermitted": unpermitted}
    return {"anonymous": None, **known}


@pytest.fixture
def path_of(callers: dict[str, Any], make_run: MakeRun) -> Callable[..., str]:
    """The path of a row of the matrix, with a run written for it."""

    def fill(path: str, state: str | None, caller: str) -> str:
        if state is None:
            return path
        user = callers["unpermitted" if caller == "unpermitted" else "owner"]
        stored = default_storage.save("runs/x/table.csv", ContentFile(b"a,b"))
        given = {"params": {"table": stored}, "files": [stored]}
        run = make_run(user, workflow="guarded", state=state, result=1, **given)
        if state in Run.ENDED:
            run.steps.update(state="ERROR", finished_at=run.finished_at)
        child = run.steps.get(name="func_1").task_id
        return path.format(run=run.pk, child=child, nothing=NEVER_SEEN)

    return fill


def outcome(response: Any) -> Any:
    if response.status_code == 302 and "/login/" in response["Location"]:
        return LOGIN
    if response.streaming:
        response.getvalue()  # closes the file
    return response.status_code


def expected(row: Any, caller: str) -> Any:
    return row[3][CALLERS.index(caller)]


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("row", MATRIX, ids=lambda row: f"{row[0]} {row[1]}")
def test_by_session(
    row: Any, caller: str, callers: dict[str, Any], path_of: Callable[..., str]
) -> None:
    method, path, state, _ = row
    client = APIClient()
    if user := callers[caller]:
        client.force_login(user)

    response = getattr(client, method)(path_of(path, state, caller), BODY.get(path), format=None)

    assert outcome(response) == expected(row, caller)
    assert {"private", "no-store"} <= set(re.split(r",\s*", response["Cache-Control"]))


PROBES = [
    *("get /runs/?before={id}", "get /runs/?before={id}&q=func", "get /runs/?q={id}"),
    *("get /runs/{id}/files/0/", "get /start/main_flow/?again={id}"),
    *("get /runs/{id}/", "get /runs/{id}/result.json", "post /runs/{id}/cancel/"),
    *("post /runs/{id}/retry/", "post /runs/{id}/delete/"),
    *("get /tasks/{id}/", "get /tasks/?ids={id}", "get /tasks/?ids={own},{id}"),
    *("get /tasks/?workflow={id}", "get /tasks/?cursor={id}", "post /tasks/{id}/cancel/"),
    *("post /tasks/{id}/retry/", "delete /tasks/{id}/", "get /tasks/{id}/result/"),
    *("get /tasks/{id}/log/", "get /tasks/{id}/steps/func_2/items/"),
    *("post /tasks/{id}/signals/func_2/", "post /tasks/{id}/signals/func_2/close/"),
    *("get /runs/{id}/log/", "get /runs/{id}/log.txt", "get /runs/{id}/retry/"),
    *("get /runs/{id}/steps/func_2/items/", "get /runs/{id}/steps/func_2/failed/"),
    *("get /runs/{id}/decide/func_2/", "post /runs/{id}/decide/func_2/"),
    *("post /runs/{id}/signals/func_2/close/", "get /runs/?after={id}"),
]


@pytest.mark.parametrize("state", ["PROGRESS", "SUCCESS", "FAILURE"])
@pytest.mark.parametrize("probe", PROBES)
def test_nothing_tells_anothers_run_from_one_that_never_was(
    owner: User, other: User, make_run: MakeRun, probe: str, state: str
) -> None:
    now = timezone.now()
    own = make_run(other, created_at=now - timedelta(hours=1), message="func: older")
    theirs = make_run(owner, state=state, created_at=now - timedelta(minutes=30), result=1)
    make_run(other, created_at=now, message="func: newer")
    item = {"task_id": str(uuid4()), "state": "OK", "result": 1, "index": 0, "key": "0"}
    theirs.steps.filter(name="func_2").update(chunk=1, items={})
    Item.objects.create(step=theirs.steps.get(name="func_2"), **item)
    ids = {"run": theirs.pk, "child": theirs.steps.get(name="func_1").task_id}
    anothers = {**ids, "item": item["task_id"]}
    client = APIClient()
    client.force_login(other)
    method, path = probe.split(" ")

    def answer(id: Any) -> tuple[int, dict[str, Any], str]:
        response = getattr(client, method)(path.format(id=id, own=own.pk), format=None)
        body = response.content.decode().replace(str(id), "ID")
        # What is anew in each answer: ids, tokens, times.
        body = re.sub(r'"(request_id|poll_after_ms|eta_seconds)":[^,}]+', "", body)
        body = re.sub(r"(?<=\W)([0-9a-f]{32}|\w{64})(?=\W)|(\w+ )?seconds? ago|\d+\.\d+", "", body)
        kept = {"Content-Type", "Location", "Cache-Control", "Allow", "WWW-Authenticate"}
        return response.status_code, {k: response.get(k) for k in kept}, body

    for asked, id in anothers.items():
        assert answer(id) == answer(uuid4()), asked


@pytest.mark.parametrize("caller", CALLERS[1:])
@pytest.mark.parametrize("row", API, ids=lambda row: f"{row[0]} {row[1]}")
def test_by_token(
    row: Any, caller: str, callers: dict[str, Any], path_of: Callable[..., str]
) -> None:
    method, path, state, _ = row
    client = APIClient(enforce_csrf_checks=True)
    client.credentials(HTTP_AUTHORIZATION=f"Token {Token.objects.create(user=callers[caller])}")

    response = getattr(client, method)(path_of(path, state, caller), BODY.get(path), format="json")

    assert outcome(response) == expected(row, caller)


@pytest.mark.parametrize("row", [row for row in MATRIX if row[0] != "get"], ids=lambda row: row[1])
def test_a_session_without_the_csrf_token_changes_nothing(
    row: Any, callers: dict[str, Any], path_of: Callable[..., str]
) -> None:
    method, path, state, _ = row
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(callers["owner"])
    path = path_of(path, state, "owner")
    before = list(Run.objects.values())

    response = getattr(client, method)(path, BODY.get(path))

    assert response.status_code == 403
    assert "request_id" in response.json()
    assert list(Run.objects.values()) == before


def test_the_catalogue_has_what_the_caller_may_start(
    callers: dict[str, Any], client: Client
) -> None:
    def catalogue(caller: str) -> set[str]:
        client.force_login(callers[caller])
        return {workflow["name"] for workflow in client.get("/workflows/").json()}

    def document(caller: str) -> set[str]:
        client.force_login(callers[caller])
        return set(client.get("/schema/?format=json").json()["paths"])

    assert catalogue("owner") - catalogue("unpermitted") == {"guarded"}
    assert b"guarded" not in client.get("/").content
    assert "/workflows/main_flow/" in document("unpermitted")
    assert document("owner") - document("unpermitted") == {"/workflows/guarded/"}
    assert "guarded" not in client.post("/workflows/nope/").json()["detail"]


def test_a_refusal_names_the_permission(callers: dict[str, Any], client: Client) -> None:
    client.force_login(callers["unpermitted"])

    assert "auth.view_group" in client.post("/workflows/guarded/").json()["detail"]


class ReadersAndWriters(OwnerOrStaff):
    """A project's access policy that lets everybody see everything."""

    def visible(self, _user: User, runs: QuerySet[Run]) -> QuerySet[Run]:
        return runs

    def may_see(self, _user: User, _run: Run) -> bool:
        return True

    def may_change(self, user: User, run: Run) -> bool:
        return run.owner_id == user.pk


def test_the_policy_says_the_same_of_many_runs_and_of_one(
    callers: dict[str, Any], make_run: MakeRun
) -> None:
    runs = [make_run(callers["owner"]), make_run(callers["other"]), make_run(None)]

    for user in [caller or AnonymousUser() for caller in callers.values()]:
        seen = set(visible_runs(user))
        assert {run for run in runs if may_see(user, run)} == seen


@pytest.mark.parametrize(
    ("method", "path", "state", "status"),
    [
        ("get", "/tasks/{run}/", "PROGRESS", 200),
        ("post", "/tasks/{run}/cancel/", "PROGRESS", 403),
        ("post", "/tasks/{run}/retry/", "FAILURE", 403),
        ("delete", "/tasks/{run}/", "SUCCESS", 403),
        ("post", "/runs/{run}/cancel/", "PROGRESS", 403),
        ("post", "/runs/{run}/retry/", "FAILURE", 403),
        ("post", "/runs/{run}/delete/", "FAILURE", 403),
    ],
)
def test_a_policy_of_the_projects_own(
    method: str,
    path: str,
    state: str,
    status: int,
    callers: dict[str, Any],
    path_of: Callable[..., str],
    client: Client,
    settings: Any,
) -> None:
    settings.WORKFLOW_POLICY = f"{__name__}.ReadersAndWriters"
    client.force_login(callers["other"])

    assert getattr(client, method)(path_of(path, state, "other")).status_code == status


def test_the_policy_of_the_documentation(callers: dict[str, Any], make_run: MakeRun) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENTATION.read_text(), re.S)
    names: dict[str, Any] = {"OwnerOrStaff": OwnerOrStaff, "Run": Run}
    exec(code, names)
    team, rule = Group.objects.create(name="team"), names["TeamPolicy"]()
    for caller in ("owner", "other"):
        callers[caller].groups.add(team)
    run = make_run(callers["owner"])

    for caller, seen, changed in [
        *(("owner", True, True), ("other", True, False)),
        *(("staff", True, True), ("unpermitted", False, False)),
    ]:
        user = callers[caller]
        assert rule.may_see(user, run) is (run in rule.visible(user, Run.objects.all())) is seen
        assert rule.may_change(user, run) is changed


OPEN = {"/healthz", "/login/", "/login/link/", "/admin/login/"}
# A signed link, which `test_decisions` tries in every wrong way.
OPEN |= {"/decide/main_flow/"}
SAMPLES = {"workflow_id": str(NEVER_SEEN), "int": "1", "str": "main_flow", "slug": "x", "path": "x"}


def addresses(patterns: Any, prefix: str = "/") -> Iterator[str]:
    """A path for each of the project's URL patterns."""
    for pattern in patterns:
        path = prefix + sample(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern.url_patterns, path)
        elif isinstance(pattern, URLPattern):
            yield path


def sample(pattern: Any) -> str:
    text = str(pattern)
    if isinstance(pattern, RoutePattern):
        return re.sub(r"<(?:(\w+):)?\w+>", lambda m: SAMPLES[m[1] or "str"], text)
    text = re.sub(r"\(\?P<\w+>([^)|]*)[^)]*\)", lambda m: m[1].replace(".*", "x"), text)
    return text.strip("^$")


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "options"])
def test_nothing_else_is_open(method: str, client: Client) -> None:
    found = set(addresses(get_resolver().url_patterns))

    answers = {path: outcome(getattr(client, method)(path)) for path in found - OPEN}

    assert found >= OPEN
    assert len(found) > 40
    assert {path: told for path, told in answers.items() if told not in (401, LOGIN)} == {}


def test_who_may_not_start_it_is_offered_no_retry(
    callers: dict[str, Any], client: Client, make_run: MakeRun
) -> None:
    for caller, offered in (("owner", True), ("unpermitted", False)):
        run = make_run(callers[caller], workflow="guarded", state="FAILURE")
        client.force_login(callers[caller])

        page = client.get(f"/runs/{run.pk}/").content.decode()

        assert (f"/runs/{run.pk}/retry/" in page) is offered
        assert ('steps cancel retry"' in page) is offered


def test_who_may_start_nothing_reads_why(
    callers: dict[str, Any], client: Client, guarded: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.force_login(callers["unpermitted"])
    monkeypatch.setattr(registry, "_workflows", {"guarded": guarded})
    assert "You may start none of the workflows here" in client.get("/").content.decode()

    monkeypatch.setattr(registry, "_workflows", {})
    assert "No workflow is registered." in client.get("/").content.decode()
