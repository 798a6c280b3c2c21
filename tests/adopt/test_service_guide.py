"""docs/service.md, walked: an app beside this project, with its settings, users, URLs and pages."""

import os
import re
from pathlib import Path

import pytest

from tests.deploy.conftest import ROOT
from tests.workers import fork_servers

GUIDE = (ROOT / "docs" / "service.md").read_text()
FILES = re.findall(r"`(shop/[\w/]+\.\w+)`[^`]*?:\n\n```(?:python|django)\n(.*?)```", GUIDE, re.S)
EXPORTED = dict(re.findall(r"^export (\w+)=(\S+)", GUIDE, re.M))
README = (ROOT / "README.md").read_text()
APP = re.findall(r"`(shop/\w+\.py)` - .*?```python\n(.*?)```", README, re.S)
"""The app of the README, which the tutorial and this guide begin with."""

VISIT = """
from celery import current_app
from django.contrib.auth import get_user_model
from django.test import Client
user = get_user_model().objects.create_user("ann", department="sales")
client = Client(SERVER_NAME="localhost")
print("without a login:", client.get("/report/").status_code)
client.force_login(user)
page = client.get("/report/").content.decode()
print("bar:", "<task-progress src=" in page, "skip link:", 'class="skip"' in page)
print("runs:", "Läufe" in client.get("/runs/").content.decode())
print("beat:", *current_app.conf.beat_schedule)
"""


WITHOUT = """
from mainproj.settings import *

INSTALLED_APPS.remove({!r})
"""
PAGES = """
from django.contrib.auth import get_user_model
from django.test import Client
client = Client(SERVER_NAME="localhost")
client.force_login(get_user_model().objects.create_superuser("eve"))
for path in ("/login/", "/", "/runs/", "/workers/", "/admin/"):
    print(path, client.get(path).status_code)
"""


class Beside:
    """A folder with an app, and this project's programs there."""

    def __init__(self, folder: Path, broker_url: str) -> None:
        self.folder = folder
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        places = {"DATA_DIR": str(folder / "data"), "REDIS_URL": broker_url}
        self._environ = kept | EXPORTED | places | {"PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"}

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def manage(self, *args: str, code: int = 0) -> str:
        """What `manage.py` prints, on both outputs; it must exit with `code`."""
        done = fork_servers.without_settings.complete(
            *(str(ROOT / "manage.py"), *args),
            environ=self._environ,
            cwd=str(self.folder),
            merged=True,
        )
        assert done.returncode == code, done.stdout
        return done.stdout


@pytest.fixture
def beside(tmp_path: Path, broker_url: str) -> Beside:
    made = Beside(tmp_path, broker_url)
    made.write({"shop/__init__.py": "", **dict(APP)})
    return made


def test_the_guide_leads_to_a_service_of_ones_own(beside: Beside) -> None:
    beside.write(dict(FILES))

    beside.manage("makemigrations", "shop")
    beside.manage("migrate", "--verbosity", "0")
    assert "yearly_report" in beside.manage("workflow", "list")
    printed = beside.manage("shell", "-v", "0", "-c", VISIT)

    assert "without a login: 302" in printed
    assert "bar: True skip link: True" in printed
    assert "runs: True" in printed
    assert "beat: nightly report" in printed


def test_a_service_can_be_without_the_admin(beside: Beside) -> None:
    """And have it later."""
    beside.write({"shop/settings.py": WITHOUT.format("django.contrib.admin")})
    assert "no issues" in beside.manage("check")
    beside.manage("migrate", "--verbosity", "0")
    assert "yearly_report" in beside.manage("workflow", "list")

    printed = beside.manage("shell", "-v", "0", "-c", PAGES)
    beside.write({"shop/settings.py": "from mainproj.settings import *"})
    beside.manage("migrate", "--verbosity", "0")

    assert re.findall(r"^(/\S*) (\d+)$", printed, re.M) == [
        ("/login/", "302"),  # who is logged in goes on
        *((path, "200") for path in ("/", "/runs/", "/workers/")),
        ("/admin/", "404"),
    ]


def test_an_app_that_the_service_lacks_is_said(beside: Beside) -> None:
    beside.write({"shop/settings.py": WITHOUT.format("rest_framework.authtoken")})

    told = beside.manage("check", code=1).splitlines()[-1]

    assert told == "'roles' needs 'rest_framework.authtoken': add it to INSTALLED_APPS."
