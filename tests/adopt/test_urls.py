"""Our URLs stand under any prefix and in any namespace, also several times; names stay theirs."""

import re

import pytest

from tests.adopt.conftest import Client, Team

PREFIXES = ["/flows", "/second/one", "/office/jobs.v2"]
FOREIGN = re.compile(r'(?:href|action|src)="(/[^"]*)"')
"""Addresses in a page."""
THEIRS = ("/static/", "/admin/", "/enter/")


def test_names_of_theirs_are_never_ours(ann: Client) -> None:
    page = ann.get("/").text

    assert dict(re.findall(r"<li>([\w-]+)=(.*?)</li>", page)) == {
        "start": "/",
        "login": "/enter/",
        "schema": "/api/schema/",
        "docs": "/api/nothing/",
        "task-list": "/api/parcels/",
        "runs": "",
        "ours": "/flows/",
    }


@pytest.fixture(scope="session")
def run(ann: Client) -> str:
    answer = ann.post("/flows/workflows/weigh_all/", json={"parcels": 1})
    return str(answer.json()["task_id"])


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(
    "path", ["/", "/start/weigh_all/", "/runs/", "/runs/RUN/", "/runs/?q=none"]
)
def test_links_of_a_page_stay_under_its_prefix(
    ann: Client, run: str, prefix: str, path: str
) -> None:
    page = ann.get(prefix + path.replace("RUN", run))

    assert page.status_code == 200
    found = [url for url in FOREIGN.findall(page.text) if not url.startswith(THEIRS)]
    assert f"{prefix}/" in found
    assert [url for url in found if not url.startswith(f"{prefix}/")] == []


@pytest.mark.parametrize("prefix", PREFIXES)
def test_answers_name_addresses_under_their_prefix(ann: Client, prefix: str) -> None:
    started = ann.post(f"{prefix}/workflows/weigh_all/", json={"parcels": 1})
    form = ann.post(f"{prefix}/start/weigh_all/", data={"parcels": "1"})
    script = ann.get(f"{prefix}/docs/", params={"script": ""})
    more = ann.get(f"{prefix}/tasks/", params={"workflow": "weigh_all"}).json()

    assert started.headers["Location"] == f"{prefix}/tasks/{started.json()['task_id']}/"
    assert form.headers["Location"].startswith(f"{prefix}/runs/")
    assert f'"{prefix}/schema/"' in script.text
    urls = [task["result_url"] for task in more["results"] if task["result_url"]]
    assert [url for url in urls if not url.startswith(f"{prefix}/tasks/")] == []


@pytest.mark.parametrize("prefix", PREFIXES)
def test_who_is_not_logged_in_goes_to_their_login(team: Team, prefix: str) -> None:
    with Client(base_url=team.url) as nobody:
        answer = nobody.get(f"{prefix}/runs/")

    assert answer.headers["Location"] == f"/enter/?next={prefix}/runs/"


def test_we_bring_no_login_of_our_own(ann: Client) -> None:
    """It would be a way past theirs, such as one with a second factor."""
    assert ann.get("/flows/login/").status_code == 404
    assert "Sign out" not in ann.get("/flows/").text


def test_an_error_in_a_page_is_an_error_page(ann: Client) -> None:
    ann.get("/flows/runs/").raise_for_status()

    answer = ann.post("/flows/start/weigh_all/", content=b"x", headers={"Content-Type": "text/odd"})

    assert answer.status_code == 400


def test_the_element_stands_in_their_page(ann: Client, run: str) -> None:
    page = ann.get(f"/bar/{run}/").text

    assert f'<task-progress src="/flows/tasks/{run}/">' in page
    assert ann.get(f"/flows/tasks/{run}/").json()["task_id"] == run
    assert ann.get("/static/monitor/task-progress.js").status_code == 200
