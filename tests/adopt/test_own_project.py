"""docs/own-project.md, walked: from a new project to a run that a page of it shows."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from monitor import checks as monitor_checks
from parent import project_checks
from tests.adopt.conftest import PASSWORD, PYTEST, Client, Installed, Team
from tests.deploy.conftest import ROOT
from tests.waiting import until

GUIDE = (ROOT / "docs" / "own-project.md").read_text()
FILES = re.findall(r"`([\w./]+\.\w+)`[^`\n]*:\n\n```(?:python|django)\n(.*?)```", GUIDE, re.S)
SETTINGS = "proj/settings.py"
MAKE_USER = (
    "from django.contrib.auth.models import User; "
    f"User.objects.create_superuser('ann', 'ann@example.com', '{PASSWORD}')"
)


class Walked(Team):
    """A project that Django has made, with what the guide writes into it."""

    @contextmanager
    def log_in(self) -> Iterator[Client]:
        with Client(base_url=self.url, timeout=30) as client:
            client.get("/admin/login/").raise_for_status()
            form = {"username": "ann", "password": PASSWORD, "next": "/report/"}
            answer = client.post("/admin/login/", data=form)
            assert answer.headers["Location"] == "/report/"
            yield client


@pytest.fixture
def project(tmp_path: Path, installed: Installed, broker_url: str) -> Walked:
    made = Walked(tmp_path, installed)
    command = [str(installed.python), "-m", "django", "startproject", "proj", "."]
    subprocess.run(command, cwd=tmp_path, env=installed.environ(), check=True)
    for name, text in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_text() if name == SETTINGS else ""
        path.write_text(before + text.replace("redis://localhost:6379/0", broker_url))
    return made


def test_the_guide_leads_to_a_bar(project: Walked) -> None:
    project.manage("migrate", "--verbosity", "0")
    assert "no issues" in project.manage("check")
    project.manage("shell", "-c", MAKE_USER)
    with project.serve(), project.work("proj"), project.log_in() as ann:
        page = ann.get("/report/")

        [src] = re.findall(r'<task-progress src="([^"]+)"', page.text)
        [script] = re.findall(r'<script type="module" src="([^"]+)"', page.text)
        assert "customElements.define" in ann.get(script).text

        def ended() -> dict[str, Any] | None:
            status: dict[str, Any] = ann.get(src).json()
            return status if status["poll_after_ms"] is None else None

        status = until("its end", ended)
        assert (status["state"], status["completion"]) == ("SUCCESS", 100)
        for path in ("/flows/", "/flows/start/yearly_report/", "/flows/runs/", "/flows/schema/"):
            assert ann.get(path).status_code == 200, path
        assert ann.get("/flows/docs/").status_code == 404  # without drf-spectacular's apps
        # With DEBUG on, as a new project has it, the checks of a deployment are left out.
        assert project.manage("workflow", "doctor").strip() == "All is well."


def test_the_tests_of_the_guide_pass(project: Walked) -> None:
    assert "OK" in project.manage("test")
    printed = project.python("-m", "pytest", *PYTEST, "--ds=proj.settings", "shop")
    assert "1 passed" in printed


def test_the_guide_has_every_check() -> None:
    sources = [
        Path(str(module.__file__)).read_text() for module in (project_checks, monitor_checks)
    ]
    ids = set(re.findall(r'id="((?:parent|monitor)\.[EW]\d+)"', "".join(sources)))

    # W001 of the monitor concerns web processes, which docs/settings.md has.
    known = set(re.findall(r"`((?:parent|monitor)\.[EW]\d+)`", GUIDE)) | {"monitor.E002"}
    assert ids - {"monitor.W001"} == known
