"""The production-like start: what docker-compose.yml and the Dockerfile say is done, and works."""

import json
import re
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.conftest import ROOT
from tests.deploy.dockerfile import Image
from tests.deploy.stack import Stack, stop_grace
from tests.services import free_port
from tests.waiting import until

TABLE = (ROOT / "examples" / "csv_profile" / "data" / "time_zones.csv").read_bytes()
PROXY = {"Host": "flows.example.com", "X-Forwarded-Proto": "https"}
"""What the proxy in front says."""
BOOTED = "Booting worker"  # of gunicorn: one of its processes


class Answer:
    """Of the web service, read to its end."""

    def __init__(
        self, stack: Stack | int, method: str, path: str, body: bytes = b"", **also: str
    ) -> None:
        port = stack if isinstance(stack, int) else stack.web_port
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        headers = PROXY | {name.replace("_", "-"): value for name, value in also.items()}
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        self.status, self.headers = response.status, response.headers
        self.body = response.read()
        connection.close()

    def json(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.body)
        return told


@pytest.fixture(scope="module")
def token(stack: Stack) -> str:
    """Of a user, made as the README says."""
    made = stack.run(
        *("web", "createsuperuser", "--noinput", "--username=ada", "--email=ada@example.com"),
        DJANGO_SUPERUSER_PASSWORD="only for tests",
    )
    assert made.returncode == 0, made.stderr
    told = stack.run("web", "drf_create_token", "ada")
    found = re.search(r"token (\w+) for", told.stdout)
    assert found, told
    return f"Token {found[1]}"


def test_a_workflow_on_an_uploaded_file(stack: Stack, token: str) -> None:
    """The file goes from the web service to the worker by the volume that they share."""
    body = (
        b'--edge\r\nContent-Disposition: form-data; name="file"; filename="zones.csv"\r\n'
        b"Content-Type: text/csv\r\n\r\n" + TABLE + b"\r\n--edge--\r\n"
    )
    started = Answer(
        *(stack, "POST", "/workflows/csv_profile/", body),
        Authorization=token,
        Content_Type="multipart/form-data; boundary=edge",
    )
    assert started.status == 202, started.body

    def ended() -> dict[str, Any] | None:
        run = Answer(stack, "GET", f"/tasks/{started.json()['task_id']}/", Authorization=token)
        return run.json() if run.json()["finished_at"] else None

    run = until("the end of the run", ended, timeout=60, every=0.2)

    assert (run["state"], run["error"]) == ("SUCCESS", None), stack.log("worker")
    assert run["result"]["rows"] == TABLE.count(b"\n") - 1


def test_static_files_come_from_the_image_for_ever(stack: Stack) -> None:
    page = Answer(stack, "GET", "/login/")
    [path] = re.findall(r'href="(/static/monitor/monitor\.\w+\.css)"', page.body.decode())

    style = Answer(stack, "GET", path)

    assert (page.status, style.status) == (200, 200)
    assert "immutable" in style.headers["Cache-Control"]


def test_what_is_not_said_to_be_https_is_sent_there(stack: Stack) -> None:
    plain = Answer(stack, "GET", "/login/", X_Forwarded_Proto="http")

    assert plain.status == 301
    assert plain.headers["Location"] == "https://flows.example.com/login/"


@pytest.mark.parametrize("name", ["postgres", "redis", "web", "worker"])
def test_each_says_that_it_is_healthy(stack: Stack, name: str) -> None:
    told = stack.health(name)

    assert told.returncode == 0, told.stderr


@pytest.mark.parametrize("role", ["web", "worker"])
def test_the_images_own_health_check_needs_one_role(stack: Stack, role: str) -> None:
    assert stack.inside(role, stack.image.healthcheck).returncode == 0


def test_a_role_that_is_not_running_is_unhealthy(stack: Stack, tmp_path: Path) -> None:
    """The web server of another port, and workers before the first migration."""
    web = stack.inside("web", [*stack.image.entrypoint, "health", "web"], WEB_PORT="9")
    worker = stack.run("worker", "health", "worker", DATABASE_URL="postgres://127.0.0.1:9/none")

    assert (web.returncode, worker.returncode) == (1, 1)
    assert "no answer on 127.0.0.1:9" in web.stderr
    assert "the database does not answer" in worker.stderr


def test_a_second_migrate_changes_nothing(stack: Stack) -> None:
    service = stack.compose.services["migrate"]
    again = stack.run("migrate", *service.command)

    assert again.returncode == 0, again.stderr
    assert "No migrations to apply" in again.stdout


def test_the_settings_are_fit_for_production(stack: Stack) -> None:
    checked = stack.run("web", "check", "--deploy", "--fail-level=WARNING")

    assert checked.returncode == 0, checked.stderr


def test_without_a_secret_key_nothing_starts(stack: Stack) -> None:
    for role in ("web", "worker"):
        refused = stack.run(role, role, SECRET_KEY="")

        assert refused.returncode == 1
        assert "SECRET_KEY is not set" in refused.stderr


def test_on_ones_own_machine_it_needs_no_proxy(stack: Stack) -> None:
    """As .env.example has it."""
    text = (ROOT / ".env.example").read_text()
    [lines] = re.findall(r"without a proxy.*\n((?:# \w+=.+\n)+)", text)
    instead = dict(re.findall(r"# (\w+)=(.+)", lines))
    port = free_port()
    web = stack.another("web", **instead, WEB_PORT=str(port))
    until("a web server", lambda: BOOTED in web.log.read_text())

    page = Answer(port, "GET", "/login/", Host=f"localhost:{port}", X_Forwarded_Proto="http")

    web.stop(30)
    assert page.status == 200, page.body


@pytest.mark.parametrize("name", ["web", "worker"])
def test_sigterm_ends_each_service_cleanly(stack: Stack, name: str) -> None:
    second = stack.another(name, WEB_PORT=str(free_port()))
    ready = {"web": BOOTED, "worker": " ready."}[name]
    until(f"a second {name}", lambda: ready in second.log.read_text())

    assert second.stop(stop_grace(stack.compose.services[name])) == 0
    if name == "worker":
        assert "Warm shutdown" in second.log.read_text()


def test_every_line_of_the_log_is_json(stack: Stack) -> None:
    for name in ("web", "worker"):
        lines = stack.log(name).splitlines()

        assert lines
        assert [line for line in lines if not line.startswith("{")] == [], name


def test_the_image_is_the_unprivileged_users_to_read_alone(stack: Stack, image: Image) -> None:
    """With all that the other tests have done: nothing of the image is newer than itself."""
    newer = [path for path in image.root.rglob("*") if path.lstat().st_mtime > image.built_at]

    assert image.user != 0
    assert newer == []
