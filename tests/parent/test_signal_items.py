"""`Map(over=Signal(...))`: each one that comes is an item, until the signal is closed."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db.models.functions import Now
from rest_framework import serializers

from children import Progress, child_task
from children.meta import Meta
from parent import Map, Signal, Step, Workflow
from parent.definition.validation.steps import steps_problems
from parent.errors import InvalidParams, InvalidRetry, SignalClosed, SignalGiven
from parent.inline import continue_inline, run_inline
from parent.models import Event, Executor, Item, ReceivedSignal, Run, RunState
from parent.models import Step as StepRow
from parent.runs.cancel import cancel
from parent.runs.items.end_of_item import end_item
from parent.runs.items.end_of_step import close_if_done
from parent.runs.signals.give import close, give
from parent.runs.start import start
from parent.runs.user_retry.retry import retry
from parent.watch.tick import Ticker
from tests.flows import tasks
from tests.parent.test_signals import end, states, ticker

__all__ = ["ticker"]

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_registry")]


class Page(serializers.Serializer[Any]):
    number = serializers.IntegerField(min_value=1)
    bad = serializers.BooleanField(default=False)


@child_task(name="flows.signal_items.read_page")
def read_page(progress: Progress, number: int, bad: bool) -> int:
    if bad:
        raise tasks.Trouble(f"page {number} is bad")
    return 10 * number


PAGE = Signal("page", params=Page)


def paged(signal: Signal = PAGE, *more: Step, before: Any = (), **options: Any) -> Workflow:
    """A workflow that reads the pages that come."""
    read = Map(read_page, name="read", over=signal, after=(), **options)
    if before:
        read = Map(read_page, name="read", over=signal, **options)
    return Workflow(f"paged_{uuid4().hex}", steps=[*before, read, *more])


def items(run: Run) -> list[tuple[str, str]]:
    return list(Item.objects.filter(step__run=run).order_by("index").values_list("key", "state"))


def gave(run: Run, *numbers: int, **values: Any) -> None:
    for number in numbers:
        give(run.pk, "page", {"number": number, **values})


def test_each_one_that_comes_is_an_item_until_it_is_closed() -> None:
    after = Step(
        tasks.add, name="sum", inputs=lambda run: {"a": 0, "b": sum(run.results["read"].ok())}
    )
    run = run_inline(paged(PAGE, after))
    assert states(run) == {"read": "RUNNING", "sum": "WAITING", "page": "RUNNING"}

    gave(run, 1, 2)
    continue_inline(run)
    assert items(run) == [("0", "OK"), ("1", "OK")]
    assert not run.ended
    gave(run, 3)
    continue_inline(run)
    close(run.pk, "page", who="ann")
    continue_inline(run)

    assert (run.state, run.result, run.completion) == (RunState.SUCCESS, 60, 100)
    assert states(run) == {"read": "OK", "sum": "OK", "page": "OK"}
    signal = run.steps.get(name="page")
    assert (signal.result, signal.message) == ({"count": 3}, "closed by ann")
    assert run.steps.get(name="read").item_total == 3
    assert [event.what for event in Event.objects.filter(run=run)] == ["close"]


def test_what_comes_before_the_map_opens_are_its_first_items() -> None:
    run = start(paged(before=[Step(tasks.noop, name="load", inputs=lambda _: {})]), {})
    gave(run, 1, 2)
    assert states(run) == {"load": "QUEUED", "read": "WAITING", "page": "WAITING"}
    assert items(run) == []

    end(run, "load")

    assert states(run)["read"] == "RUNNING"
    assert items(run) == [("0", "QUEUED"), ("1", "QUEUED")]
    gave(run, 3)
    assert items(run)[2:] == [("2", "QUEUED")]


def test_one_that_is_closed_before_the_map_opens_is_an_ordinary_map() -> None:
    run = start(paged(before=[Step(tasks.noop, name="load", inputs=lambda _: {})]), {})
    gave(run, 1)
    close(run.pk, "page")

    end(run, "load")
    continue_inline(run)

    assert (run.state, items(run)) == (RunState.SUCCESS, [("0", "OK")])


@pytest.mark.parametrize("early", [True, False])
def test_none_at_all_is_ok_with_no_items(early: bool) -> None:
    run = start(paged(before=[Step(tasks.noop, name="load", inputs=lambda _: {})]), {})
    if early:
        close(run.pk, "page")
    end(run, "load")
    if not early:
        close(run.pk, "page")

    continue_inline(run)

    read = run.steps.get(name="read")
    assert (run.state, read.state, read.item_total) == (RunState.SUCCESS, "OK", 0)


def test_the_same_key_again_is_the_same_answer_also_after_the_close() -> None:
    run = start(paged(key="number"), {})
    first = give(run.pk, "page", {"number": 7})

    assert give(run.pk, "page", {"number": "7"}).pk == first.pk
    with pytest.raises(SignalGiven, match="with other values"):
        give(run.pk, "page", {"number": 7, "bad": True})
    close(run.pk, "page", who="ann")
    assert give(run.pk, "page", {"number": 7}).pk == first.pk
    with pytest.raises(SignalClosed, match=r"nothing more is taken \(closed by ann\)"):
        give(run.pk, "page", {"number": 8})
    with pytest.raises(SignalClosed):
        close(run.pk, "page")

    assert items(run) == [("7", "QUEUED")]


def test_a_giver_may_name_them_and_numbers_go_round_those_names() -> None:
    run = start(paged(), {})
    first = give(run.pk, "page", {"number": 1}, key="1")
    assert give(run.pk, "page", {"number": 1}, key="1").pk == first.pk

    gave(run, 2, 3)
    run.signal_with("page", {"number": 4}, key="last")

    assert [key for key, _ in items(run)] == ["1", "2", "3", "last"]


BAD: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any], str]] = [
    ("wrong", {}, {"number": 0}, {}, "greater than or equal to 1"),
    ("unknown field", {}, {"number": 1, "x": 1}, {}, "takes no such value"),
    ("two keys", {"key": "number"}, {"number": 1}, {"key": "a"}, "leave the key out"),
    ("empty key", {}, {"number": 1}, {"key": ""}, "1 to 200 characters"),
    ("long key", {}, {"number": 1}, {"key": "x" * 201}, "1 to 200 characters"),
    ("two lines", {}, {"number": 1}, {"key": "a\nb"}, "one line"),
    ("no text", {"key": "bad"}, {"number": 1}, {}, "keys are texts or whole numbers"),
    ("no such value", {"key": "name"}, {"number": 1}, {}, "is not there"),
]


@pytest.mark.parametrize(
    ("options", "values", "given", "says"), [c[1:] for c in BAD], ids=[c[0] for c in BAD]
)
def test_what_cannot_be_an_item_is_refused_and_nothing_is_stored(
    options: dict[str, Any], values: dict[str, Any], given: dict[str, Any], says: str
) -> None:
    run = start(paged(**options), {})

    with pytest.raises(InvalidParams, match=says):
        give(run.pk, "page", values, **given)

    assert not ReceivedSignal.objects.exists()
    assert items(run) == []


def test_a_signal_that_feeds_nothing_takes_no_key() -> None:
    waits = Step(tasks.noop, name="merge", after=["page"], inputs=lambda _: {})
    run = start(Workflow(f"w_{uuid4().hex}", steps=[waits], signals=[PAGE]), {})

    with pytest.raises(InvalidParams, match="takes no key"):
        give(run.pk, "page", {"number": 1}, key="a")


def test_no_more_than_the_limit_are_taken(settings: Any) -> None:
    settings.WORKFLOW_MAP_LIMIT = 2
    run = start(paged(key="number"), {})
    gave(run, 1, 2)

    with pytest.raises(InvalidParams, match="close the signal"):
        gave(run, 3)
    gave(run, 2)

    assert len(items(run)) == 2


def test_max_active_holds_and_the_rest_wait() -> None:
    run = start(paged(max_active=1), {})

    gave(run, 1, 2, 3)

    assert items(run) == [("0", "QUEUED"), ("1", "WAITING"), ("2", "WAITING")]
    continue_inline(run)
    assert [state for _, state in items(run)] == ["OK"] * 3
    read = run.steps.get(name="read")
    assert (read.state, run.steps.get(name="page").state) == ("RUNNING", "RUNNING")


def test_too_many_failures_end_it_although_the_signal_is_open() -> None:
    run = start(paged(tolerate=1), {})
    gave(run, 1, bad=True)
    continue_inline(run)
    assert states(run)["read"] == "RUNNING"

    gave(run, 2, bad=True)
    continue_inline(run)

    assert run.state == RunState.FAILURE
    assert "2 of 2 items failed" in str(run.error)
    assert states(run) == {"read": "ERROR", "page": "SKIPPED"}
    with pytest.raises(SignalClosed, match="nothing waits for it any more"):
        gave(run, 3)


def test_a_retry_from_the_signal_is_refused_and_says_from_where() -> None:
    run = start(paged(), {})
    gave(run, 1, bad=True)
    continue_inline(run)
    assert run.state == RunState.FAILURE

    with pytest.raises(InvalidRetry, match="page is a signal that feeds read"):
        retry(run.pk, step="page")

    run.refresh_from_db()
    assert run.state == RunState.FAILURE


def test_a_retry_takes_the_failed_ones_again_and_more_may_come() -> None:
    run = start(paged(), {})
    gave(run, 1)
    gave(run, 2, bad=True)
    continue_inline(run)
    assert run.state == RunState.FAILURE
    read_page.run = lambda _, number, **_values: number

    try:
        retry(run.pk)
        run.refresh_from_db()
        gave(run, 3)
        continue_inline(run)
        close(run.pk, "page")
        continue_inline(run)
    finally:
        del read_page.run

    assert run.state == RunState.SUCCESS
    assert [state for _, state in items(run)] == ["OK"] * 3


def test_a_cancel_ends_it_at_once_while_it_only_waits() -> None:
    run = start(paged(), {})

    cancel(run.pk)

    assert states(run) == {"read": "CANCELLED", "page": "CANCELLED"}
    run.refresh_from_db()
    assert run.state == RunState.REVOKED


def test_a_map_that_is_skipped_closes_its_signal() -> None:
    run = start(paged(before=[Step(tasks.noop, name="load", inputs=lambda _: {})]), {})

    end(run, "load", Meta().failed("bad"))

    assert states(run) == {"load": "ERROR", "read": "SKIPPED", "page": "SKIPPED"}


@pytest.mark.parametrize(("on_timeout", "state"), [("fail", "FAILURE"), ("skip", "SUCCESS")])
def test_its_time_ends_it(on_timeout: Any, state: str, ticker: Ticker) -> None:
    signal = Signal("page", params=Page, timeout=60, on_timeout=on_timeout)
    run = start(paged(signal), {})
    gave(run, 1)
    continue_inline(run)

    StepRow.objects.filter(run=run, name="page").update(due_at=Now() - timedelta(seconds=1))
    ticker.tick()

    read = run.steps.get(name="read")
    close_if_done(read.pk)
    run.refresh_from_db()
    assert run.state == state
    if on_timeout == "fail":
        assert "page did not come within 60 s" in str(run.error)


def test_while_it_waits_no_tick_looks_at_it(ticker: Ticker) -> None:
    run = start(paged(), {})
    read = run.steps.get(name="read")
    assert (read.due_at, read.message) == (None, "waits for page")
    gave(run, 1)
    read.refresh_from_db()
    assert read.due_at is not None
    continue_inline(run)

    StepRow.objects.filter(pk=read.pk).update(due_at=Now() - timedelta(seconds=1))
    ticker.tick()

    read.refresh_from_db()
    assert read.due_at is None
    assert read.message == "1 of 1 so far; waits for page"


def test_an_item_whose_opening_was_missed_is_opened_when_a_place_is_free(
    executor: Executor,
) -> None:
    """The one that ends an item does not see one that comes at that moment."""
    run = start(paged(max_active=1), {})
    gave(run, 1, 2)
    first, second = Item.objects.filter(step__run=run).order_by("index")
    # As if it had not been committed when the first one looked for the next.
    Item.objects.filter(pk=second.pk).update(due_at=Now() + timedelta(days=1))
    Item.objects.filter(pk=first.pk).update(state="RUNNING", executor=executor)
    assert end_item(str(first.task_id), Meta().ok(1))
    assert [state for _, state in items(run)] == ["OK", "WAITING"]

    Item.objects.filter(pk=second.pk).update(due_at=None)
    gave(run, 3)

    assert [state for _, state in items(run)] == ["OK", "QUEUED", "WAITING"]


def test_what_cannot_work_is_found_by_the_checks() -> None:
    from parent.definition.signals import signal_problems

    share = paged(tolerate="5%")
    twice = Workflow(
        f"w_{uuid4().hex}",
        steps=[Map(read_page, name="a", over=PAGE), Map(read_page, name="b", over=PAGE)],
    )
    other = Workflow(f"w_{uuid4().hex}", steps=[Map(read_page, name="a", over=Step(tasks.noop))])

    assert "a share of a number" in str(list(steps_problems(share)))
    assert "2 steps are a Map over the signal 'page'" in str(list(signal_problems(twice)))
    assert "Give a function" in str(list(steps_problems(other)))
    for good in (paged(), paged(tolerate=3), paged(Signal("page", params=Page, timeout=5))):
        assert [*steps_problems(good), *signal_problems(good)] == []


def test_its_values_are_compared_with_what_the_child_takes() -> None:
    from parent.definition.parameters.inputs_check import fit_problems

    class Other(serializers.Serializer[Any]):
        number = serializers.IntegerField()
        name = serializers.CharField()

    wrong = paged(Signal("page", params=Other))
    found = str(list(fit_problems(wrong, wrong.steps[0])))

    assert "would get the parameter 'name'" in found
    assert "needs 'bad', which is not a value of the signal page" in found
    assert list(fit_problems(paged(), paged().steps[0])) == []
