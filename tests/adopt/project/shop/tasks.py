import os
import time
import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

from celery import shared_task
from django.utils.translation import gettext_lazy

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


VALUES = {
    "price": Decimal("1.50"),
    "day": date(2026, 1, 31),
    "moment": datetime(2026, 1, 31, 12, tzinfo=UTC),
    "id": uuid.UUID(int=1),
    "text": gettext_lazy("Weight"),
}


@child_task(name="shop.price")
async def price(progress, sender, parcels):
    return VALUES | {"sender": sender, "parcels": parcels}


@shared_task(bind=True, name="shop.old_price", max_retries=1)
def old_price(self):
    if not self.request.retries:
        raise self.retry(countdown=0)
    self.update_state(state="PROGRESS", meta={"current": 1, "total": 4})
    return VALUES
