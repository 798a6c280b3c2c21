"""The engine's sentences in the reader's language: what it says is known, with its values."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone, translation

from monitor.templatetags.monitor_format import precise, rate, thousands
from monitor.texts.sentences import LONGEST, SENTENCES, in_readers_language
from parent.models import Run, Schedule
from tests.deploy.conftest import ROOT
from tests.flows import workflows
from tests.monitor.runs import fail, finish

ERRORS = {
    *("CannotRetry", "InvalidRetry", "RunEnded", "RunActive", "InsideRun", "UnknownRun"),
    *("SignalClosed", "UnknownSignal", "UnknownSchedule", "ScheduleGone", "AlreadyRunning"),
    *("UnknownWorkflow", "Http404", "PermissionDenied"),
}
SHOWN_BY = ["parent/runs", "parent/deletion", "parent/schedules", "parent/definition/registry.py"]
SHOWN_BY += [
    "monitor/apply_policy.py",
    "monitor/pages",
    "monitor/ops/workers_page.py",
    "monitor/runs",
]
KNOWN_TO_STAY = {
    "X has no signal or approval X; X.",  # the last value is a part of the sentence
}


def said_in(path: Path) -> Iterator[str]:
    """The texts of the errors that a file raises, with X in place of each value."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not (isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args):
            continue
        name = getattr(node.exc.func, "id", "")
        if name in ERRORS and (text := text_of(node.exc.args[0])):
            yield text


def text_of(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if not isinstance(node, ast.JoinedStr):
        return ""
    return "".join(
        str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values
    )


def files() -> list[Path]:
    found: list[Path] = []
    for name in SHOWN_BY:
        path = ROOT / name
        found += path.rglob("*.py") if path.is_dir() else [path]
    return found


def test_each_refusal_is_said_in_every_language() -> None:
    said = {text for path in files() for text in said_in(path)}
    assert len(said) > 40  # so that the search finds what there is

    for language in ("de", "fr"):
        with translation.override(language):
            same = {text for text in said if in_readers_language(text) == text}
        assert same <= KNOWN_TO_STAY


@pytest.mark.parametrize(
    ("english", "german"),
    [
        ("skipped: two failed", "übersprungen: two ist fehlgeschlagen"),
        (
            "skipped: two failed, which is allowed",
            "übersprungen: two ist fehlgeschlagen, was erlaubt ist",
        ),
        ("skipped: closed by ann", "übersprungen: von ann geschlossen"),
        ("skipped: nothing before it failed", "übersprungen: davor ist nichts fehlgeschlagen"),
        (
            "Error in two: no paper\nat all (after 3 attempts)",
            "Fehler in two: no paper\nat all (nach 3 Versuchen)",
        ),
        (
            'add did not start within 600 s: is a worker consuming queue "gpu"?',
            "add hat nicht innerhalb von 600 s begonnen: Liest ein Worker die Warteschlange „gpu“?",
        ),
        (
            "release is closed: it was cancelled (release was cancelled).",
            "release ist geschlossen: es wurde abgebrochen (release was cancelled).",
        ),
        (
            "release has no inputs: it waits for an approval.",
            "release hat keine Eingaben: Es wartet auf eine Genehmigung.",
        ),
        (
            "gpu (1 of 1 in use), mail (1 of 4,000 begun in this minute), x (2 in use)",
            "gpu (1 von 1 belegt), mail (1 von 4.000 begonnen, gezählt je Minute), x (2 belegt)",
        ),
        ("a (1 in use), what a child says (b)", "a (1 in use), what a child says (b)"),
        ("what a child says", "what a child says"),
        ("Retry", "Retry"),  # a text of ours, and no sentence of the engine
        ("", ""),
        ("{name} {0} % failed", "{name} {0} % ist fehlgeschlagen"),
        ("x" * LONGEST + " failed", "x" * LONGEST + " failed"),
    ],
)
def test_values_stay_as_they_are(english: str, german: str) -> None:
    with translation.override("de"):
        assert in_readers_language(english) == german
    for language in ("en", "en-gb", "es"):
        with translation.override(language):
            assert in_readers_language(english) == english


def test_a_text_that_looks_like_many_is_looked_at_in_a_moment() -> None:
    text = ("Error in a: " * 200 + "failed was closed: " * 200)[:LONGEST]
    with translation.override("de"):
        assert in_readers_language(text).startswith("Fehler in a: Fehler in a: ")


def test_places_have_one_name_each() -> None:
    assert len(set(SENTENCES)) == len(SENTENCES)


@pytest.fixture
def failed(owner: User) -> Run:
    run = workflows.sums.start(owner=owner, a=5)
    finish(run, "one", 6)
    fail(run, "two", "Error in two: no paper")
    return run


def test_a_page_says_them_in_german_and_the_api_in_english(
    client: Client, owner: User, failed: Run
) -> None:
    client.force_login(owner)
    german = {"accept-language": "de"}

    page = client.get(f"/runs/{failed.pk}/", headers=german).content.decode()
    assert page.count("übersprungen: two ist fehlgeschlagen") >= 2  # steps, timeline
    assert "Fehler in two: no paper" in page
    assert "skipped: two" not in page
    assert "Fehler in two: no paper" in client.get("/runs/", headers=german).content.decode()
    told = client.get(f"/tasks/{failed.pk}/", headers=german).json()
    assert told["steps"][2]["message"] == "skipped: two failed"

    refused = client.post(f"/runs/{failed.pk}/cancel/", headers=german, follow=True)
    assert "Der Lauf ist schon beendet: Er ist FAILURE." in refused.content.decode()
    gone = client.get("/start/nothing/", headers=german | {"accept": "text/html"})
    assert "Es gibt keinen Workflow" in gone.content.decode()


def test_forms_and_their_errors_are_in_german_too(client: Client, staff: User) -> None:
    staff.is_superuser = True
    staff.save()
    client.force_login(staff)
    german = {"accept-language": "de"}
    row = Schedule.objects.create(
        workflow="main_flow", name="x", cron="0 3 * * *", next_at=timezone.now()
    )

    page = client.get(f"/timetable/{row.pk}/", headers=german).content.decode()
    assert "Zeitzone" in page
    assert "queue: sein Ende abwarten" in page
    form = {"cron": "0 0 31 2 *", "timezone": "Mars", "jitter": 0, "window": 1, "params": "{}"}
    form |= {"overlap": "skip", "catch_up": "none"}
    page = client.post(f"/timetable/{row.pk}/", form, headers=german).content.decode()
    assert "Es gibt keine Zeitzone" in page
    rule = {"kind": "webhook", "on": ["failed"], "url": "http://localhost/"}
    page = client.post("/notifications/rules/new/", rule, headers=german).content.decode()
    assert "ist nicht https. Schreiben Sie sie als https://host/path" in page


def test_numbers_are_written_as_the_language_writes_them() -> None:
    shown = {}
    for language in ("en", "de", "fr", "tr", "ar"):
        with translation.override(language):
            shown[language] = [thousands(12345), precise(0.42), precise(0.01), rate(4.25), rate(38)]

    assert shown == {
        "en": ["12,345", "0.4 s", "< 0.1 s", "4.3 %", "38 %"],
        "de": ["12.345", "0,4 s", "< 0,1 s", "4,3 %", "38 %"],
        "fr": ["12\u202f345", "0,4 s", "< 0,1 s", "4,3 %", "38 %"],
        # Where the texts are English.
        "tr": ["12,345", "0.4 s", "< 0.1 s", "4.3 %", "38 %"],
        "ar": ["12,345", "0.4 s", "< 0.1 s", "4.3 %", "38 %"],
    }
