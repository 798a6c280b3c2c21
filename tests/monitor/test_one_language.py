"""Every page in German: no English text of the catalogues is left in what people read."""

import gettext
import re
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from html import unescape
from typing import Any
from uuid import uuid4

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from django.utils.html import strip_tags

from parent.models import Firing, Run, Schedule, Step
from tests.deploy.conftest import ROOT

MakeRun = Callable[..., Run]
GERMAN = {"accept-language": "de", "accept": "text/html"}
HOW = ("inputs", "skip", "again")
SHORTEST = 10  # characters of a text that cannot be a part of a German one
PLACE = re.compile(r"\{\w+\}|%\(\w+\)[sd]")
COUNT = re.compile(r"\d of \d")
HIDDEN = re.compile(r"<(script|style|code)\b.*?</\1>|<!--.*?-->", re.DOTALL)
SPOKEN = re.compile(r'\b(?:title|aria-label|placeholder|alt|data-gone)="([^"]*)"')


@cache
def english() -> set[str]:
    """Of each text of the catalogues the longest part without a value, if it has many words."""
    found = set()
    for app in ("monitor", "parent"):
        with (ROOT / app / "locale/de/LC_MESSAGES/django.mo").open("rb") as file:
            texts: dict[Any, str] = vars(gettext.GNUTranslations(file))["_catalog"]
        for each, german in texts.items():
            text = each[0] if isinstance(each, tuple) else each
            part = max(PLACE.split(text), key=len).strip()
            if " " in part and len(part) >= SHORTEST and part not in german:
                found.add(part)
    return found


def left_in(said: str) -> list[str]:
    return [part for part in english() if part in said] + COUNT.findall(said)


def said_on(page: str) -> str:
    """What people read or hear on a page."""
    shown = HIDDEN.sub(" ", page)
    texts = [strip_tags(re.sub(r"<[^>]+>", " | ", shown)), *SPOKEN.findall(shown)]
    return unescape(re.sub(r"\s+", " ", " | ".join(texts)))


@pytest.fixture
def reader(client: Client, owner: User) -> Client:
    owner.is_staff = owner.is_superuser = True
    owner.save()
    client.force_login(owner)
    return client


def add_steps(run: Run, *steps: dict[str, Any]) -> None:
    run.steps.all().delete()
    now = timezone.now()
    for index, columns in enumerate(steps):
        moved: dict[str, Any] = (
            {} if columns["state"] in ("WAITING", "SKIPPED") else {"task_id": str(uuid4())}
        )
        if columns["state"] in ("OK", "ERROR", "SKIPPED", "CANCELLED"):
            moved |= {"started_at": now, "finished_at": now}
        Step.objects.create(
            **{"run": run, "index": index, "name": f"s{index}", "task": "x", "attempt": 1},
            **{"queued_at": now - timedelta(seconds=60), **moved, **columns},
        )


@pytest.fixture
def pages(owner: User, make_run: MakeRun) -> list[str]:
    """The address of each page, with runs and steps in each state."""
    failed = make_run(owner, state="FAILURE", error="Error in s3: boo (after 3 attempts)")
    cancelled = make_run(owner, state="REVOKED", error="s0 was cancelled")
    running = make_run(owner, message="s1: 3 of 7")
    done = make_run(owner, state="SUCCESS", completion=100.0, result={"a": 1})
    queued = make_run(owner, state="PENDING", message="waits for its turn: x")
    for run in (failed, running):
        add_steps(
            run,
            {"state": "OK"},
            {"state": "RUNNING", "message": "3 of 7", "total": 7, "iteration": 3},
            {"state": "QUEUED", "queue": "gpu"},
            {"state": "ERROR", "error": "Error in s3: boo (after 3 attempts)"},
            {
                "state": "SKIPPED",
                "message": "skipped: s3 failed",
                "optional": True,
                "after": ["s3"],
            },
            {"state": "CANCELLED"},
            {"state": "WAITING", "after": ["s2"], "when": "failed"},
            {"state": "RUNNING", "awaits": "approval", "message": "waits for an approval"},
            {"state": "QUEUED", "queued_at": timezone.now() + timedelta(hours=1), "when": "always"},
            {
                "state": "RUNNING",
                "items": {"total": 5, "failed": 2, "ok": 1, "queued": 2},
                "message": "3 of 5, 2 failed",
            },
        )
    row = Schedule.objects.create(
        workflow="main_flow", name="x", cron="0 3 * * *", next_at=timezone.now()
    )
    for detail in ("It waits for the end of a start that waits.", "run 1 had not ended."):
        Firing.objects.create(
            schedule=row,
            nominal_at=timezone.now(),
            at=timezone.now(),
            state="SKIPPED",
            detail=detail,
        )
    runs = [f"/runs/{run.pk}/" for run in (failed, cancelled, running, done, queued)]
    return [
        *("/", "/start/main_flow/", "/start/csv_profile/", "/start/main_flow/trends/", "/runs/"),
        *("/runs/?workflow=nothing", "/runs/?state=nothing&day=x", "/workers/", "/waiting/"),
        *("/timetable/", f"/timetable/{row.pk}/", "/notifications/", "/notifications/rules/new/"),
        *(f"/start/main_flow/?again={done.pk}", f"{runs[0]}log/", f"{runs[0]}log/?attempt=y"),
        *(*runs, f"{runs[0]}?steps=all", f"{runs[0]}steps/s9/items/", f"{runs[0]}steps/s1/items/"),
        *("/start/nothing/", f"/runs/{uuid4()}/", "/timetable/999/", "/decide/wrong/"),
    ]


FORM: dict[str, Any] = {
    "cron": "0 3 * * *",
    "timezone": "UTC",
    "jitter": 0,
    "window": 1,
    "params": "{}",
}
FORM |= {"overlap": "skip", "catch_up": "none"}
WRONG: list[dict[str, Any]] = [
    *(
        {"cron": cron}
        for cron in ("", "* * *", "61 * * * *", "* 61 * * *", "* * 99 * *", "0 0 31 2 *")
    ),
    *({"cron": cron} for cron in ("* * * 99 *", "* * * * 99", "* * * * MON#1/2")),
    *(
        {"every": 5},
        {"every": 0, "cron": ""},
        {"timezone": ""},
        {"timezone": "Mars"},
        {"jitter": -1},
    ),
    *(
        {"window": 0},
        {"overlap": "z"},
        {"params": "x"},
        {"params": "[]"},
        {"params": '{"nope": 1}'},
    ),
]


def test_no_page_says_anything_in_english(reader: Client, pages: list[str]) -> None:
    assert len(english()) > 300  # so that the search finds what there is
    run = Run.objects.filter(state="FAILURE").get()
    row = Schedule.objects.get()
    rule, retry = "/notifications/rules/new/", f"/runs/{run.pk}/retry/"
    posts: list[tuple[str, dict[str, Any]]] = [
        *((f"/timetable/{row.pk}/", FORM | wrong) for wrong in WRONG),
        *((rule, {}), (rule, {"kind": "webhook", "on": ["x"], "url": "x"})),
        (rule, {"kind": "email", "on": ["failed"], "to": "x"}),
        *(("/start/main_flow/", {"limit": "x", "zz": 1}), ("/start/csv_profile/", {})),
        *((retry, {"how": how, "step": "s3", "inputs": "[", "result": "{"}) for how in HOW),
        *((retry, {"how": "inputs", "step": "zz"}), ("/runs/bulk/", {"action": "x"})),
        (f"/runs/{run.pk}/cancel/", {}),
    ]
    left = {}
    for address in pages:
        answer = reader.get(address, headers=GERMAN)
        left[address] = left_in(said_on(answer.content.decode()))
    for address, data in posts:
        answer = reader.post(address, data, headers=GERMAN, follow=True)
        left[f"{address} {data}"] = left_in(said_on(answer.content.decode()))

    assert {address: texts for address, texts in left.items() if texts} == {}


def test_no_page_shows_what_is_not_there(
    reader: Client, pages: list[str], settings: LazySettings
) -> None:
    """Some teams let templates say it, and then Django applies no filter to such a value."""
    [engine] = settings.TEMPLATES
    options: Any = engine["OPTIONS"]
    options = options | {"string_if_invalid": "NOT-THERE"}
    settings.TEMPLATES = [engine | {"OPTIONS": options}]

    said = {address: reader.get(address).content.decode() for address in pages}

    assert [address for address, page in said.items() if "NOT-THERE" in page] == []
