"""The workflow: a table of samples is validated and submitted in batches."""

from typing import Any

from rest_framework import serializers

from examples.submission.samples import ERROR
from examples.submission.tasks import Busy, merge, split, submit, validate
from parent import Map, RunData, Step, Workflow

__all__ = ["SubmissionParams", "submission"]


class SubmissionParams(serializers.Serializer[Any]):
    """The table."""

    table = serializers.FileField(
        help_text="A CSV file with the columns sample, organism, collected and volume_ml."
    )


def _batches(run: RunData, found: Any) -> list[dict[str, Any]]:
    return [{"table": run.params["table"], **batch} for batch in found]


def merge_inputs(run: RunData) -> dict[str, Any]:
    invalid, sent = run.results["validate"].failed(), list(run.results["submit"])
    return {
        "batches": [
            *({"batch": item.key, "state": ERROR, "error": item.error} for item in invalid),
            *(
                {"batch": item.key, "state": item.result if item.ok else ERROR, "error": item.error}
                for item in sent
            ),
        ]
    }


submission = Workflow(
    "submission",
    params=SubmissionParams,
    title="Submit samples",
    description="Validates a table of samples in batches of 100 rows, and submits the valid ones.",
    steps=[
        Step(split, title="Split the table"),
        Map(
            validate,
            title="Validate",
            over=lambda run: _batches(run, run.results["split"]),
            key="batch",
            chunk=10,
            tolerate="100%",  # the others go on
            weight=2,
        ),
        Map(
            submit,
            title="Submit",
            over=lambda run: _batches(run, run.results["validate"].ok()),
            key="batch",
            max_active=4,  # requests at a time
            retries=4,
            retry_delay=1,
            backoff=2,
            retry_on=(Busy,),
            tolerate="100%",
            weight=6,
        ),
        Step(merge, title="Merge the states", inputs=merge_inputs, weight=0.1),
    ],
)
