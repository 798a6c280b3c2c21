"""The uniform meta as columns."""

import json
from typing import Any

from django.db import models

from children.meta import Meta as UniformMeta
from children.meta import Status

__all__ = ["META_COLUMNS", "MetaFields", "ResultField"]

META_COLUMNS = (
    "iteration", "total", "completion", "message", "error", "result", "result_size",
)  # fmt: skip
"""The columns of the uniform meta; its status follows from the row's state."""


class Utf8Encoder(json.JSONEncoder):
    """JSON without `\\u` escapes, as PostgreSQL stores it and as result sizes are counted."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "ensure_ascii": False})


class ResultField(models.JSONField):
    """JSON of any size. A large result is not read with its row; see `store.large_results`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "encoder": Utf8Encoder})

    def deconstruct(self) -> Any:
        # Migrations see a JSONField: the encoder changes nothing in the database.
        name, _, args, kwargs = super().deconstruct()
        del kwargs["encoder"]
        return name, "django.db.models.JSONField", args, kwargs


class MetaFields(models.Model):
    """The uniform meta as columns; its `status` follows from the row's state."""

    iteration = models.BigIntegerField(default=0)
    total = models.BigIntegerField(null=True)
    completion = models.FloatField(default=0.0, help_text="0 to 100")
    message = models.TextField(blank=True, default="")
    error = models.TextField(null=True)  # noqa: DJ001 - null is "no error" in the contract
    result = ResultField(null=True)
    result_size = models.BigIntegerField(
        null=True, help_text="Bytes of its JSON; null without one, or where nobody has counted"
    )

    class Meta:
        abstract = True

    @property
    def status(self) -> Status:
        """The uniform status."""
        raise NotImplementedError

    @property
    def result_if_read(self) -> Any:
        """The result if it was read with the row, else None."""
        return self.__dict__.get("result")

    @property
    def meta(self) -> UniformMeta:
        """The uniform meta; without the result if that was not read with the row."""
        return UniformMeta(
            iteration=self.iteration,
            total=self.total,
            completion=self.completion,
            status=self.status,
            message=self.message,
            error=self.error,
            result=self.result_if_read,
            result_size=self.result_size,
        )

    def set_meta(self, meta: UniformMeta) -> None:
        """Copy `meta` into the columns. Its status is left out: it follows from the state."""
        self.iteration = meta.iteration
        self.total = meta.total
        self.completion = meta.completion
        self.message = meta.message
        self.error = meta.error
        self.result, self.result_size = meta.result, meta.result_size
