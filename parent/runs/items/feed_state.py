"""What has come for a mapped step that a signal feeds, and whether more may come."""

from collections.abc import Sequence

from parent.decisions.mapping import Frozen
from parent.models import ReceivedSignal, Step, StepState

__all__ = ["come_since", "still_fed"]

ENDED = (StepState.OK, StepState.ERROR, StepState.SKIPPED, StepState.CANCELLED)


def still_fed(steps: Sequence[Step]) -> set[int]:
    """The keys of those of these steps whose signals have not ended: more items may come."""
    fed = [step for step in steps if step.fed_by]
    if not fed:
        return set()
    signals = Step.objects.filter(
        run__in={step.run_id for step in fed}, name__in={step.fed_by for step in fed}
    )
    still_open = set(signals.exclude(state__in=ENDED).order_by().values_list("run_id", "name"))
    return {step.pk for step in fed if (step.run_id, step.fed_by) in still_open}


def come_since(step: Step) -> list[Frozen]:
    """What has come beyond the items that the step has, in order. The caller has locked the run.

    Each that comes becomes an item, in order, so the first of them are those that it has.
    """
    came = ReceivedSignal.objects.filter(run=step.run_id, name=step.fed_by).order_by("pk")
    rows = came.values_list("key", "values")[step.item_total :]
    return [Frozen(key, values) for key, values in rows]
