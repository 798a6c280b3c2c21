"""Mapped steps, from `over` to the end of the run."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal

import pytest
from django.db.models.functions import Now

from children import Meta, Progress, child_task
from parent import Map, RunData, Step, Workflow
from parent.decisions.mapping import FIRST_PLACES
from parent.definition.workflow import registry
from parent.errors import InvalidRetry, InvalidWorkflow
from parent.inline import continue_inline, run_inline
from parent.messages import publish
from parent.models import Attempt, Item, Run, RunState, StepState
from parent.models import Step as StepRow
from parent.runs.cancel import cancel
from parent.runs.items import counts, end_of_step
from parent.runs.items.end_of_item import end_cancelled_item
from parent.runs.items.end_of_step import close_if_done
from parent.runs.start import start
from parent.runs.user_retry.retry import retry
from parent.store.run_rows import FULL_READ_LIMIT, Locked, lock_running
from tests.flows import tasks
from tests.parent.items import check_items, mapped, states

pytestmark = pytest.mark.django_db

seen: list[Any] = []
broken: set[Any] = set()


@child_task(name="items.take")
def take(progress: Progress, n: int) -> int:
    """Return twice the number; fail while it is broken."""
    seen.append(n)
    if n in broken:
        raise ValueError(f"{n} is broken")
    return 2 * n


@child_task(name="items.collect")
def collect(progress: Progress, values: list[Any], errors: list[Any]) -> list[Any]:
    return [values, errors]


@pytest.fixture(autouse=True)
def _nothing_seen() -> None:
    seen.clear()
    broken.clear()


@pytest.fixture
def workflow() -> Iterator[Callable[..., Workflow]]:
    """A function that makes a workflow of these steps."""

    def make(*steps: Step) -> Workflow:
        registry._workflows.pop("mapped", None)
        return Workflow("mapped", steps=steps)

    yield make
    registry._workflows.pop("mapped", None)


def over(*items: Any) -> Callable[[RunData], Any]:
    return lambda _: list(items)


each = partial(Map, take, name="each")


def test_every_item_runs_once_and_the_next_step_gets_all_in_order(
    workflow: Callable[..., Workflow],
) -> None:
    after = Step(
        collect,
        inputs=lambda run: {
            "values": list(run.results["each"].ok()),
            "errors": [[item.key, item.error] for item in run.results["each"].failed()],
        },
    )
    broken.add(3)

    run = run_inline(workflow(each(over=over(5, 3, 4), tolerate=1), after))

    assert run.state == RunState.SUCCESS
    assert run.result == [[10, 8], [["1", "Error in each[1]: 3 is broken"]]]
    assert seen == [5, 3, 4]
    assert check_items(mapped(run)) == {"ok": 2, "failed": 1}


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("max_active", [None, 1, 2, 50])
def test_chunks_and_places_change_no_outcome(
    workflow: Callable[..., Workflow], chunk: int, max_active: int | None
) -> None:
    broken.update((2, 5))

    run = run_inline(
        workflow(each(over=over(*range(7)), chunk=chunk, max_active=max_active, tolerate="50%"))
    )

    assert run.state == RunState.SUCCESS
    assert sorted(seen) == list(range(7))
    assert check_items(mapped(run)) == {"ok": 5, "failed": 2}


def test_no_items_are_an_ok_step(workflow: Callable[..., Workflow]) -> None:
    run = run_inline(workflow(each(over=over()), Step(tasks.noop)))

    step = mapped(run)
    assert (run.state, step.state, step.message) == (RunState.SUCCESS, StepState.OK, "0 of 0")
    assert check_items(step) == {}


def test_what_comes_after_no_items_reads_that_there_are_none(
    workflow: Callable[..., Workflow],
) -> None:
    run = run_inline(
        workflow(
            each(over=over()),
            Step(
                collect,
                inputs=lambda run: {"values": list(run.results["each"].ok()), "errors": []},
            ),
        )
    )

    assert (run.state, run.result) == (RunState.SUCCESS, [[], []])


def test_a_step_of_nothing_may_be_the_last(workflow: Callable[..., Workflow]) -> None:
    run = run_inline(workflow(Step(tasks.noop), each(over=over())))

    assert (run.state, run.result["total"]) == (RunState.SUCCESS, 0)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (lambda _: "abc", "gave a value of type str, not a list"),
        (lambda _: [{"n": object()}], "item 0 is not JSON"),
        (lambda _: [{"n": 1}, {"m": 1}], "item 1 does not fit its child"),
        (lambda _: [1] * 11, "WORKFLOW_MAP_LIMIT"),
        (lambda run: run.params["missing"], "missing"),
    ],
)
@pytest.mark.parametrize("place", ["first", "last"])
def test_bad_items_are_an_error_and_nothing_is_half_opened(
    workflow: Callable[..., Workflow], settings: Any, given: Any, says: str, place: str
) -> None:
    settings.WORKFLOW_MAP_LIMIT = 10
    steps = [each(over=given), Step(tasks.noop)]

    run = run_inline(workflow(*steps if place == "first" else reversed(steps)))

    step = mapped(run)
    assert (run.state, step.state, step.items) == (RunState.FAILURE, StepState.ERROR, None)
    assert step.error is not None
    assert step.error.startswith("Error in the items of each: ")
    assert says in step.error
    assert not Item.objects.filter(step=step).exists()


def test_past_the_tolerance_nothing_more_opens(workflow: Callable[..., Workflow]) -> None:
    broken.update(range(10))

    run = run_inline(
        workflow(each(over=over(*range(10)), max_active=1, tolerate=2), Step(tasks.noop))
    )

    step = mapped(run)
    assert seen == [0, 1, 2]
    assert check_items(step) == {"failed": 3, "skipped": 7}
    assert run.error == (
        "Error in each: 3 of 10 items failed, and 2 may; 7 were skipped. "
        "each[0]: 0 is broken; each[1]: 1 is broken; each[2]: 2 is broken"
    )


@pytest.mark.parametrize("delay", [0.0, 100.0])
def test_a_failed_item_is_retried_by_itself(
    workflow: Callable[..., Workflow], delay: float
) -> None:
    broken.add(1)

    run = run_inline(
        workflow(each(over=over(0, 1, 2), retries=2, retry_delay=delay, chunk=2, tolerate=1))
    )

    item = Item.objects.get(step=mapped(run), index=1)
    assert sorted(seen) == [0, 1, 1, 1, 2]
    assert (item.attempt, item.retries_used, item.state) == (3, 2, StepState.ERROR)
    assert item.error == "Error in each[1]: 1 is broken (after 3 attempts)"
    assert list(Attempt.objects.filter(item=item).values_list("number", flat=True)) == [1, 2]
    assert check_items(mapped(run)) == {"ok": 2, "failed": 1}


def test_a_retry_of_the_run_takes_what_is_not_ok_with_its_inputs(
    workflow: Callable[..., Workflow],
) -> None:
    asked: list[None] = []

    def items(_: RunData) -> list[int]:
        asked.append(None)
        return list(range(6))

    broken.add(2)
    run = run_inline(workflow(each(over=items, max_active=1)))
    assert check_items(mapped(run)) == {"ok": 2, "failed": 1, "skipped": 3}
    seen.clear()
    broken.clear()

    with publish.publishing_off():
        retry(run.pk)
    assert check_items(mapped(run)) == {"ok": 2, "queued": 1, "waiting": 3}
    finish_inline(run)

    assert (run.state, len(asked), seen) == (RunState.SUCCESS, 1, [2, 3, 4, 5])
    assert check_items(mapped(run)) == {"ok": 6}
    failed = Attempt.objects.get(item__isnull=False)
    assert (failed.number, failed.error) == (1, "Error in each[2]: 2 is broken")


def test_a_retry_from_an_earlier_step_asks_for_the_items_again(
    workflow: Callable[..., Workflow],
) -> None:
    broken.add(1)
    given = [[0, 1], [7]]
    run = run_inline(workflow(Step(tasks.noop, name="first"), each(over=lambda _: given.pop(0))))
    assert run.state == RunState.FAILURE

    with publish.publishing_off():
        retry(run.pk, step="first")
    finish_inline(run)

    assert (run.state, seen) == (RunState.SUCCESS, [0, 1, 7])
    assert check_items(mapped(run)) == {"ok": 1}


def test_a_retry_gives_a_mapped_step_no_inputs(workflow: Callable[..., Workflow]) -> None:
    broken.add(1)
    run = run_inline(workflow(each(over=over(1))))

    with pytest.raises(InvalidRetry, match="takes its items from `over`"):
        retry(run.pk, inputs={"n": 1})


def test_one_item_is_retried_by_itself(workflow: Callable[..., Workflow]) -> None:
    broken.update({1, 3})
    steps = [each(over=over(0, 1, 2, 3), tolerate=1, retries=1, key=lambda n: f"no {n}")]
    run = run_inline(workflow(*steps, Step(tasks.noop, name="after")))
    assert check_items(mapped(run)) == {"ok": 2, "failed": 2}
    seen.clear()

    with publish.publishing_off():
        retry(run.pk, step="each", item="no 3", who="ada")
    assert check_items(mapped(run)) == {"ok": 2, "failed": 1, "queued": 1}
    broken.clear()
    finish_inline(run)

    assert (run.state, seen) == (RunState.SUCCESS, [3])
    assert check_items(mapped(run)) == {"ok": 3, "failed": 1}
    assert run.events.get().detail == {"from": ["each"], "item": "no 3"}
    numbers = Attempt.objects.filter(item__key="no 3").values_list("number", flat=True)
    assert list(numbers) == [1, 2]
    assert not Attempt.objects.filter(item__key="no 1", number=2).exists()


def test_an_item_that_fails_again_has_its_own_retries(workflow: Callable[..., Workflow]) -> None:
    broken.update({0, 1})
    run = run_inline(workflow(each(over=over(0, 1), tolerate=1, retries=2)))
    seen.clear()

    with publish.publishing_off():
        retry(run.pk, step="each", item="1")
    finish_inline(run)

    assert (run.state, seen) == (RunState.FAILURE, [1, 1, 1])
    assert check_items(mapped(run)) == {"failed": 2}
    item = Item.objects.get(step=mapped(run), index=1)
    assert (item.attempt, item.retries_used) == (6, 2)


def test_a_step_with_items_that_never_ran_is_not_ok(workflow: Callable[..., Workflow]) -> None:
    broken.add(0)
    run = run_inline(workflow(each(over=over(0, 1, 2), max_active=1)))
    assert check_items(mapped(run)) == {"failed": 1, "skipped": 2}
    broken.clear()

    for key, left in (("0", "2 of 3"), ("2", "1 of 3")):
        with publish.publishing_off():
            retry(run.pk, step="each", item=key)
        finish_inline(run)
        error = f"Error in each: {left} items have not run. Retry the step to run them"
        assert (run.state, mapped(run).error) == (RunState.FAILURE, error)
    with publish.publishing_off():
        retry(run.pk)
    finish_inline(run)

    assert (run.state, seen) == (RunState.SUCCESS, [0, 0, 2, 1])


def test_an_item_of_a_cancelled_run_is_retried_by_itself(
    workflow: Callable[..., Workflow],
) -> None:
    with publish.publishing_off():
        run = start(workflow(each(over=over(0, 1))), {})
        cancel(run.pk)
        retry(run.pk, step="each", item="1")
    assert check_items(mapped(run)) == {"cancelled": 1, "queued": 1}
    finish_inline(run)

    assert (run.state, seen) == (RunState.FAILURE, [1])
    assert check_items(mapped(run)) == {"ok": 1, "cancelled": 1}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"step": "each", "item": "9"}, "each has no item with the key '9'."),
        ({"step": "each", "item": ""}, "each has no item with the key ''."),
        ({"step": "each", "item": "a\0b"}, "has no item with the key 'a"),
        ({"step": "each", "item": "0"}, "The item '0' of each is OK: its result is kept."),
        ({"step": "first", "item": "0"}, "first has no items, as it is not a Map"),
        ({"step": "odd", "item": "0"}, "The run has no step 'odd'"),
        ({"item": "1"}, "Say which step the item belongs to."),
        ({"step": "each", "item": "1", "inputs": {"n": 1}}, "An item keeps the inputs"),
        ({"step": "each", "item": "1", "skip": True}, "One item cannot be skipped"),
        ({"step": "later", "item": "0"}, "later has no items yet"),
        ({"step": "after_all", "item": "0"}, "gets new items, as later runs again before it"),
    ],
)
def test_what_is_no_item_to_retry_is_named_and_changes_nothing(
    workflow: Callable[..., Workflow], options: dict[str, Any], says: str
) -> None:
    broken.add(1)
    run = run_inline(
        workflow(
            Step(tasks.noop, name="first"),
            each(over=over(0, 1)),
            each(name="later", over=lambda run: run.params["missing"], after=["first"]),
            each(name="after_all", over=over(1), after=["later"], when="always"),
        )
    )
    before = list(Item.objects.order_by("pk").values())

    with pytest.raises(InvalidRetry, match=re.escape(says)):
        retry(run.pk, **options)

    run.refresh_from_db()
    assert (run.state, list(Item.objects.order_by("pk").values())) == (RunState.FAILURE, before)


@pytest.mark.parametrize("when", ["always", "failed"])
@pytest.mark.parametrize("others", [0, FULL_READ_LIMIT])
def test_a_step_after_a_failed_map_reads_its_items(
    workflow: Callable[..., Workflow], when: Literal["always", "failed"], others: int
) -> None:
    """Also in a run of many steps, of which only those are read that the end of one affects."""
    broken.add(2)
    run = run_inline(
        workflow(
            *(Step(tasks.noop, name=f"other_{n}", after=[]) for n in range(others)),
            each(over=over(0, 1, 2), after=[]),
            Step(
                collect,
                when=when,
                after=["each"],
                inputs=lambda run: {
                    "values": list(run.results["each"].ok()),
                    "errors": [[i.key, i.state, i.error] for i in run.results["each"].failed()],
                },
            ),
        )
    )

    assert run.state == RunState.FAILURE
    assert mapped(run, "collect").result == [
        [0, 2],
        [["2", "ERROR", "Error in each[2]: 2 is broken"]],
    ]


def test_a_map_that_did_not_open_has_no_results(workflow: Callable[..., Workflow]) -> None:
    run = run_inline(
        workflow(
            each(over=lambda _: "abc"),
            Step(
                collect,
                when="always",
                inputs=lambda run: {
                    "values": [run.results.get("each")],
                    "errors": list(run.errors),
                },
            ),
        )
    )

    assert mapped(run, "collect").result == [[None], ["each"]]


def finish_inline(run: Run) -> None:
    """Run to its end what a retry has opened."""
    run.refresh_from_db()
    with publish.publishing_off():
        continue_inline(run)


def test_no_more_messages_than_places(workflow: Callable[..., Workflow]) -> None:
    run = start(workflow(each(over=over(*range(100)), max_active=3, chunk=10)), {})

    step = mapped(run)
    assert check_items(step) == {"queued": 30, "waiting": 70}
    heads = Item.objects.filter(step=step, publish_count__gt=0)
    assert list(heads.values_list("index", flat=True)) == [0, 10, 20]
    assert Item.objects.filter(step=step, due_at__isnull=False).count() == 3


@pytest.mark.parametrize("max_active", [None, 1_000])
def test_as_many_open_at_first_as_slots_may_want(
    workflow: Callable[..., Workflow], max_active: int | None
) -> None:
    run = start(workflow(each(over=over(*range(FIRST_PLACES + 5)), max_active=max_active)), {})

    assert check_items(mapped(run)) == {"queued": FIRST_PLACES, "waiting": 5}


def test_a_cancel_ends_what_has_not_begun(workflow: Callable[..., Workflow]) -> None:
    run = start(workflow(each(over=over(*range(9)), max_active=2, chunk=2)), {})

    cancel(run.pk)

    run.refresh_from_db()
    assert (run.state, mapped(run).state) == (RunState.REVOKED, StepState.CANCELLED)
    assert check_items(mapped(run)) == {"cancelled": 9}


def test_a_cancelled_run_can_be_retried(workflow: Callable[..., Workflow]) -> None:
    run = start(workflow(each(over=over(0, 1, 2), max_active=1)), {})
    cancel(run.pk)

    with publish.publishing_off():
        retry(run.pk)
    finish_inline(run)

    assert (run.state, seen) == (RunState.SUCCESS, [0, 1, 2])


def test_who_comes_late_to_end_a_cancelled_step_leaves_its_next_attempt_alone(
    workflow: Callable[..., Workflow], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has read the step; then another process ends the run, which is retried."""
    with publish.publishing_off():
        run = start(workflow(each(over=over(0, 1, 2), max_active=1)), {})
    begun = Item.objects.filter(step=mapped(run), state=StepState.QUEUED)
    begun.update(state=StepState.RUNNING)
    cancel(run.pk)

    def after_the_retry(step: StepRow) -> Locked | None:
        monkeypatch.setattr(end_of_step, "lock_running", lock_running)
        end_cancelled_item(str(Item.objects.get(state=StepState.RUNNING).task_id))
        with publish.publishing_off():
            retry(run.pk)
        return lock_running(step)

    monkeypatch.setattr(end_of_step, "lock_running", after_the_retry)

    assert not close_if_done(mapped(run).pk)
    assert check_items(mapped(run)) == {"queued": 1, "waiting": 2}
    finish_inline(run)
    assert (run.state, seen) == (RunState.SUCCESS, [0, 1, 2])


def test_keys_are_the_items_names(workflow: Callable[..., Workflow]) -> None:
    broken.add(1)

    run = run_inline(workflow(each(over=over({"n": 1}), key=lambda item: f"no-{item['n']}")))

    assert run.error is not None
    assert "each[no-1]: 1 is broken" in run.error


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "has over=None"),
        ({"over": [1]}, "has over="),
        ({"over": over(), "chunk": 0}, "has chunk=0"),
        ({"over": over(), "chunk": True}, "has chunk=True"),
        ({"over": over(), "max_active": 0}, "has max_active=0"),
        ({"over": over(), "tolerate": "many"}, "has tolerate='many'"),
        ({"over": over(), "key": ""}, "has key=''"),
        ({"over": over(), "inputs": dict}, "is a Map with `inputs`"),
    ],
)
def test_a_wrong_declaration_starts_nothing(
    workflow: Callable[..., Workflow], options: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidWorkflow, match=says):
        start(workflow(each(**options)), {})


def test_states_of_items_are_in_order(workflow: Callable[..., Workflow]) -> None:
    broken.add(1)

    run = run_inline(workflow(each(over=over(0, 1, 2), tolerate=1)))

    assert states(mapped(run)) == ["ok", "failed", "ok"]


def test_slots_add_up_and_failures_are_exact(workflow: Callable[..., Workflow]) -> None:
    run = start(workflow(each(over=over(*range(9)), max_active=1)), {})
    step, moment = mapped(run), run.created_at

    for _ in range(40):
        counts.add(step.pk, moment, ok=1)
    found = [counts.add(step.pk, moment, slot=counts.FAILURES, failed=1) for _ in range(3)]

    assert found == [1, 2, 3]
    assert (counts.read_one(step).ok, counts.read_one(step).failed) == (40, 3)


def test_an_item_that_reports_moves_the_step(workflow: Callable[..., Workflow]) -> None:
    run = start(workflow(each(over=over(0, 1, 2, 3), max_active=1)), {})
    step = mapped(run)
    Item.objects.filter(step=step, index=0).update(
        state=StepState.RUNNING, started_at=Now(), completion=50.0
    )

    found = counts.read_one(step)

    assert (found.running, found.running_completion) == (1, 50.0)
    assert Meta().completion == 0.0


def test_what_follows_a_map_over_nothing_gets_its_results(
    workflow: Callable[..., Workflow],
) -> None:
    # `over` reads the run's data too, before the step is OK.
    none = Map(take, name="each", over=lambda run: list(run.results.values()))
    after = Step(
        collect,
        name="after",
        inputs=lambda run: {"values": list(run.results["each"].ok()), "errors": []},
    )

    run = run_inline(workflow(none, after))

    assert (run.state, run.result) == (RunState.SUCCESS, [[], []]), run.error


def test_what_follows_a_map_that_could_not_open_gets_its_error(
    workflow: Callable[..., Workflow],
) -> None:
    bad = Map(take, name="each", over=lambda run: [*run.results, {"no JSON"}])
    undo = Step(
        collect,
        name="undo",
        when="failed",
        inputs=lambda run: {"values": [], "errors": [*run.errors]},
    )

    run = run_inline(workflow(bad, undo))

    assert run.state == RunState.FAILURE
    assert run.steps.get(name="undo").result == [[], ["each"]]
