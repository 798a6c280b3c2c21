"""Files in the default storage, and what the workflow's children make of them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

import examples.csv_profile
from examples.csv_profile.tasks import Report, profile, report, validate

Store = Callable[..., str]
TIME_ZONES = Path(examples.csv_profile.__path__[0]) / "data" / "time_zones.csv"


@pytest.fixture
def store() -> Store:
    """Put a file into the storage, as the engine does with an upload; gives its name."""

    def put(content: str | bytes, name: str = "table.csv") -> str:
        content = content.encode() if isinstance(content, str) else content
        return default_storage.save(f"runs/1/{name}", ContentFile(content))

    return put


def profiled(file: str, **how: str) -> Report:
    """The result of the three children, called one after another."""
    found = validate(file=file, **how)
    columns = profile(
        file=file,
        encoding=found["encoding"],
        delimiter=found["delimiter"],
        columns=found["layout"]["columns"],
    )
    made: Report = report(file=file, validation=found, columns=columns)
    return made
