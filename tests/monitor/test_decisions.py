"""The pages where people decide: what waits for them, one approval, and the signed link."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core import signing
from django.test import Client
from django.utils import timezone
from rest_framework import serializers

from monitor.runs.approvals import decision_path, waiting_for
from parent import Approval, Step, Workflow
from parent.definition.workflow import registry
from parent.deletion.delete import delete_run
from parent.models import ReceivedSignal, Run
from parent.models import Step as StepRow
from parent.runs.cancel import cancel
from parent.runs.signals.expire import expire
from parent.runs.signals.give import give
from parent.runs.start import start
from parent.runs.user_retry.retry import retry
from tests.flows import tasks

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_registry")]

SignIn = Callable[[User], Client]


class Prices(serializers.Serializer[Any]):
    price = serializers.IntegerField(min_value=1, label="The price")


@pytest.fixture
def flow(own_registry: None) -> Workflow:
    steps = [
        Approval("release", title="Release it", form=Prices, permission="parent.view_run"),
        Step(tasks.noop, inputs=lambda _: {}),
    ]
    return Workflow("priced", title="Priced", steps=steps)


@pytest.fixture
def run(flow: Workflow, owner: User) -> Run:
    return start(flow, {}, owner=owner)


@pytest.fixture
def approver(other: User) -> User:
    other.user_permissions.add(Permission.objects.get(codename="view_run"))
    return User.objects.get(pk=other.pk)


def page(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, answer.content
    return answer.content.decode()


@pytest.fixture
def sign_in() -> SignIn:
    def signed_in(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return signed_in


def release(run: Run) -> StepRow:
    return run.steps.select_related("run").get(name="release")


def test_the_page_lists_what_the_caller_may_decide(
    sign_in: SignIn, approver: User, owner: User, run: Run
) -> None:
    html = page(sign_in(approver), "/waiting/")

    assert "Release it" in html
    assert f"/runs/{run.pk}/decide/release/" in html
    assert f'href="/runs/{run.pk}/"' not in html  # they may not see the run itself
    assert "Nothing waits for you" in page(sign_in(owner), "/waiting/")


def test_the_list_takes_one_statement_for_any_number_of_runs(
    sign_in: SignIn, approver: User, owner: User, flow: Workflow, django_assert_num_queries: Any
) -> None:
    for _ in range(5):
        start(flow, {}, owner=owner)
    approver.has_perm("parent.view_run")  # it is cached from here on

    with django_assert_num_queries(1):
        assert len(waiting_for(approver)) == 5


def test_without_a_permission_those_decide_who_may_change_the_run(
    sign_in: SignIn, own_registry: None, owner: User, other: User
) -> None:
    run = start(Workflow("plain", steps=[Approval("go")]), {}, owner=owner)

    assert f"/runs/{run.pk}/decide/go/" in page(sign_in(owner), "/waiting/")
    assert "Nothing waits for you" in page(sign_in(other), "/waiting/")
    assert sign_in(other).get(f"/runs/{run.pk}/decide/go/").status_code == 404


def test_the_page_of_the_run_leads_to_the_decision(
    sign_in: SignIn, own_registry: None, owner: User
) -> None:
    run = start(Workflow("plain", steps=[Approval("go")]), {}, owner=owner)

    assert f'href="/runs/{run.pk}/decide/go/"' in page(sign_in(owner), f"/runs/{run.pk}/")


@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_the_form_decides(sign_in: SignIn, approver: User, run: Run, decision: str) -> None:
    client, path = sign_in(approver), f"/runs/{run.pk}/decide/release/"
    assert "The price" in page(client, path)
    assert not ReceivedSignal.objects.exists()

    sent = {"price": "3" if decision == "approve" else "", "comment": "so it is"}
    answer = client.post(path, {**sent, "decision": decision})

    assert answer.status_code == 302
    assert answer["Location"] == "/waiting/"
    came = ReceivedSignal.objects.get()
    assert (came.who, came.values["decision"]) == ("bob", decision)
    assert f"It was {'approved' if decision == 'approve' else 'rejected'} by bob" in page(
        client, path
    )


def test_a_wrong_form_is_shown_again_with_its_errors(
    sign_in: SignIn, approver: User, run: Run
) -> None:
    path = f"/runs/{run.pk}/decide/release/"

    sent = {"price": "0", "comment": "kept", "decision": "approve"}
    answer = sign_in(approver).post(path, sent)

    assert answer.status_code == 400
    html = answer.content.decode()
    assert "Not decided: please look at this" in html
    assert '<a href="#field-price">The price</a>' in html
    assert "kept" in html
    assert not ReceivedSignal.objects.exists()


def test_a_decision_that_comes_second_says_so(
    sign_in: SignIn, approver: User, staff: User, run: Run
) -> None:
    path = f"/runs/{run.pk}/decide/release/"
    give(run.pk, "release", {"decision": "reject", "comment": "no"}, who="carl")

    client = sign_in(approver)
    answer = client.post(path, {"price": "3", "decision": "approve"}, follow=True)

    assert answer.status_code == 200
    assert "rejected by carl" in page(client, path)
    assert ReceivedSignal.objects.get().who == "carl"


def test_a_link_shows_a_form_and_decides_by_post_only(approver: User, run: Run) -> None:
    client, path = Client(), decision_path(release(run), approver)

    html = page(client, path)
    assert "You decide as" in html
    assert not ReceivedSignal.objects.exists()
    assert client.head(path).status_code == 200
    assert not ReceivedSignal.objects.exists()

    answer = client.post(path, {"price": "3", "decision": "approve"})

    assert "It was approved by bob" in answer.content.decode()
    assert ReceivedSignal.objects.get().values["values"] == {"price": 3}
    assert answer["Cache-Control"] == "private, no-store"


def test_a_link_decides_once(approver: User, run: Run) -> None:
    client, path = Client(), decision_path(release(run), approver)
    client.post(path, {"price": "3", "decision": "approve"})

    answer = client.post(path, {"decision": "reject"})

    assert answer.status_code == 409
    assert "It was approved by bob" in answer.content.decode()
    assert run.steps.get(name="release").state == "OK"


def test_a_link_needs_its_csrf_token(approver: User, run: Run) -> None:
    client = Client(enforce_csrf_checks=True)

    answer = client.post(decision_path(release(run), approver), {"decision": "reject"})

    assert answer.status_code == 403
    assert not ReceivedSignal.objects.exists()


def old(run: Run, user: User) -> str:
    return decision_path(release(run), user)


def asked_anew(run: Run, user: User) -> str:
    path = decision_path(release(run), user)
    give(run.pk, "release", {"decision": "reject"})
    retry(run.pk)
    return path


def inactive(run: Run, user: User) -> str:
    User.objects.filter(pk=user.pk).update(is_active=False)
    return decision_path(release(run), user)


def not_permitted(run: Run, user: User) -> str:
    user.user_permissions.clear()
    return decision_path(release(run), user)


def cut_off(run: Run, user: User) -> str:
    return decision_path(release(run), user)[:-3] + "/"


def made_up(run: Run, user: User) -> str:
    with_another_salt = signing.dumps([str(release(run).task_id), str(user.pk)])
    return f"/decide/{with_another_salt}/"


def ended(run: Run, user: User) -> str:
    path = decision_path(release(run), user)
    cancel(run.pk)
    return path


def given_a_result(run: Run, user: User) -> str:
    path = ended(run, user)
    retry(run.pk, step="release", skip=True, result={})
    return path


def deleted(run: Run, user: User) -> str:
    path = ended(run, user)
    run.refresh_from_db()
    delete_run(run)
    return path


NO_LINK = [
    (old, "too old"),
    (asked_anew, "of an earlier time"),
    (given_a_result, "of an earlier time"),
    (deleted, "of an earlier time"),
    (inactive, "may not decide this any more"),
    (not_permitted, "may not decide this any more"),
    (cut_off, "not complete"),
    (made_up, "not complete"),
]


@pytest.mark.parametrize("ours", ["our middleware", "none of ours"])
@pytest.mark.parametrize("kept", [[], ["fl"]], ids=["no workflow", "no approval"])
def test_a_link_to_what_the_code_has_no_more(
    approver: User, run: Run, settings: Any, kept: list[str], ours: str
) -> None:
    path = decision_path(release(run), approver)
    if ours == "none of ours":  # as in a project of somebody else
        settings.MIDDLEWARE = [each for each in settings.MIDDLEWARE if "monitor" not in each]
        settings.ROOT_URLCONF = "tests.monitor.only_ours"
    registry._workflows.clear()
    if kept:
        Workflow("priced", steps=[Step(tasks.noop, inputs=lambda _: {})])
    client = Client(raise_request_exception=False)

    for answer in (client.get(path), client.post(path, {"decision": "approve", "price": "1"})):
        assert answer.status_code == 404
        assert "priced" in answer.json()["detail"]
    assert not ReceivedSignal.objects.exists()


def too_late(run: Run, user: User) -> str:
    path = decision_path(release(run), user)
    run.steps.filter(name="release").update(due_at=timezone.now(), run_timeout=1)
    assert expire(release(run))
    return path


OVER = [(ended, "cancelled"), (too_late, "did not come within")]


@pytest.mark.parametrize(("link", "why"), OVER, ids=[link.__name__ for link, _ in OVER])
@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_a_link_to_what_is_over_decides_nothing(
    approver: User, run: Run, link: Callable[[Run, User], str], why: str, decision: str
) -> None:
    path, client = link(run, approver), Client()
    before = release(run).state

    html = page(client, path)
    answer = client.post(path, {"decision": decision, "price": "1"})

    assert answer.status_code == 409
    for said in (html, answer.content.decode()):
        assert 'name="decision"' not in said
        assert why in said
    assert not ReceivedSignal.objects.exists()
    assert release(run).state == before


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "get"])
def test_nothing_but_a_post_decides(approver: User, run: Run, method: str) -> None:
    """Scanners of mail ask for each link in it, in their own ways."""
    path, body = decision_path(release(run), approver), b"decision=approve&price=1"
    form = "application/x-www-form-urlencoded"

    answer = Client().generic(method, f"{path}?{body.decode()}", body, content_type=form)

    assert answer.status_code in (200, 405)
    assert not ReceivedSignal.objects.exists()
    assert release(run).state == "RUNNING"


@pytest.mark.parametrize(("link", "why"), NO_LINK, ids=[link.__name__ for link, _ in NO_LINK])
def test_a_link_that_does_not_count_says_why(
    approver: User, run: Run, link: Callable[[Run, User], str], why: str, settings: Any
) -> None:
    path = link(run, approver)
    before = ReceivedSignal.objects.count()
    if link is old:
        settings.WORKFLOW_DECISION_LINK_AGE = -timedelta(days=1).total_seconds()

    for answer in (Client().get(path), Client().post(path, {"decision": "reject"})):
        assert answer.status_code == 403
        assert why in answer.json()["detail"]

    assert ReceivedSignal.objects.count() == before
