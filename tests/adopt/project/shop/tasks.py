import os
import time
from pathlib import Path

from celery import shared_task

from children import child_task


@child_task(name="shop.weigh")
def weigh(progress, parcels):
    total = 0
    for number in progress.track(range(parcels), message="Weighing"):
        total += number
    return {"kilos": total}


@child_task(name="shop.wait_for_cancel")
def wait_for_cancel(progress):
    while True:  # ended by a cancel: each report asks
        progress.message("Waiting")


@shared_task(name="shop.legacy")
def legacy(folder):
    """An ordinary task of theirs: it notes that its body began, and waits until it may end."""
    place = Path(folder)
    with (place / "begun").open("a") as begun:
        begun.write(f"{os.getpid()}\n")
    while not (place / "go").exists():
        time.sleep(0.02)
    return "done"


@shared_task(name="shop.note")
def note(kilos, folder):
    """What follows a run in a chain."""
    (Path(folder) / "followed").write_text(str(kilos))


@child_task(name="shop.break_down")
def break_down(progress):
    raise ValueError("no scales")
