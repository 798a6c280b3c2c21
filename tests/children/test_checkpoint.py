"""What a body keeps for the next attempt, and where its loops go on."""

from collections.abc import Callable
from typing import Any

import pytest

from children import Progress, child_task
from children.errors import CheckpointInvalid
from children.meta import Meta
from children.reporting.checkpoint import CHECKPOINT_LIMIT


class Kept:
    """Keeps the reports of one attempt after another."""

    def __init__(self) -> None:
        self.checkpoint: Any = None
        self.metas: list[Meta] = []

    def send(self, meta: Meta, checkpoint: Any = None) -> None:
        self.metas.append(meta)
        if checkpoint is not None:
            self.checkpoint = checkpoint

    def attempt(self, interval: float = 0) -> Progress:
        self.metas.clear()
        return Progress(self.send, interval=interval, checkpoint=self.checkpoint)


@pytest.fixture
def kept() -> Kept:
    return Kept()


def test_a_checkpoint_is_there_in_the_next_attempt_and_not_in_this_one(kept: Kept) -> None:
    first = kept.attempt()
    assert first.checkpointed is None
    first.checkpoint({"page": 3})
    assert first.checkpointed is None

    second = kept.attempt()
    assert second.checkpointed == {"page": 3}
    second.checkpoint(None)
    assert kept.attempt().checkpointed is None


def test_an_attempt_without_a_checkpoint_keeps_that_of_the_one_before(kept: Kept) -> None:
    kept.attempt().checkpoint([1])
    kept.attempt().update(1, 2)
    assert kept.attempt().checkpointed == [1]


def test_a_checkpoint_is_what_it_was_when_it_was_given(kept: Kept) -> None:
    progress, value = kept.attempt(), {"seen": [1]}
    progress.checkpoint(value)
    value["seen"].append(2)
    progress.update(1)
    assert kept.attempt().checkpointed == {"seen": [1]}


def test_between_two_reports_a_checkpoint_waits_for_the_next_one(kept: Kept) -> None:
    progress = kept.attempt(interval=1000)
    progress.checkpoint(1)
    progress.checkpoint(2)
    assert kept.checkpoint["value"] == 1
    progress.send_checkpoint()
    assert kept.checkpoint["value"] == 2


LOOP: dict[str, Any] = {}
LOOP["again"] = LOOP


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({1, 2}, "the checkpoint is not JSON: .*set.*Give dicts"),
        (object(), "the checkpoint is not JSON"),
        (float("nan"), "the checkpoint is not JSON"),
        (LOOP, "the checkpoint is not JSON"),
        ("a\x00b", "a text in it has a NUL"),
        ("\ud800", "the checkpoint is not JSON"),
        ({1: "a", "1": "b"}, "the checkpoint is"),
        ("x" * CHECKPOINT_LIMIT, r"65,538 bytes of JSON; at most 65,536 are kept"),
    ],
)
def test_what_cannot_be_kept_is_refused_and_the_last_one_stays(
    kept: Kept, value: Any, said: str
) -> None:
    progress = kept.attempt()
    progress.checkpoint("good")
    with pytest.raises(CheckpointInvalid, match=said):
        progress.checkpoint(value)
    progress.update(1)
    assert kept.checkpoint["value"] == "good"


def test_the_largest_checkpoint_is_kept(kept: Kept) -> None:
    kept.attempt().checkpoint("x" * (CHECKPOINT_LIMIT - 2))
    assert len(kept.attempt().checkpointed) == CHECKPOINT_LIMIT - 2


def stop_at(progress: Progress, items: Any, at: int, **options: Any) -> list[int]:
    """Do the items up to one whose work fails."""
    done = []
    for item in progress.track(items, resume=True, **options):
        if item == at:
            break
        done.append(item)
    return done


@pytest.mark.parametrize("items", [range(10), list(range(10)), dict.fromkeys(range(10), "")])
@pytest.mark.parametrize("stop", [0, 1, 9, 10])
def test_a_loop_goes_on_with_the_first_item_that_is_not_done(
    kept: Kept, items: Any, stop: int
) -> None:
    assert stop_at(kept.attempt(), items, stop) == list(range(stop))

    assert stop_at(kept.attempt(), items, -1) == list(range(stop, 10))
    assert kept.metas[0].iteration == stop
    assert (kept.metas[-1].iteration, kept.metas[-1].total) == (10, 10)


def test_an_iterator_without_a_length_goes_on_too(kept: Kept) -> None:
    stop_at(kept.attempt(), iter(range(5)), 3)
    assert stop_at(kept.attempt(), iter(range(5)), -1) == [3, 4]


def test_fewer_items_than_were_done_are_none(kept: Kept) -> None:
    stop_at(kept.attempt(), range(10), 8)
    assert stop_at(kept.attempt(), range(5), -1) == []


def test_each_of_several_loops_has_its_own_place(kept: Kept) -> None:
    def body(progress: Progress, second: int) -> tuple[list[int], list[int]]:
        return stop_at(progress, range(4), -1), stop_at(progress, range(6), second)

    assert body(kept.attempt(), 2) == ([0, 1, 2, 3], [0, 1])
    # One that fails in the first loop, before the second: the place of the second is kept.
    kept.attempt().checkpoint("in between")
    assert body(kept.attempt(), 4) == ([], [2, 3])
    assert body(kept.attempt(), -1) == ([], [4, 5])


def test_loops_inside_the_items_of_another_loop_go_on(kept: Kept) -> None:
    def body(progress: Progress, stop: tuple[int, int]) -> list[tuple[int, int]]:
        done: list[tuple[int, int]] = []
        for outer in progress.track(range(3)):
            for inner in progress.track(range(3), resume=True):
                if (outer, inner) == stop:
                    return done
                done.append((outer, inner))
        return done

    body(kept.attempt(), (1, 1))
    assert body(kept.attempt(), (9, 9)) == [(1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]


def test_only_one_of_two_nested_loops_can_resume(kept: Kept) -> None:
    progress = kept.attempt()
    next(outer := progress.track(range(2), resume=True))
    with pytest.raises(CheckpointInvalid, match="Let one of the two resume"):
        next(progress.track(range(2), resume=True))
    assert list(outer) == [1]


def test_a_loop_that_does_not_resume_begins_anew(kept: Kept) -> None:
    stop_at(kept.attempt(), range(5), 3)
    assert list(kept.attempt().track(range(3))) == [0, 1, 2]


@child_task(name="tests.checkpointed")
def checkpointed(progress: Progress) -> Any:
    progress.checkpoint({"at": 1})
    return [progress.checkpointed, *progress.track(range(2), resume=True)]


@pytest.mark.parametrize("call", [checkpointed, lambda: checkpointed.apply().get()["result"]])
def test_outside_of_a_run_a_body_works_and_finds_no_checkpoint(call: Callable[[], Any]) -> None:
    assert call() == [None, 0, 1]
