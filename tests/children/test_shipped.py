"""The included children compute correct results."""

from typing import Any

import pytest

from examples.main_flow.tasks import collatz_length, func_1, func_2, func_3, is_prime
from tests.children.conftest import MemoryHost


def test_func_1_counts_primes() -> None:
    assert func_1(limit=50) == {"below": 1_000_000, "primes": 78_498}


def test_func_2_finds_the_longest_collatz_chain() -> None:
    assert func_2(limit=5) == {"start": 6171, "length": 261}


def test_func_3_comes_close_to_the_offset_logarithmic_integral() -> None:
    found = func_3(limit=5, primes=9592, below=100_000)
    assert found["estimate"] == pytest.approx(9628.7638, abs=0.01)
    assert found["ratio"] == pytest.approx(9592 / 9628.7638, abs=1e-5)
    assert found["below"] == 100_000


def test_primes_by_trial_division() -> None:
    found = [number for number in range(-3, 50) if is_prime(number)]
    assert found == [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47]
    assert is_prime(7919)
    assert not is_prime(89 * 89)


@pytest.mark.parametrize(("start", "length"), [(1, 0), (2, 1), (6, 8), (27, 111)])
def test_collatz_length(start: int, length: int) -> None:
    assert collatz_length(start) == length


@pytest.mark.parametrize(
    ("task", "kwargs", "message"),
    [
        (func_1, {"limit": 3}, "Counting primes"),
        (func_2, {"limit": 3}, "Following Collatz chains"),
        (func_3, {"limit": 3, "primes": 6057, "below": 60_000}, "Integrating 1/ln(x)"),
    ],
)
def test_each_included_child_reports_every_block(
    memory_host: MemoryHost, task: Any, kwargs: dict[str, Any], message: str
) -> None:
    attempt, answer = memory_host.run(task, **kwargs)
    assert [meta.iteration for meta in attempt.reports] == [0, 1, 2, 3, 3]
    assert {(meta.total, meta.message) for meta in attempt.reports} == {(3, message)}
    assert attempt.outcome.result == task(**kwargs)
    assert answer.result == attempt.outcome.as_dict()
