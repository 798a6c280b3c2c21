"""A mapped step of many items, in a process of its own: what it takes to open it, and to reduce it.

    DATABASE_URL=... REDIS_URL=... python -m bench.large_map open ITEMS
    DATABASE_URL=... REDIS_URL=... python -m bench.large_map reduce ITEMS

Prints the largest resident memory of the process in MB, before and after, and the seconds.
"""

import resource
import sys
import time

import django

KILOBYTES = 1e3  # in a megabyte


def main(what: str, items: int) -> None:
    django.setup()
    # These need Django's apps.
    from django.db.models import Value  # noqa: PLC0415

    from bench.flows.workflows import mapped  # noqa: PLC0415
    from parent.messages.publish import publishing_off  # noqa: PLC0415
    from parent.models import Item, ItemCount, Step, StepState  # noqa: PLC0415
    from parent.runs.items.end_of_step import close_if_done  # noqa: PLC0415

    with publishing_off():
        if what == "open":
            mapped.start(items=1)
            before, began = largest(), time.monotonic()
            run = mapped.start(items=items)
            if run.ended:
                sys.exit(f"the run failed: {run.error}")
        else:
            step = Step.objects.get(name="each", state=StepState.RUNNING, items__total=items)
            Item.objects.filter(step=step).update(
                state=StepState.OK, result=Value(1.5, Item._meta.get_field("result"))
            )
            ItemCount.objects.filter(step=step).update(opened=items, ok=items)
            before, began = largest(), time.monotonic()
            if not close_if_done(step.pk):
                sys.exit("the step did not end")
    print(before, largest(), time.monotonic() - began)


def largest() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KILOBYTES


main(sys.argv[1], int(sys.argv[2]))
