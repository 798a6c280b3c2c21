"""Some columns of a model, for kept SQL that joins tables."""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any, Generic, TypeVar

from django.db.models import Field, Model
from django.db.models.expressions import Col

from parent.store.large_results import leave_out
from parent.store.prepared import database

__all__ = ["META", "Table", "converters"]

META = ("iteration", "total", "completion", "message", "error", "result", "result_size")
"""The columns of the uniform meta."""

M = TypeVar("M", bound=Model)


class Table(Generic[M]):
    """Some columns of a model: as SQL, and as rows again."""

    def __init__(self, model: type[M], *names: str) -> None:
        # `from_db` takes them in the order of the model's.
        fields: list[Any] = [f for f in model._meta.concrete_fields if f.attname in names]
        self.model, self.fields = model, fields
        self.names = [field.attname for field in fields]
        self._named = frozenset(self.names)  # Django looks each field of the model up there

    def __len__(self) -> int:
        return len(self.names)

    def places(self, *names: str) -> list[int]:
        """Where among the columns these are."""
        return [self.names.index(name) for name in names]

    def sql(self, **instead: str) -> str:
        """The columns; `instead` has other SQL for some."""
        table = self.model._meta.db_table
        return ", ".join(instead.get(name, f'{table}."{name}"') for name in self.names)

    def row(self, values: Iterable[Any]) -> M:
        """The model's instance; what is not among the columns is read when it is asked for."""
        columns, db = list(values), database()
        for place, column, convert in self._converters:
            columns[place] = convert(columns[place], column, db)
        leave_out(self.names, columns)
        return self.model.from_db(db.alias, self._named, columns)

    @cached_property
    def _converters(self) -> list[tuple[int, Any, Callable[..., Any]]]:
        return converters(self.model, self.fields)


def converters(
    model: type[Model], fields: Sequence["Field[Any, Any]"]
) -> list[tuple[int, Col, Callable[..., Any]]]:
    """What makes Python's values of the database's: (place among the fields, column, function)."""
    columns = [field.get_col(model._meta.db_table) for field in fields]
    db = database()
    return [
        (place, column, convert)
        for place, column in enumerate(columns)
        for convert in (
            *db.ops.get_db_converters(column),
            *column.get_db_converters(db),
        )
    ]
