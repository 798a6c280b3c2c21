"""The memory of processes and their descendants over time."""

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from statistics import median
from typing import Self

import psutil

__all__ = ["Memory", "growth"]

EVERY = 0.5  # seconds
MEGABYTE = 1e6


class Memory(threading.Thread):
    """A context that samples the memory. `megabytes` has the samples by name, in order of time."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        super().__init__(name="memory", daemon=True)
        self.megabytes: dict[str, list[float]] = {name: [] for name in pids}
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._stopping = threading.Event()

    def run(self) -> None:
        while not self._stopping.wait(EVERY):
            for name, process in self._processes.items():
                self.megabytes[name].append(_resident(process))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self.join()


def _resident(process: psutil.Process) -> float:
    held = 0
    for each in _family(process):
        with suppress(psutil.NoSuchProcess):  # the pool has replaced a process
            held += each.memory_info().rss
    return held / MEGABYTE


def _family(process: psutil.Process) -> Sequence[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def growth(seen: Sequence[float]) -> tuple[float, float]:
    """The memory in the first and in the last tenth of the time."""
    tenth = max(1, len(seen) // 10)
    return median(seen[:tenth]), median(seen[-tenth:])
