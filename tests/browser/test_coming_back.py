"""What an open page does when its session ends, and when somebody comes back to its tab."""

from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from playwright.sync_api import Page, expect

from parent.models import Run
from tests.browser.conftest import MakeRun, SignIn, bar_at, part, write
from tests.browser.test_element import LISTEN
from tests.browser.test_polling import set_visibility


def come_back(page: Page) -> None:
    set_visibility(page, "hidden")
    set_visibility(page, "visible")


def test_the_page_of_a_run_leads_to_the_login_and_back_to_life(
    tab: Page, sign_in: SignIn, run: Run, status_requests: list[str]
) -> None:
    sign_in(tab.context)
    tab.goto(f"/runs/{run.pk}/")
    bar_at(tab, 20)

    Session.objects.all().delete()
    link = tab.get_by_role("link", name="Sign in")
    expect(link).to_have_attribute("href", f"/login/?next=/runs/{run.pk}/")
    expect(tab.get_by_text("You are signed out")).to_be_visible()
    before = len(status_requests)
    with tab.expect_response("**/tasks/**"):
        come_back(tab)  # still signed out: one request, and the note stays
    expect(link).to_be_visible()
    assert len(status_requests) == before + 1

    sign_in(tab.context)  # in another tab
    write(run, completion=50.0)
    come_back(tab)
    bar_at(tab, 50)
    expect(link).to_be_hidden()
    write(run, completion=60.0)
    bar_at(tab, 60)  # it polls again

    Session.objects.all().delete()
    link.click()
    tab.get_by_label("Username").fill("ann")
    tab.get_by_label("Password").fill("a long pass phrase")
    tab.keyboard.press("Enter")
    tab.wait_for_url(f"**/runs/{run.pk}/")
    bar_at(tab, 60)


def test_an_ended_run_is_looked_at_again(tab: Page, sign_in: SignIn, run: Run) -> None:
    """Somebody has retried it in another tab."""
    write(run, state="REVOKED", error="func_1 was cancelled", params={"limit": 1})
    sign_in(tab.context)
    tab.goto(f"/runs/{run.pk}/")
    expect(part(tab, "state")).to_have_text("cancelled")
    tab.evaluate(LISTEN)

    with tab.expect_response("**/tasks/**"):
        come_back(tab)
    assert tab.evaluate("events") == []  # the same end is not told again

    write(run, state="PROGRESS", error=None, finished_at=None, completion=5.0, version=2)
    come_back(tab)
    expect(part(tab, "state")).to_have_text("running")
    bar_at(tab, 5)
    write(run, completion=6.0)
    bar_at(tab, 6)

    # Unless the page has stopped it.
    tab.evaluate("document.querySelector('task-progress').stop()")
    write(run, completion=7.0)
    come_back(tab)
    tab.wait_for_load_state("networkidle")
    bar_at(tab, 6)


def test_a_list_stops_asking_and_leads_to_the_login(
    tab: Page, sign_in: SignIn, owner: User, make_run: MakeRun
) -> None:
    run = make_run(owner, state="SUCCESS")
    sign_in(tab.context)
    tab.clock.install()
    tab.goto("/runs/")
    Session.objects.all().delete()
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))

    tab.clock.run_for(6_000)
    notice = tab.get_by_role("alert").get_by_role("link", name="Sign in")
    expect(notice).to_have_attribute("href", "/login/?next=/runs/")
    before = len(asked)
    tab.clock.run_for(120_000)
    assert len(asked) == before

    sign_in(tab.context)
    run.delete()
    come_back(tab)
    tab.clock.run_for(1_000)
    expect(notice).to_have_count(0)
    expect(tab.get_by_text("You have no runs yet.")).to_be_visible()
