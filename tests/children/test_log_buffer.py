"""What is kept of a log: the first lines and the last ones, whatever is written and when stored."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given, settings
from hypothesis import strategies as st

from children.reporting.log_buffer import LONGEST_LINE, Line, LogBuffer


class Store:
    """Stored lines, as a host keeps them."""

    def __init__(self, buffer: LogBuffer) -> None:
        self.buffer = buffer
        self.parts: list[Sequence[Line]] = []

    @property
    def lines(self) -> list[Line]:
        return [line for part in self.parts for line in part]

    def store(self) -> None:
        batch = self.buffer.take()
        if batch is None:
            return
        if batch.stale is not None:
            begin, end = batch.stale
            self.parts = [part for part in self.parts if not begin <= part[0].number < end]
        self.parts += batch.parts


def write(buffer: LogBuffer, text: str) -> None:
    buffer.add(0.0, 20, "", text)


def texts(store: Store) -> list[str]:
    return [line.text for line in store.lines]


def test_all_of_a_short_log_is_kept() -> None:
    store = Store(LogBuffer(most_lines=10, most_bytes=1_000))
    for number in range(10):
        write(store.buffer, str(number))
        store.store()

    assert texts(store) == [str(number) for number in range(10)]


def test_of_a_flood_the_first_and_the_last_lines_are_kept() -> None:
    store = Store(LogBuffer(most_lines=10, most_bytes=1_000))
    for number in range(30_000):
        write(store.buffer, str(number))
    store.store()

    assert texts(store) == [*map(str, range(5)), *map(str, range(29_995, 30_000))]
    assert [line.number for line in store.lines][4:6] == [5, 29_996]


def test_newer_lines_replace_stored_ones() -> None:
    store = Store(LogBuffer(most_lines=10, most_bytes=1_000))
    for number in range(100):
        write(store.buffer, str(number))
        store.store()

    assert texts(store) == [*map(str, range(5)), *map(str, range(95, 100))]


def test_one_more_line_does_not_replace_many() -> None:
    store = Store(LogBuffer(most_lines=1_000, most_bytes=1_000_000))
    for number in range(1_500):
        write(store.buffer, str(number))
    store.store()
    write(store.buffer, "last")
    store.store()

    numbers = [line.number for line in store.lines]
    assert numbers[:500] == list(range(1, 501))
    assert numbers[500:] == list(range(1_501 - len(numbers[500:]) + 1, 1_502))
    assert 450 <= len(numbers[500:]) <= 500


def test_a_long_line_is_cut_and_says_so() -> None:
    buffer = LogBuffer(most_lines=10, most_bytes=100_000)
    write(buffer, "a" * (LONGEST_LINE + 1_500))

    batch = buffer.take()

    assert batch is not None
    assert batch.parts[0][0].text.endswith("aaa… (1,500 more characters)")


def test_it_wakes_when_there_is_something_to_store() -> None:
    woken: list[int] = []
    buffer = LogBuffer(most_lines=10, most_bytes=1_000, wake=lambda: woken.append(1))

    write(buffer, "a")
    write(buffer, "b")
    assert len(woken) == 1
    assert buffer.take() is not None
    assert buffer.take() is None
    write(buffer, "c")

    assert len(woken) == 2


def test_each_line_of_many_threads_is_kept_once() -> None:
    store = Store(LogBuffer(most_lines=20_000, most_bytes=10_000_000))

    def flood(thread: int) -> None:
        for number in range(1_000):
            write(store.buffer, f"{thread} {number}")

    with ThreadPoolExecutor() as pool:
        floods = [pool.submit(flood, thread) for thread in range(4)]
        while not all(each.done() for each in floods):
            store.store()
    store.store()

    assert [line.number for line in store.lines] == list(range(1, 4_001))
    for thread in range(4):
        own = [text for text in texts(store) if text.startswith(f"{thread} ")]
        assert own == [f"{thread} {number}" for number in range(1_000)]


@settings(deadline=None)
@given(
    writes=st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=130),
    most_lines=st.integers(2, 12),
    most_bytes=st.integers(40, 200),
)
def test_it_never_keeps_more_than_it_may(
    writes: list[tuple[int, bool]], most_lines: int, most_bytes: int
) -> None:
    store = Store(LogBuffer(most_lines=most_lines, most_bytes=most_bytes))
    for size, stored in writes:
        write(store.buffer, "x" * size)
        if stored:
            store.store()
    store.store()

    numbers = [line.number for line in store.lines]
    assert numbers == sorted(set(numbers))
    assert len(numbers) <= most_lines
    # A line that is larger than half of the limit is kept nevertheless, as the last one.
    largest = max((size for size, _ in writes), default=0)
    assert sum(len(line.text) for line in store.lines) <= most_bytes + largest
    assert not writes or numbers[-1] == len(writes)
    if len(writes) <= most_lines // 2 and sum(size for size, _ in writes) <= most_bytes // 2:
        assert len(numbers) == len(writes)
