"""A Celery chord of short reporting tasks, in a process of its own:

    DATABASE_URL=... REDIS_URL=... python -m bench.chord TASKS

Prints the seconds from the first publish to the end of the last task.
"""

import sys
import time

import django


def main(count: int) -> None:
    django.setup()
    # These need Django's apps.
    from celery import chord  # noqa: PLC0415

    from bench.flows.tasks import native_items, native_last  # noqa: PLC0415

    began = time.monotonic()
    last = chord(native_items.si() for _ in range(count))(native_last.s())
    print(last.get(timeout=600, interval=0.05) - began)


main(int(sys.argv[1]))
