"""docs/service.md, walked: an app beside this project, with its settings, users, URLs and pages."""

import os
import re
from pathlib import Path

import pytest

from tests.deploy.conftest import ROOT
from tests.workers import fork_servers

GUIDE = (ROOT / "docs" / "service.md").read_text()
FILES = re.findall(r"`(shop/[\w/]+\.\w+)`[^`]*?:\n\n```(?:python|django)\n(.*?)```", GUIDE, re.S)
TASKS = """
from children import child_task


@child_task(name="shop.count_orders")
def count_orders(progress, year):
    return year
"""
WORKFLOWS = """
from rest_framework import serializers

from parent import Step, Workflow
from shop.tasks import count_orders


class ReportParams(serializers.Serializer):
    year = serializers.IntegerField()


shop_report = Workflow("shop_report", params=ReportParams, steps=[Step(count_orders)])
"""
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


@pytest.fixture
def beside(tmp_path: Path, broker_url: str) -> Path:
    files = {"shop/__init__.py": "", "shop/tasks.py": TASKS, "shop/workflows.py": WORKFLOWS}
    for name, text in {**files, **dict(FILES)}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_the_guide_leads_to_a_service_of_ones_own(beside: Path, broker_url: str) -> None:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    own = {"DJANGO_SETTINGS_MODULE": "shop.settings", "WORKFLOW_APPS": "shop", "LOCAL": "on"}
    places = {"DATA_DIR": str(beside / "data"), "REDIS_URL": broker_url}
    environ = kept | own | places | {"PYTHONPATH": f"{ROOT}{os.pathsep}{beside}"}

    def manage(*args: str) -> str:
        done = fork_servers.without_settings.complete(
            *(str(ROOT / "manage.py"), *args), environ=environ, cwd=str(beside), merged=True
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    manage("makemigrations", "shop")
    manage("migrate", "--verbosity", "0")
    assert "shop_report" in manage("workflow", "list")
    printed = manage("shell", "-v", "0", "-c", VISIT)

    assert "without a login: 302" in printed
    assert "bar: True skip link: True" in printed
    assert "runs: True" in printed
    assert "beat: nightly report" in printed
