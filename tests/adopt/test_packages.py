"""What is installed: three packages, nothing of the service, and nothing hidden by a namesake."""

import shutil

import pytest

from tests.adopt.conftest import Installed, MakeTeam, Team


def test_only_the_three_packages_are_installed(installed: Installed) -> None:
    found = {path.name for path in installed.packages.iterdir() if path.is_dir()}

    ours = {name for name in found if not name.endswith(".dist-info")}
    assert ours == {"children", "parent", "monitor"}


def test_their_catalogue_has_their_workflows_alone(team: Team) -> None:
    listed = team.manage("workflow", "list")

    assert {line.split()[0] for line in listed.splitlines() if line and line[0] != " "} >= {
        "weigh_all",
        "endless",
    }
    assert "main_flow" not in listed
    assert "csv_profile" not in listed


def test_their_checks_find_nothing(team: Team) -> None:
    assert "no issues" in team.manage("check")
    assert "No changes detected" in team.manage("makemigrations", "--check", "--dry-run")


@pytest.fixture(scope="module")
def hidden(make_team: MakeTeam) -> Team:
    return make_team()


@pytest.mark.parametrize(
    ("file", "named"),
    [
        ("children/__init__.py", "children"),
        ("parent/__init__.py", "parent"),
        ("monitor/__init__.py", "monitor"),
        ("monitor.py", "monitor.py"),
    ],
)
def test_a_namesake_of_theirs_is_found_and_said(hidden: Team, file: str, named: str) -> None:
    path = hidden.folder / file
    path.parent.mkdir(exist_ok=True)
    path.write_text("")
    try:
        told = hidden.manage("check", code=1).splitlines()[-1]
    finally:
        path.unlink() if path.parent == hidden.folder else shutil.rmtree(path.parent)

    assert f"{hidden.folder / named} hides the package '{named.removesuffix('.py')}'" in told
    assert told.endswith("rename yours.")


MISSING = [
    ("django_celery_results", "parent"),
    ("children", "parent"),
    ("parent", "monitor"),
    ("rest_framework", "monitor"),
    ("django.contrib.messages", "monitor"),
    ("django.contrib.sessions", "monitor"),
]


@pytest.mark.parametrize(("name", "needed_by"), MISSING)
def test_an_app_that_is_missing_is_said(make_team: MakeTeam, name: str, needed_by: str) -> None:
    """Also where the admin, which imports our modules, comes before our apps."""
    team = make_team(DJANGO_SETTINGS_MODULE="team.variant")
    lines = ["from team.settings import *", f"INSTALLED_APPS.remove({name!r})"]
    (team.folder / "team" / "variant.py").write_text("\n".join(lines))

    told = team.manage("check", code=1).splitlines()[-1]

    assert told.endswith(f"{needed_by!r} needs {name!r}: add it to INSTALLED_APPS.")


STARTS = """
from django.core.exceptions import ImproperlyConfigured
from shop.workflows import weigh_all
try:
    weigh_all.start(parcels=1)
except ImproperlyConfigured as exc:
    print("refused:", exc)
"""


def test_a_celery_app_that_is_not_loaded_is_said(make_team: MakeTeam) -> None:
    """As of who has left the lines of `__init__.py` out: every setting seems to be another."""
    team = make_team()
    (team.folder / "team" / "__init__.py").write_text("")

    checked = team.manage("check", code=1)
    started = team.manage("shell", "-v", "0", "-c", STARTS)

    for told in (checked, started):
        assert "Your Celery app, which reads your settings, is not loaded here: write" in told
    assert "identified 1 issue" in checked


LABELLED = """
from {app}.apps import {kind}

class Config({kind}):
    label = "flows"
"""


@pytest.mark.parametrize(
    ("app", "kind"),
    [("parent", "ParentConfig"), ("monitor", "MonitorConfig")],
)
def test_a_label_of_theirs_for_an_app_of_ours_is_refused(
    make_team: MakeTeam, app: str, kind: str
) -> None:
    team = make_team(DJANGO_SETTINGS_MODULE="team.variant")
    lines = [
        "from team.settings import *",
        f"INSTALLED_APPS[INSTALLED_APPS.index({app!r})] = 'team.labelled.Config'",
    ]
    (team.folder / "team" / "variant.py").write_text("\n".join(lines))
    (team.folder / "team" / "labelled.py").write_text(LABELLED.format(app=app, kind=kind))

    told = team.manage("check", code=1).splitlines()[-1]

    assert f"team.labelled.Config labels {app!r} 'flows', and its tables have its own" in told


def test_what_the_apps_import_is_what_the_package_requires() -> None:
    """Beside that, the extras."""
    import tomllib

    from tests.deploy.conftest import ROOT

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {line.split(">")[0].split("[")[0] for line in project["dependencies"]}

    assert not names & {"gunicorn", "psycopg", "django-axes", "django-environ"}
    assert {"celery", "django", "djangorestframework", "drf-spectacular"} <= names
