"""The pages speak German and French: the catalogues are whole, and the API stays as it is."""

import gettext
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone, translation

from monitor.templatetags.monitor_format import in_active_zone, word
from monitor.templatetags.monitor_texts import SCRIPT_TEXTS, start_worker
from monitor.texts.language import LANGUAGES
from monitor.texts.row_texts import WORDS
from monitor.texts.status_words import count, waiting_text
from tests.conftest import missing
from tests.deploy.conftest import ROOT
from tests.monitor.conftest import MakeRun

APPS = ["monitor", "parent"]
SCRIPTS = sorted((ROOT / "monitor" / "static" / "monitor").glob("*.js"))
LITERAL = re.compile(
    r'\b(?:text|say)\(\s*(?:\w+ \? )?"((?:[^"\\]|\\.)*)"(?: : "((?:[^"\\]|\\.)*)")?'
)
TOOLS = ("xgettext", "msgcmp", "msgfmt", "msgmerge", "msguniq", "msgattrib")


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the texts that the sources have now, for each app: `APP/locale/de/...`."""
    for tool in TOOLS:
        if shutil.which(tool) is None:
            missing(f"There is no {tool}: install GNU gettext.")
    folder = tmp_path_factory.mktemp("sources")
    for name in APPS:
        ignored = shutil.ignore_patterns("__pycache__", "locale")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        (folder / name / "locale").mkdir()
    command = [sys.executable, "-m", "django", "makemessages", "--locale", "de", "--no-location"]
    environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    subprocess.run(command, cwd=folder, env=environ, check=True, capture_output=True)
    return folder


def catalogue(app: str, language: str) -> Path:
    return Path(app, "locale", language, "LC_MESSAGES", "django.po")


@pytest.mark.parametrize("language", LANGUAGES[1:])
@pytest.mark.parametrize("app", APPS)
def test_every_text_is_translated_and_none_is_left_over(
    extracted: Path, app: str, language: str
) -> None:
    shipped, now = ROOT / catalogue(app, language), extracted / catalogue(app, "de")

    # It finds what is missing, untranslated or fuzzy.
    compared = subprocess.run(["msgcmp", shipped, now], capture_output=True, text=True, check=False)
    assert compared.returncode == 0, compared.stderr
    left_over = subprocess.run(
        ["msgcmp", "--use-untranslated", now, shipped], capture_output=True, text=True, check=False
    )
    assert left_over.returncode == 0, left_over.stderr


@pytest.mark.parametrize("language", LANGUAGES[1:])
@pytest.mark.parametrize("app", APPS)
def test_placeholders_agree_and_what_is_compiled_is_up_to_date(
    extracted: Path, tmp_path: Path, app: str, language: str
) -> None:
    source, compiled = ROOT / catalogue(app, language), tmp_path / "django.mo"

    command = ["msgfmt", "--check-format", "--check-domain", "-o", str(compiled), str(source)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stderr
    assert texts_of(compiled) == texts_of(source.with_suffix(".mo"))


def texts_of(compiled: Path) -> dict[Any, str]:
    with compiled.open("rb") as file:
        texts: dict[Any, str] = vars(gettext.GNUTranslations(file))["_catalog"]
    return texts


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_a_text_of_several_apps_is_said_in_one_way(language: str) -> None:
    """Django takes the one of the first app for all of them."""
    one, other = (
        texts_of(ROOT / Path(catalogue(app, language)).with_suffix(".mo")) for app in APPS
    )
    both = (one.keys() & other.keys()) - {""}

    assert {each: one[each] for each in both} == {each: other[each] for each in both}


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"\{\w+\}|%\(\w+\)s|<[^>]+>", text))


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_places_of_values_and_tags_are_kept(language: str) -> None:
    """Also where no format is marked."""
    for app in APPS:
        for english, translated in texts_of(
            (ROOT / catalogue(app, language)).with_suffix(".mo")
        ).items():
            if isinstance(english, str) and english:
                assert placeholders(english) == placeholders(translated), english


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_writes_only_texts_that_are_translated(script: Path) -> None:
    found = {each for pair in LITERAL.findall(script.read_text()) for each in pair if each}

    assert found <= set(SCRIPT_TEXTS), script.name


def test_scripts_write_every_text_that_pages_carry_for_them() -> None:
    """So that the pattern above finds what there is."""
    source = "".join(path.read_text() for path in SCRIPTS)

    own = [text for text in SCRIPT_TEXTS if text not in WORDS]
    assert [text for text in own if f'"{text}"' not in source] == []


@pytest.fixture
def reader(client: Client, staff: User) -> Client:
    client.force_login(staff)
    return client


OTHERS = ["/waiting/", "/start/main_flow/", "/timetable/", "/notifications/"]
PAGES = {"de": ("Läufe", "Einen Workflow starten"), "fr": ("Exécutions", "Démarrer un workflow")}


@pytest.mark.django_db
@pytest.mark.parametrize("language", PAGES)
def test_pages_are_in_the_readers_language(reader: Client, language: str) -> None:
    page = reader.get("/", headers={"accept-language": f"{language}-XX,{language};q=0.9"})

    text = page.content.decode()
    assert f'<html lang="{language}">' in text
    assert all(each in text for each in PAGES[language])
    assert '<script id="task-texts" type="application/json">' in text


@pytest.mark.django_db
@pytest.mark.parametrize("language", ["en", "es"])
def test_other_languages_get_the_english_texts(reader: Client, language: str) -> None:
    text = reader.get("/", headers={"accept-language": language}).content.decode()

    assert '<html lang="en">' in text
    assert '<script id="task-texts" type="application/json">{"lang": "en"}</script>' in text
    assert "Start a workflow" in text


@pytest.mark.django_db
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_of_a_run_is_drawn(
    reader: Client, staff: User, make_run: MakeRun, language: str
) -> None:
    User.objects.update(is_superuser=True)
    run = make_run(staff)
    for path in ("/runs/", f"/runs/{run.pk}/", *OTHERS):
        answer = reader.get(path, headers={"accept-language": language})
        assert answer.status_code == 200, path
        assert b"{%" not in answer.content


@pytest.mark.django_db
def test_the_api_says_the_same_in_every_language(
    reader: Client, staff: User, make_run: MakeRun
) -> None:
    run = make_run(staff)
    path = f"/tasks/{run.pk}/"
    answers = [reader.get(path, headers={"accept-language": each}).json() for each in LANGUAGES]
    for answer in answers:
        del answer["poll_after_ms"]  # it is varied a little

    assert answers[0] == answers[1] == answers[2]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("asked", "accepted", "said"),
    [
        ("", "en", "A valid integer is required."),
        ("", "de", "Eine gültige Ganzzahl ist erforderlich."),
        ("?lang=de", "en", "Eine gültige Ganzzahl ist erforderlich."),
        ("?lang=de", "fr", "Eine gültige Ganzzahl ist erforderlich."),
        ("?lang=fr", "de", "Un nombre entier valide est requis."),
        ("?lang=xx", "en", "A valid integer is required."),
    ],
)
def test_what_is_wrong_in_a_field_is_said_in_the_language_that_is_asked_for(
    reader: Client, asked: str, accepted: str, said: str
) -> None:
    path = f"/workflows/main_flow/{asked}"
    answer = reader.post(path, {"limit": "x"}, headers={"accept-language": accepted})

    assert answer.json()["errors"] == {"limit": [said]}
    assert answer.json()["detail"] == "Not accepted: limit."


def test_words_and_figures_are_translated() -> None:
    status = {"state": "SUCCESS", "status": "OK", "task_id": "x", "message": ""}
    counted = {"iteration": 4_000, "total": 10_000}
    waits = {"waits_for": "a worker of the queue “gpu”: none is running", "waits_until": None}
    with translation.override("de"):
        assert word(status) == "fertig"
        assert count(counted) == "4.000 von 10.000"
        assert waiting_text(waits, timezone.now()) == (
            "wartet auf: einen Worker der Warteschlange „gpu“: keiner läuft"
        )


AT = datetime(2026, 7, 1, 12, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("UTC", "12:00:30 UTC"),
        ("Europe/Berlin", "14:00:30 CEST"),
        ("America/Sao_Paulo", "09:00:30 UTC-03"),
        ("Asia/Kathmandu", "17:45:30 UTC+0545"),
    ],
)
def test_a_time_is_in_the_active_zone_and_says_so(zone: str, shown: str) -> None:
    with timezone.override(zone):
        assert in_active_zone(AT, "H:i:s") == shown


def test_the_hint_names_a_command_that_the_project_has(settings: Any) -> None:
    assert start_worker().endswith("manage.py worker")

    settings.INSTALLED_APPS = [name for name in settings.INSTALLED_APPS if name != "roles"]
    assert start_worker().startswith("celery -A ")
