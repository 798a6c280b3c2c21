"""Links between the pages, the admin and the API's documentation."""

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from parent.models import Executor, Run, Schedule
from tests.monitor.conftest import MakeRun

NOW = timezone.now()


@pytest.fixture
def reader(client: Client, staff: User) -> Client:
    """Staff who may see everything."""
    staff.user_permissions.set(Permission.objects.filter(content_type__app_label="parent"))
    client.force_login(staff)
    return client


@pytest.fixture
def schedule(db: None) -> Schedule:
    return Schedule.objects.create(
        workflow="main_flow", name="nightly", cron="0 3 * * *", timezone="UTC", next_at=NOW
    )


@pytest.mark.parametrize(
    ("page", "in_admin"),
    [
        ("/runs/", "/admin/parent/run/"),
        ("/runs/{run}/", "/admin/parent/run/{run}/change/"),
        ("/timetable/", "/admin/parent/schedule/"),
        ("/timetable/{schedule}/", "/admin/parent/schedule/{schedule}/change/"),
        ("/workers/", "/admin/parent/executor/"),
        ("/notifications/", "/admin/parent/delivery/"),
    ],
)
def test_pages_lead_to_the_admin_for_who_may_see_it(
    reader: Client, staff: User, make_run: MakeRun, schedule: Schedule, page: str, in_admin: str
) -> None:
    names = {"run": make_run().pk, "schedule": schedule.pk}
    link = f'href="{in_admin.format(**names)}"'

    assert link in reader.get(page.format(**names)).content.decode()
    assert reader.get(in_admin.format(**names)).status_code == 200
    staff.user_permissions.clear()
    assert link not in reader.get("/runs/").content.decode()
    assert link not in reader.get(page.format(**names)).content.decode()


def test_who_is_not_of_the_staff_is_not_led_there(
    client: Client, owner: User, make_run: MakeRun
) -> None:
    owner.user_permissions.add(Permission.objects.get(codename="view_run"))
    client.force_login(owner)

    assert "/admin/" not in client.get(f"/runs/{make_run(owner).pk}/").content.decode()


def test_the_admin_leads_to_the_pages(
    reader: Client, staff: User, make_run: MakeRun, schedule: Schedule
) -> None:
    run = make_run()
    worker = Executor.objects.create(host="here", pid=1, heartbeat_at=NOW)
    step = run.steps.get(name="func_1")
    pages = {
        f"run/{run.pk}": f"/runs/{run.pk}/",
        f"step/{step.pk}": f"/runs/{run.pk}/",
        f"schedule/{schedule.pk}": f"/timetable/{schedule.pk}/",
        f"executor/{worker.pk}": "/workers/",
    }

    for path, page in pages.items():
        html = reader.get(f"/admin/parent/{path}/change/").content.decode()
        assert f'<a href="{page}" class="viewsitelink">' in html, path


def test_a_project_without_our_pages_has_an_admin_without_links(
    make_run: MakeRun, settings: Any
) -> None:
    run = make_run()
    made = admin.site.get_model_admin(Run)
    assert made.get_view_on_site_url(run) == f"/runs/{run.pk}/"

    settings.ROOT_URLCONF = "tests.monitor.only_admin"

    assert made.get_view_on_site_url(run) is None


def test_every_page_leads_to_the_documentation_of_the_api(client: Client, owner: User) -> None:
    client.force_login(owner)

    assert '<a href="/docs/">API</a>' in client.get("/").content.decode()
