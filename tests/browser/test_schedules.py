"""The page of schedules in a browser: edit, pause, run now; readable by all."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Page, expect

from parent.models import Run
from parent.models import Schedule as Row
from parent.schedules.ticks import fire_due
from tests.browser.conftest import SignIn, Watched, button
from tests.schedules.conftest import at, declare, hourly

__all__ = ["declare", "hourly"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def page_of_schedule(
    live_server: Any, hourly: Callable[..., Row], tab: Page, sign_in: SignIn
) -> Page:
    hourly()
    fire_due(at(0.1))
    fire_due(at(60.1))
    sign_in(tab.context, User.objects.create_superuser("eve"))
    tab.goto("/")
    tab.get_by_role("link", name="Schedules").click()
    tab.get_by_role("link", name="hourly / default").click()
    return tab


def test_a_schedule_is_paused_resumed_edited_reset_and_run(page_of_schedule: Page) -> None:
    page = page_of_schedule
    expect(page.get_by_role("region", name="Next times").get_by_role("listitem")).to_have_count(5)
    expect(page.get_by_text("had not ended")).to_be_visible()

    button(page, "Pause").click()
    expect(page.get_by_text("Paused by eve")).to_be_visible()
    button(page, "Resume").click()
    expect(button(page, "Pause")).to_be_visible()

    page.get_by_label("Cron").fill("0 0 31 2 *")
    button(page, "Save").click()
    expect(page.get_by_role("alert")).to_contain_text("It never comes")
    page.get_by_label("Cron").fill("30 6 * * *")
    button(page, "Save").click()
    expect(page.get_by_text("not as in the code: cron")).to_be_visible()
    assert Row.objects.get().cron == "30 6 * * *"
    button(page, "Reset to the code").click()
    expect(page.get_by_text("not as in the code")).to_have_count(0)
    assert Row.objects.get().cron == "0 * * * *"

    button(page, "Run now").click()
    expect(page.get_by_text("Nothing was started: run")).to_be_visible()
    Row.objects.update(overlap="allow")
    button(page, "Run now").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("hourly")
    assert Run.objects.count() == 2
    assert "/runs/" in page.url


# Colours do not depend on the width, nor the width on colours.
@pytest.mark.parametrize(("scheme", "width"), [("light", 360), ("dark", 1280)])
def test_the_pages_can_be_read_by_all_and_fit_the_screen(
    chromium: Browser,
    live_server: Any,
    hourly: Callable[..., Row],
    sign_in: SignIn,
    find_violations: Callable[[Page], list[str]],
    width: int,
    scheme: Any,
) -> None:
    row = hourly()
    fire_due(at(0.1))
    fire_due(at(60.1))
    options = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    with Watched(chromium, live_server.url, **options) as context:
        sign_in(context, User.objects.create_superuser("eve"))
        page = context.new_page()
        for path in ("/timetable/", f"/timetable/{row.pk}/"):
            page.goto(path)
            assert find_violations(page) == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width
