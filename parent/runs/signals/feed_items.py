"""A signal that feeds a mapped step: what comes becomes an item, until it is closed."""

from functools import partial
from typing import Any

from django.db import transaction
from rest_framework.settings import api_settings

from children.meta import Meta
from children.sanitize import clean_text
from parent.conf import setting
from parent.decisions.mapping import Frozen, InvalidItems, freeze
from parent.definition.workflow import registry
from parent.errors import InvalidParams
from parent.models import ReceivedSignal, Run, Step, StepState
from parent.runs.advance import advance
from parent.runs.endings import end_step
from parent.runs.items.end_of_step import close_if_done
from parent.runs.items.opening import how_to_freeze
from parent.store.run_rows import Locked, steps_of

__all__ = ["NON_FIELD", "end_feeding", "fed_step", "item_of"]

NON_FIELD = api_settings.NON_FIELD_ERRORS_KEY


def fed_step(run: Run, name: str) -> Step | None:
    """The mapped step that this signal feeds; None if it feeds none."""
    if registry.get(run.workflow).fed_step(name) is None:
        return None
    step = Step.objects.filter(run=run, fed_by=name).defer("result", "checkpoint").first()
    if step is not None:
        step.run = run
    return step


def item_of(fed: Step, run: Run, values: dict[str, Any], key: str | None) -> Frozen:
    """The item that these values of a signal become.

    Args:
        fed: the step that has it.
        key: what the giver calls it.

    Raises:
        InvalidParams: they cannot be an item, or there are too many.
    """
    definition: Any = registry.get(run.workflow).step(fed.name)
    options = how_to_freeze(definition)
    if key is not None and definition.key is not None:
        raise InvalidParams(
            {NON_FIELD: [f"{fed.name} takes the key from the values: leave the key out."]}
        )
    came = ReceivedSignal.objects.filter(run=run, name=fed.fed_by)
    number = fed.item_total if fed.state == StepState.RUNNING else came.count()
    if definition.key is None:
        number_or_key = str(number) if key is None else key
        options["key"] = lambda _: number_or_key
    try:
        (item,) = freeze([values], **options)
    except InvalidItems as exc:
        raise InvalidParams({NON_FIELD: [f"The values cannot be an item: {exc}."]}) from exc
    while key is None and definition.key is None and came.filter(key=item.key).exists():
        number += 1  # a giver has taken this number for a key
        item = Frozen(str(number), item.kwargs)
    limit = setting("MAP_LIMIT")
    if limit and fed.item_total >= limit and not came.filter(key=item.key).exists():
        raise InvalidParams(
            {
                NON_FIELD: [
                    f"{fed.name} has {fed.item_total:,} items already, the most that are taken: "
                    "close the signal."
                ]
            }
        )
    return item


def end_feeding(locked: Locked, signal_id: int, fed_id: int, reason: str) -> None:
    """End a signal that feeds a step as OK. The step ends when its last item has ended."""
    steps = steps_of(locked.run)
    row = next(each for each in steps if each.pk == signal_id)
    number = ReceivedSignal.objects.filter(run=locked.run, name=row.name).count()
    end_step(row, Meta(message=clean_text(reason)).ok({"count": number}), "", locked.now)
    advance(locked.run, steps, locked.now)
    close_if_done(fed_id)
    # Whoever ends the last item at this moment does not see that it is closed. Both look again.
    transaction.on_commit(partial(close_if_done, fed_id))
