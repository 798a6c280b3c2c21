"""Small calculations whose progress can be watched."""

import math

from children import Progress, child_task

__all__ = ["func_1", "func_2", "func_3"]

BLOCK = 20_000
"""Numbers tested in one iteration."""


@child_task(name="children.func_1")
def func_1(progress: Progress, limit: int) -> dict[str, int]:
    """Count the primes below `limit` blocks, by trial division."""
    primes = 0
    for block in progress.track(range(limit), message="Counting primes"):
        primes += sum(map(is_prime, range(block * BLOCK, (block + 1) * BLOCK)))
    return {"below": limit * BLOCK, "primes": primes}


@child_task(name="children.func_2")
def func_2(progress: Progress, limit: int) -> dict[str, int]:
    """Find the number with the longest Collatz chain below `limit` blocks."""
    best, longest = 1, 0
    for block in progress.track(range(limit), message="Following Collatz chains"):
        # Only a tenth of the numbers, because their chains are long.
        for start in range(max(1, block * BLOCK // 10), (block + 1) * BLOCK // 10):
            length = collatz_length(start)
            if length > longest:
                best, longest = start, length
    return {"start": best, "length": longest}


@child_task(name="children.func_3")
def func_3(progress: Progress, limit: int, primes: int, below: int) -> dict[str, float]:
    """Compare the count of primes with the logarithmic integral, which estimates it."""
    estimate = 0.0
    for block in progress.track(range(limit), message="Integrating 1/ln(x)"):
        start, end = max(2, block * BLOCK), (block + 1) * BLOCK
        estimate += integral_of_inverse_log(start, end)
    return {"estimate": round(estimate, 3), "ratio": round(primes / estimate, 6), "below": below}


def is_prime(number: int) -> bool:
    """Trial division by the odd numbers up to the square root."""
    if number < 4:
        return number in (2, 3)
    if number % 2 == 0:
        return False
    divisor = 3
    while divisor * divisor <= number:
        if number % divisor == 0:
            return False
        divisor += 2
    return True


def collatz_length(number: int) -> int:
    """Number of steps `n -> n/2` or `3n + 1` until 1."""
    length = 0
    while number != 1:
        number = number // 2 if number % 2 == 0 else 3 * number + 1
        length += 1
    return length


def integral_of_inverse_log(start: int, end: int) -> float:
    """The integral of 1/ln(x) from `start` to `end`, by midpoints of width 1/4."""
    return sum(0.25 / math.log(start + (i + 0.5) / 4) for i in range(4 * (end - start)))
