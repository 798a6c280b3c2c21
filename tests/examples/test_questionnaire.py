"""The questionnaire example: pages in any order, a real HTTP service, and what fails done again."""

from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest

from examples.questionnaire.service import Service
from examples.questionnaire.tasks import Busy, Unknown, describe_browser, score_page, sum_up
from examples.questionnaire.workflows import questionnaire
from parent.errors import SignalClosed, SignalGiven
from parent.inline import continue_inline, run_inline
from parent.models import Attempt, Event, Run, RunState
from parent.runs.signals.give import close, give
from parent.runs.user_retry.retry import retry

FIREFOX = "Firefox/140.0 (Mobile)"
PERSON = {"name": "Ann", "age": 40}
ORDERS = [
    ("person", "contact", "page", "close"),
    ("contact", "person", "close", "page"),
    ("page", "close", "contact", "person"),
    ("close", "person", "page", "contact"),
]
CONTACT = {"email": "ann@example.com", "user_agent": FIREFOX}


@pytest.fixture
def service(settings: Any) -> Iterator[Service]:
    with Service() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        settings.QUESTIONNAIRE_BROWSERS = server.url
        yield server
        server.shutdown()
        thread.join()


def begun() -> Run:
    return run_inline(questionnaire, study="sleep")


def states(run: Run) -> dict[str, str]:
    run.refresh_from_db()
    return dict(run.steps.values_list("name", "state"))


def page(run: Run, number: int, *answers: int) -> None:
    give(run.pk, "page", {"number": number, "answers": list(answers)})


@pytest.mark.django_db
@pytest.mark.parametrize("order", ORDERS)
def test_in_whatever_order_they_come(service: Service, order: tuple[str, ...]) -> None:
    run = begun()
    page(run, 1, 4, 4)
    for each in order:
        match each:
            case "person":
                run.signal("person", **PERSON)
            case "contact":
                run.signal("contact", **CONTACT)
            case "page" if order.index("page") < order.index("close"):
                page(run, 2, 0)
            case "page":
                with pytest.raises(SignalClosed):
                    page(run, 2, 0)
            case "close":
                close(run.pk, "page")
        continue_inline(run)

    both = order.index("page") < order.index("close")
    assert run.error is None
    assert run.state == RunState.SUCCESS
    assert run.result["subject"].startswith("sleep-")
    assert {
        name: run.result[name] for name in ("group", "browser", "pages", "score", "percent")
    } == {
        "group": "adults",
        "browser": "Firefox",
        "pages": [1, 2] if both else [1],
        "score": 8,
        "percent": 66.7 if both else 100.0,
    }
    assert states(run)["withdrawn"] == "SKIPPED"
    assert run.steps.get(name="invite").result.endswith("is invited as ann@example.com")


@pytest.mark.django_db
def test_the_service_is_asked_again_and_the_child_sends_the_signal(service: Service) -> None:
    run = begun()
    run.signal("person", **PERSON)
    run.signal("contact", **CONTACT)

    continue_inline(run)

    assert service.tries[FIREFOX] == 3
    browser = run.steps.get(name="describe_browser")
    assert (browser.state, browser.attempt, browser.retries_used) == ("OK", 3, 2)
    assert browser.result == {"name": "Firefox", "version": 140, "mobile": True}
    errors = Attempt.objects.filter(step=browser).values_list("error", flat=True)
    assert all("the service answered 503" in error for error in errors)
    sent = Event.objects.get(run=run, what="signal", detail__signal="browser")
    assert (sent.who, sent.detail["given"]) == ("step import_subject", {"user_agent": FIREFOX})
    assert states(run)["score_page"] == "RUNNING"  # the whole waits for pages


@pytest.mark.django_db
def test_who_has_withdrawn_is_not_invited(service: Service) -> None:
    run = begun()
    run.signal("withdrawn")
    run.signal("contact", **CONTACT)
    run.signal("person", **PERSON)
    page(run, 1, 1)
    close(run.pk, "page")

    continue_inline(run)

    assert states(run)["invite"] == "SKIPPED"
    assert run.steps.get(name="invite").message == "skipped: withdrawn was there first"
    assert run.state == RunState.SUCCESS


@pytest.mark.django_db
def test_a_page_that_comes_twice_is_one(service: Service) -> None:
    run = begun()
    page(run, 1, 1, 2)
    page(run, 1, 1, 2)

    with pytest.raises(SignalGiven):
        page(run, 1, 3)
    continue_inline(run)

    assert run.steps.get(name="score_page").item_total == 1


def failed(service: Service, user_agent: str = "Lynx") -> Run:
    """A run whose browser the service does not know; all else is done."""
    service.busy = 0
    run = begun()
    run.signal("person", **PERSON)
    run.signal("contact", email="ann@example.com", user_agent=user_agent)
    page(run, 1, 4)
    close(run.pk, "page")
    continue_inline(run)
    assert run.state == RunState.FAILURE
    assert "does not know the browser 'Lynx'" in str(run.error)
    assert states(run)["score_page"] == "OK"
    return run


@pytest.mark.django_db
def test_what_failed_is_replayed_with_new_inputs(service: Service) -> None:
    run = failed(service)

    retry(run.pk, step="describe_browser", inputs={"user_agent": FIREFOX}, who="eve")
    run.refresh_from_db()
    continue_inline(run)

    assert (run.state, run.result["browser"]) == (RunState.SUCCESS, "Firefox")
    done = Event.objects.get(run=run, what="retry")
    assert (done.who, done.detail["inputs"]) == ("eve", {"user_agent": FIREFOX})


@pytest.mark.django_db
def test_what_failed_is_skipped_with_a_result(service: Service) -> None:
    run = failed(service)

    retry(run.pk, step="describe_browser", skip=True, result={"name": "unknown"}, who="eve")
    run.refresh_from_db()
    continue_inline(run)

    assert (run.state, run.result["browser"]) == (RunState.SUCCESS, "unknown")
    assert Event.objects.get(run=run, what="retry").detail["result"] == {"name": "unknown"}


@pytest.mark.django_db
def test_a_bad_page_names_itself(service: Service) -> None:
    run = begun()

    page(run, 3, 9)
    continue_inline(run)

    error = str(run.steps.get(name="score_page").error)
    assert "score_page[3]: page 3 has the answer 9, and 0 to 4 are allowed" in error
    found = states(run)
    assert (found["page"], found["sum_up"], found["person"]) == ("SKIPPED", "SKIPPED", "RUNNING")
    assert not run.ended  # the subject may still be imported


@pytest.mark.parametrize(("code", "error"), [(500, Busy), (503, Busy), (404, Unknown)])
def test_only_what_may_help_is_tried_again(
    service: Service, monkeypatch: pytest.MonkeyPatch, code: int, error: Any
) -> None:
    monkeypatch.setattr(service, "describe", lambda _: (code, {}))

    with pytest.raises(error):
        describe_browser(user_agent=FIREFOX)


def test_a_service_that_is_away_and_an_address_that_is_none_say_so(
    settings: Any,
) -> None:
    with Service() as gone:
        settings.QUESTIONNAIRE_BROWSERS = gone.url
    with pytest.raises(Busy, match="does not answer"):
        describe_browser(user_agent=FIREFOX)

    settings.QUESTIONNAIRE_BROWSERS = "file:///etc/passwd"
    with pytest.raises(Unknown, match="give an http or https address"):
        describe_browser(user_agent=FIREFOX)


def test_pages_are_summed_up_in_any_order() -> None:
    pages = [score_page(number=2, answers=[]), score_page(number=1, answers=[1, 3])]

    found = sum_up(subject="s", group="adults", browser={"name": "x"}, pages=pages)

    assert (found["pages"], found["score"], found["percent"]) == ([1, 2], 4, 50.0)
    assert sum_up(subject="s", group="g", browser={"name": "x"}, pages=[])["percent"] is None
