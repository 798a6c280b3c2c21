"""The workflow: its parameters, its steps and their inputs."""

from typing import Any

from rest_framework import serializers

from examples.csv_profile.dialect import DELIMITERS
from examples.csv_profile.encoding import ENCODINGS
from examples.csv_profile.tasks import profile, report, validate
from parent.definition.workflow import RunData, Step, Workflow

__all__ = ["CsvProfileParams", "csv_profile"]


class CsvProfileParams(serializers.Serializer[Any]):
    """The parameters: the file, and how to read it if that cannot be detected."""

    # An empty file is accepted: the first step reports what is wrong with a file.
    file = serializers.FileField(
        allow_empty_file=True, help_text="A CSV file whose first row names the columns."
    )
    encoding = serializers.ChoiceField(
        choices=["auto", *ENCODINGS],
        default="auto",
        help_text="auto: by the byte order mark, else UTF-8.",
    )
    delimiter = serializers.ChoiceField(
        choices=["auto", *DELIMITERS],
        default="auto",
        help_text="auto: the one that the first rows agree on.",
    )


def profile_inputs(run: RunData) -> dict[str, Any]:
    found = run.results["validate"]
    return {
        "file": run.params["file"],
        "encoding": found["encoding"],
        "delimiter": found["delimiter"],
        "columns": found["layout"]["columns"],
    }


def report_inputs(run: RunData) -> dict[str, Any]:
    return {
        "file": run.params["file"],
        "validation": run.results["validate"],
        "columns": run.results["profile"],
    }


csv_profile = Workflow(
    "csv_profile",
    params=CsvProfileParams,
    title="Profile a CSV file",
    description="Shows what each column holds, and where the file is odd.",
    steps=[
        Step(validate, title="Read the layout"),  # without inputs it gets the run's parameters
        Step(
            profile, title="Profile the columns", weight=12, inputs=profile_inputs
        ),  # it takes about so much longer per row
        Step(report, title="Write the report", weight=0.1, inputs=report_inputs),
    ],
)
