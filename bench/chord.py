"""A Celery chord of short reporting tasks, or of chains of them, in a process of its own:

    DATABASE_URL=... REDIS_URL=... python -m bench.chord NUMBER [LENGTH]

Prints the seconds from the first publish to the end of the last task.
"""

import sys
import time
from typing import Any

import django


def main(count: int, length: int = 1) -> None:
    django.setup()
    # These need Django's apps.
    from celery import chain, chord  # noqa: PLC0415

    from bench.flows.tasks import native_items, native_last  # noqa: PLC0415

    def one() -> Any:
        tasks = [native_items.si() for _ in range(length)]
        return tasks[0] if length == 1 else chain(*tasks)

    began = time.monotonic()
    last = chord(one() for _ in range(count))(native_last.s())
    print(last.get(timeout=600, interval=0.05) - began)


main(*map(int, sys.argv[1:]))
