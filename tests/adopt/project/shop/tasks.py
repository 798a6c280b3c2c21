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
