"""What children log: captured, bounded, without secrets, read in order, deleted with its run."""

import logging
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery.utils.log import get_task_logger
from django.core.management import CommandError, call_command
from django.db import OperationalError
from rest_framework import serializers

from children import Progress, child_task
from children.reporting import log_capture
from children.reporting.log_buffer import LONGEST_LINE, LogBuffer
from children.reporting.log_capture import captured_log
from parent import Map, Workflow
from parent import Step as StepDefinition
from parent.conf import HIDE_IN_LOGS
from parent.deletion.delete import delete_run
from parent.inline import run_inline
from parent.logs.attempt_log import AttemptLog
from parent.logs.hiding import hide
from parent.logs.read import MOST_LINES, read_log
from parent.models import LogChunk, Run, Step
from parent.project_checks import check_project

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_registry")]

own, celerys = logging.getLogger("shop.imports"), get_task_logger("shop.tasks")


@pytest.fixture(autouse=True)
def _levels() -> Iterator[None]:
    before = logging.root.level
    logging.root.setLevel(logging.INFO)
    yield
    logging.root.setLevel(before)


def runs_of(body: Callable[..., Any], **options: Any) -> Run:
    """A run of one child with this body."""
    task = child_task(name=f"logs.{body.__name__}")(body)
    step = StepDefinition(task, name="only", inputs=lambda _: {}, **options)
    return run_inline(Workflow(body.__name__, steps=[step]))


def texts(run: Run, **narrowed: Any) -> list[str]:
    return [line.text for line in read_log(run, **narrowed).lines]


def test_what_a_body_logs_is_kept_with_its_step_and_attempt() -> None:
    def body(progress: Progress) -> None:
        own.info("begun with %d rows", 3)
        celerys.warning("slow")
        own.debug("not shown")

    run = runs_of(body)

    first, second = read_log(run).lines
    assert (first.text, first.level_name, first.logger) == (
        "begun with 3 rows",
        "INFO",
        "shop.imports",
    )
    assert (second.text, second.level_name, second.logger) == ("slow", "WARNING", "shop.tasks")
    assert {(line.step, line.item, line.attempt) for line in (first, second)} == {("only", "", 1)}
    assert [line.number for line in (first, second)] == [1, 2]
    assert first.at <= second.at


def test_an_exception_that_is_logged_comes_with_its_traceback() -> None:
    def body(progress: Progress) -> None:
        try:
            raise ValueError("no paper")
        except ValueError:
            own.exception("the printer failed")

    (text,) = texts(runs_of(body))

    assert text.startswith("the printer failed\nTraceback (most recent call last):\n")
    assert text.endswith("ValueError: no paper")


def test_each_attempt_has_its_own_lines() -> None:
    attempts: list[int] = []

    def body(progress: Progress) -> None:
        attempts.append(1)
        own.info("try %d", len(attempts))
        if len(attempts) < 3:
            raise ValueError("again")

    run = runs_of(body, retries=2, retry_delay=0)

    found = [(line.attempt, line.number, line.text) for line in read_log(run).lines]
    assert found == [(1, 1, "try 1"), (2, 1, "try 2"), (3, 1, "try 3")]
    assert texts(run, attempt=2) == ["try 2"]


def test_lines_of_items_have_their_keys() -> None:
    @child_task(name="logs.item")
    def of_item(progress: Progress, n: int) -> None:
        own.info("item %d", n)

    each = Map(
        of_item, name="each", over=lambda _: [{"n": 1}, {"n": 2}], key=lambda i: f"k{i['n']}"
    )
    run = run_inline(Workflow("items_log", steps=[each]))

    found = [(line.step, line.item, line.text) for line in read_log(run).lines]
    assert found == [("each", "k1", "item 1"), ("each", "k2", "item 2")]
    assert texts(run, item="k2") == ["item 2"]


def test_lines_of_a_run_inside_of_a_run_are_in_the_log_of_the_outer_one() -> None:
    @child_task(name="logs.inner")
    def inner(progress: Progress) -> None:
        own.info("inside")

    @child_task(name="logs.outer")
    def outer(progress: Progress) -> None:
        own.info("outside")

    within = Workflow("inner_log", steps=[StepDefinition(inner, inputs=lambda _: {})])
    steps = [
        StepDefinition(outer, inputs=lambda _: {}),
        StepDefinition(within, inputs=lambda _: {}),
    ]
    run = run_inline(Workflow("outer_log", steps=steps))

    assert texts(run) == ["outside", "inside"]
    assert len({line.run_id for line in read_log(run).lines}) == 2


def test_a_line_may_have_any_characters() -> None:
    def body(progress: Progress) -> None:
        own.info("a\x00b \x1b[31mred\x1b[0m \ud800 \u202eright to left\r\nsecond\tline")

    assert texts(runs_of(body)) == ["a\ufffdb red ? right to left\nsecond\tline"]


def test_a_line_that_cannot_be_written_harms_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    buffer = LogBuffer(most_lines=10, most_bytes=1_000)
    with captured_log(buffer):
        log_capture._handler.handle(own.makeRecord("a", 20, "", 1, "%d rows", ("many",), None))

    assert buffer.take() is None
    assert "%d rows" in capsys.readouterr().err


def test_of_many_lines_the_first_and_the_last_are_kept(settings: Any) -> None:
    settings.WORKFLOW_LOG_LINES = 10

    def body(progress: Progress) -> None:
        for number in range(1, 101):
            own.info("line %d", number)
            if number % 20 == 0:
                progress.update(number, 100)

    run = runs_of(body)

    assert [line.number for line in read_log(run).lines] == [1, 2, 3, 4, 5, 96, 97, 98, 99, 100]


@pytest.mark.parametrize(("level", "kept"), [("DEBUG", 3), ("INFO", 2), ("ERROR", 1)])
def test_the_level_is_a_setting(settings: Any, level: str, kept: int) -> None:
    settings.WORKFLOW_LOG_LEVEL = level
    logging.root.setLevel(logging.DEBUG)

    def body(progress: Progress) -> None:
        own.debug("a")
        own.info("b")
        own.error("c")

    assert len(texts(runs_of(body))) == kept


def test_it_can_be_off(settings: Any) -> None:
    settings.WORKFLOW_LOG_LINES = 0

    def body(progress: Progress) -> None:
        own.info("a")

    runs_of(body)
    assert not LogChunk.objects.exists()


class Login(serializers.Serializer[Any]):
    user = serializers.CharField()
    code = serializers.CharField(style={"input_type": "password"})


def test_the_runs_secret_parameters_are_not_in_its_log() -> None:
    @child_task(name="logs.logs_in")
    def logs_in(progress: Progress, user: str, code: str) -> None:
        own.info("%s logs in with <%s>", user, code)

    step = StepDefinition(logs_in, inputs=lambda run: run.params)
    run = run_inline(Workflow("logs_in", params=Login, steps=[step]), user="ann", code="x7y9")

    assert texts(run) == ["ann logs in with <••••••>"]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("password=hunter2 user=ann", "password=•••••• user=ann"),
        ("DB_PASSWORD: 'hunter 2', x", "DB_PASSWORD: ••••••, x"),
        ('{"api_key": "abc", "n": 1}', '{"api_key": ••••••, "n": 1}'),
        (r"{\"token\": \"a b\", \"n\": 1}", r"{\"token\": ••••••, \"n\": 1}"),
        (r"'{\\\"secret\\\":\\\"a b\\\"}'", r"'{\\\"secret\\\":••••••}'"),
        ("passphrase='correct horse'", "passphrase=••••••"),
        ("private_key: abc", "private_key: ••••••"),
        ("passwd=abc PGPASSWORD=def", "passwd=•••••• PGPASSWORD=••••••"),
        ("Authorization: Bearer abc.def", "Authorization: ••••••"),
        ("?token=abc&page=2", "?token=••••••&page=2"),
        ("postgres://ann:hunter2@db/shop", "postgres://ann:••••••@db/shop"),
        ("the token is on its way", "the token is on its way"),
        ("read 7 tokens", "read 7 tokens"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(written: str, kept: str) -> None:
    assert hide(written, HIDE_IN_LOGS) == kept


@pytest.mark.parametrize(
    "part",
    [
        "a",
        "token",
        "token=",
        "token\\",
        "token=\\",
        "\\",
        'password="',
        "password ",
        "://",
        "://a:",
        "a:",
        "-",
        "bearer ",
    ],
)
def test_a_long_line_is_looked_through_at_once(part: str) -> None:
    """With a pattern that goes back and forth it takes seconds; the work of the body waits."""
    line = (part * LONGEST_LINE)[:LONGEST_LINE]
    began = time.process_time()

    hide(line, HIDE_IN_LOGS)

    assert time.process_time() - began < 0.5


@pytest.mark.parametrize("seen", range(0, 12, 3))
def test_no_part_of_a_secret_is_left_where_a_line_is_cut(settings: Any, seen: int) -> None:
    settings.WORKFLOW_LOG_HIDE = [r"\bkey-\d{8}\b"]

    def body(progress: Progress) -> None:
        own.info("%s key-12345678 and more", "." * (LONGEST_LINE - seen - 1))

    [text] = texts(runs_of(body))
    assert "key-" not in text
    assert "more characters)" in text


def test_a_project_says_what_is_hidden(settings: Any) -> None:
    settings.WORKFLOW_LOG_HIDE = [r"\b\d{4}-\d{4}\b", r"pin (?P<secret>\d+)"]

    def body(progress: Progress) -> None:
        own.info("card 1234-5678, pin 4711, password=open")

    assert texts(runs_of(body)) == ["card ••••••, pin ••••••, password=open"]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("WORKFLOW_LOG_HIDE", ["("], "is not a regular expression"),
        ("WORKFLOW_LOG_HIDE", "secret", "is not a list of regular expressions"),
        ("WORKFLOW_LOG_LEVEL", "LOUD", "is not a level"),
        ("WORKFLOW_LOG_LINES", "many", "is not a whole number from 0"),
    ],
)
def test_wrong_settings_are_found(settings: Any, name: str, value: Any, says: str) -> None:
    setattr(settings, name, value)

    assert any(name in found.msg and says in found.msg for found in check_project())


def test_a_log_goes_with_its_run() -> None:
    def body(progress: Progress) -> None:
        own.info("a")

    run = runs_of(body)
    assert LogChunk.objects.exists()
    delete_run(run)

    assert not LogChunk.objects.exists()


def chunk(run: Run, first: int, count: int) -> None:
    lines = [[first + n, 1.5, 20, "a", f"line {first + n}"] for n in range(count)]
    step = run.steps.get(index=0)
    LogChunk.objects.create(step=step, attempt=1, task_id="t", first=first, lines=lines)


def test_a_long_log_comes_in_pages() -> None:
    def body(progress: Progress) -> None:
        pass

    run = runs_of(body)
    for number in range(5):
        chunk(run, 400 * number + 1, 400)

    page = read_log(run)
    numbers = [line.number for line in page.lines]
    assert page.more
    assert len(numbers) == 1_200 >= MOST_LINES
    rest = read_log(run, after=page.next)

    assert [*numbers, *(line.number for line in rest.lines)] == list(range(1, 2_001))
    assert not rest.more


def test_while_a_run_goes_on_lines_of_the_last_seconds_come_again(
    started: Callable[..., Run],
) -> None:
    run = started()
    chunk(run, 1, 2)

    page = read_log(run)
    chunk(run, 3, 1)
    again = read_log(run, after=page.next)

    assert [line.number for line in page.lines] == [1, 2]
    assert [line.number for line in again.lines] == [1, 2, 3]
    assert {line.id for line in page.lines} < {line.id for line in again.lines}


def test_lines_wait_while_the_database_is_away(
    started: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = started()
    task_id = str(run.steps.get(index=0).task_id)
    log = AttemptLog(task_id, Step, run.workflow, None)
    assert log.buffer is not None
    log.buffer.add(1.0, 20, "a", "before")

    def away(*_: Any) -> None:
        raise OperationalError("away")

    with monkeypatch.context() as patched:
        patched.setattr(AttemptLog, "_write", away)
        outside = SimpleNamespace(in_atomic_block=False, close=lambda: None)
        patched.setattr("parent.logs.attempt_log.connection", outside)
        log.store()
    log.buffer.add(2.0, 20, "a", "after")
    log.store()

    assert [line.text for line in read_log(run).lines] == ["before", "after"]


def test_the_command_shows_it(capsys: pytest.CaptureFixture[str]) -> None:
    def body(progress: Progress) -> None:
        own.info("first\nsecond")
        own.error("third")

    run = runs_of(body)
    call_command("workflow", "log", str(run.pk))
    shown = capsys.readouterr().out.splitlines()
    call_command("workflow", "log", str(run.pk), "--level", "ERROR", "--step", "only", "--follow")
    errors = capsys.readouterr().out.splitlines()

    assert [line.partition("Z ")[2] for line in shown[::2]] == [
        "INFO only #1 shop.imports: first",
        "ERROR only #1 shop.imports: third",
    ]
    assert shown[1] == "    second"
    assert errors == shown[2:]


@pytest.mark.parametrize("follow", [[], ["--follow"]], ids=["", "follows"])
@pytest.mark.parametrize("step", ["onyl", "", "0"])
def test_the_command_says_which_steps_there_are(step: str, follow: list[str]) -> None:
    def body(progress: Progress) -> None:
        own.info("a line")

    run = runs_of(body)

    with pytest.raises(CommandError, match=r"has no step .*; its steps are: only"):
        call_command("workflow", "log", str(run.pk), "--step", step, *follow)


def test_the_command_knows_the_steps_of_runs_inside(capsys: pytest.CaptureFixture[str]) -> None:
    @child_task(name="logs.inside")
    def inside(progress: Progress) -> None:
        own.info("from inside")

    within = Workflow("inside", steps=[StepDefinition(inside, name="deep")])
    run = run_inline(Workflow("outside", steps=[StepDefinition(within)]))

    call_command("workflow", "log", str(run.pk), "--step", "deep")
    assert "from inside" in capsys.readouterr().out
    with pytest.raises(CommandError, match="its steps are: inside, deep"):
        call_command("workflow", "log", str(run.pk), "--step", "other")
