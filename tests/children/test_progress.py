"""When a child reports, and what it reports."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from children import Meta, Progress


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sent() -> list[Meta]:
    return []


@pytest.fixture
def progress(sent: list[Meta], clock: Clock) -> Progress:
    return Progress(sent.append, interval=0.5, clock=clock)


def counts(sent: list[Meta]) -> list[tuple[int, int | None]]:
    return [(meta.iteration, meta.total) for meta in sent]


def test_the_first_report_goes_out_at_once(progress: Progress, sent: list[Meta]) -> None:
    progress.update(1, 10, "reading")
    assert sent == [Meta.at(1, 10, "reading")]


def test_the_next_report_waits_for_the_interval(
    progress: Progress, sent: list[Meta], clock: Clock
) -> None:
    progress.update(1, 10)
    progress.update(2)
    clock.now += 0.499
    progress.update(3)
    assert counts(sent) == [(1, 10)]
    clock.now += 0.001
    progress.update(4)
    assert counts(sent) == [(1, 10), (4, 10)]


class Stream:
    """As a `DataLoader` of PyTorch is over data that comes as a stream."""

    def __len__(self) -> int:
        raise TypeError("object of type 'Stream' has no len()")

    def __iter__(self) -> Iterator[int]:
        return iter(range(3))


@pytest.mark.parametrize("items", [Stream(), range(10**30)], ids=["a stream", "a range"])
def test_items_that_do_not_know_their_length_have_no_total(
    progress: Progress, sent: list[Meta], items: Any
) -> None:
    assert list(islice(progress.track(items), 3)) == [0, 1, 2]
    assert counts(sent)[0] == (0, None)


def test_the_interval_runs_from_the_end_of_a_slow_write(clock: Clock) -> None:
    sent: list[Meta] = []

    def write(meta: Meta) -> None:
        clock.now += 3
        sent.append(meta)

    progress = Progress(write, interval=0.5, clock=clock)
    progress.update(1, 10)
    progress.update(2)
    assert counts(sent) == [(1, 10)]


def test_meta_has_the_state_that_was_not_sent(progress: Progress, sent: list[Meta]) -> None:
    progress.update(1, 10, "reading")
    progress.update(7)
    assert progress.meta == Meta.at(7, 10, "reading")
    assert counts(sent) == [(1, 10)]


def test_update_keeps_the_values_that_are_not_given(progress: Progress, clock: Clock) -> None:
    progress.update(1, 10, "reading")
    progress.update(total=20)
    assert (progress.meta.iteration, progress.meta.total) == (1, 20)
    assert progress.meta.completion == 10  # it never moves back
    progress.update(iteration=5)
    assert progress.meta == Meta.at(5, 20, "reading")
    progress.message("writing")
    assert progress.meta == Meta.at(5, 20, "writing")
    progress.message("")
    assert progress.meta == Meta.at(5, 20, "")


@pytest.mark.parametrize(
    ("iteration", "total"),
    [(-1, None), (None, -1), (3, -10), (float("nan"), None), (None, float("inf")), (2**63, None)],
)
def test_invalid_counters_are_refused_and_change_nothing(
    progress: Progress, iteration: Any, total: Any
) -> None:
    progress.update(1, 10)
    with pytest.raises(ValueError, match=f"count from 0 up, not {iteration} of {total}"):
        progress.update(iteration, total)
    assert progress.meta == Meta.at(1, 10)


def test_other_types_of_numbers_and_texts_become_plain_ones(progress: Progress) -> None:
    message: Any = ValueError("as a message")
    whole: Any = Fraction(6, 2)
    progress.update(whole, whole * 2, message)
    assert progress.meta == Meta.at(3, 6, "as a message")
    assert type(progress.meta.iteration) is int


def test_track_yields_every_item_and_reports_its_start_and_its_end(
    progress: Progress, sent: list[Meta]
) -> None:
    assert list(progress.track("abcde", message="Spelling")) == list("abcde")
    assert sent == [Meta.at(0, 5, "Spelling"), Meta.at(5, 5, "Spelling")]


def test_track_reports_in_between_at_every_interval(
    progress: Progress, sent: list[Meta], clock: Clock
) -> None:
    for _ in progress.track(range(5)):
        clock.now += 0.5
    assert counts(sent) == [(0, 5), (1, 5), (2, 5), (3, 5), (4, 5), (5, 5), (5, 5)]


def test_a_loop_that_becomes_slow_reports_after_a_few_items(
    progress: Progress, sent: list[Meta], clock: Clock
) -> None:
    for item in progress.track(range(2000)):
        if item == 700:
            clock.now += 60
    told = [meta.iteration for meta in sent]
    assert len(told) == 3
    assert 700 < told[1] <= 716


def test_an_item_counts_as_done_when_the_next_is_asked_for(
    progress: Progress, sent: list[Meta], clock: Clock
) -> None:
    seen = []
    for item in progress.track(range(3)):
        seen.append((item, sent[-1].iteration))
        clock.now += 1
    assert seen == [(0, 0), (1, 1), (2, 2)]


def test_a_generator_has_no_total_unless_one_is_given(progress: Progress, sent: list[Meta]) -> None:
    def letters() -> Iterator[str]:
        yield from "abc"

    assert list(progress.track(letters())) == ["a", "b", "c"]
    assert counts(sent) == [(0, None), (3, None)]
    assert sent[-1].completion == 0
    assert list(progress.track(letters(), total=4)) == ["a", "b", "c"]
    assert counts(sent)[-1] == (3, 4)


def test_a_loop_does_not_inherit_the_total_of_the_one_before(
    progress: Progress, sent: list[Meta]
) -> None:
    list(progress.track(range(10), message="Counting"))
    list(progress.track(iter(range(99))))
    assert (sent[-1].iteration, sent[-1].total, sent[-1].message) == (99, None, "Counting")


def test_an_empty_loop_reports_its_start_and_its_end(progress: Progress, sent: list[Meta]) -> None:
    assert list(progress.track([])) == []
    assert counts(sent) == [(0, 0), (0, 0)]


def test_leaving_the_loop_keeps_the_count_of_what_was_done(
    progress: Progress, sent: list[Meta]
) -> None:
    for item in progress.track(range(100)):
        if item == 37:
            break
    assert progress.meta == Meta.at(37, 100)
    assert counts(sent) == [(0, 100)]


def test_an_error_in_the_body_keeps_the_count_of_what_was_done(progress: Progress) -> None:
    def body() -> None:
        for item in progress.track(range(100)):
            if item == 37:
                raise RuntimeError

    with pytest.raises(RuntimeError):
        body()
    assert progress.meta == Meta.at(37, 100)


def test_an_error_in_the_iterable_is_raised_in_the_body(progress: Progress) -> None:
    def rows() -> Iterator[int]:
        yield from range(7)
        raise OSError("disk gone")

    with pytest.raises(OSError, match="disk gone"):
        list(progress.track(rows(), total=10))
    assert progress.meta == Meta.at(7, 10)


def test_a_negative_total_is_refused(progress: Progress) -> None:
    with pytest.raises(ValueError, match="count from 0 up"):
        next(iter(progress.track(range(3), total=-3)))


class Host:
    """Reads a report later, when the test says so."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.read: Any = None

    def send_later(self, seconds: float, read: Any) -> None:
        self.asked.append(seconds)
        self.read = read


@pytest.fixture
def reading() -> Host:
    return Host()


@pytest.fixture
def quiet(sent: list[Meta], clock: Clock, reading: Host) -> Progress:
    """Of a host that reads what a silent body has skipped."""

    def send(meta: Meta, checkpoint: Any = None) -> None:
        sent.append(meta)

    return Progress(send, send_later=reading.send_later, interval=0.5, clock=clock)


def test_the_host_reads_what_was_skipped_and_is_asked_once(
    quiet: Progress, sent: list[Meta], clock: Clock, reading: Host
) -> None:
    quiet.update(1, 10)
    assert reading.asked == []
    clock.now += 0.1
    quiet.update(2)
    quiet.checkpoint("here")
    quiet.message("and waits")

    # Not before a body that goes on has reported by itself.
    assert reading.asked == [pytest.approx(0.4 + 0.5)]
    meta, checkpoint = reading.read()
    assert (meta, checkpoint["value"]) == (Meta.at(2, 10, "and waits"), "here")
    assert counts(sent) == [(1, 10)]


def test_once_it_was_read_the_next_skipped_report_asks_again(
    quiet: Progress, clock: Clock, reading: Host
) -> None:
    quiet.update(1, 10)
    for _ in range(3):
        quiet.update(2)
        reading.read()

    assert len(reading.asked) == 3


def test_a_time_limit_while_the_host_is_asked_does_not_keep_it_from_being_asked_again(
    quiet: Progress, reading: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def limit(*_: object) -> None:
        raise SoftTimeLimitExceeded

    quiet.update(1, 10)
    monkeypatch.setattr(quiet, "_send_later", limit)
    with pytest.raises(SoftTimeLimitExceeded):
        quiet.update(2)
    monkeypatch.setattr(quiet, "_send_later", reading.send_later)
    quiet.update(3)

    assert reading.read()[0] == Meta.at(3, 10)


def test_a_reader_in_another_thread_changes_nothing(quiet: Progress, clock: Clock) -> None:
    plain = Progress(lambda _: None, interval=0.5, clock=clock)
    for progress, reads in ((plain, 0), (quiet, 3)):
        for _ in progress.track(range(4)):
            for _ in range(reads):
                assert progress._read()
            list(progress.track(range(3)))
            with progress.part(0.5):
                for _ in range(reads):
                    assert progress._read()
                progress.update(1, 2)

    assert quiet.meta == plain.meta
