"""Some columns of a model, for the kept SQL of `monitor.runs.snapshot`."""

from collections.abc import Iterable
from functools import cached_property
from typing import Any, Generic, TypeVar

from django.db import connection
from django.db.models import DEFERRED, Model

from parent.store.kept_sql import Converter, converters_of

__all__ = ["Table", "result_sql", "size_sql"]

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
        columns = list(values)
        for place, column, convert in self._converters:
            columns[place] = convert(columns[place], column, connection)
        result, size = self.names.index("result"), self.names.index("result_size")
        if columns[size] is not None and columns[result] is None:
            columns[result] = DEFERRED  # a large one
        return self.model.from_db(connection.alias, self._named, columns)

    @cached_property
    def _converters(self) -> list[Converter]:
        return converters_of(self.fields)


def size_sql(table: str) -> str:
    """The size of the result of a row, also of one that a release before has written."""
    text, length = f"CAST({table}.result AS BLOB)", "length"
    if connection.vendor == "postgresql":
        text, length = f"CAST({table}.result AS text)", "octet_length"
    return f"COALESCE({table}.result_size, {length}({text}))"


def result_sql(table: str, limit: int, condition: str = "TRUE") -> str:
    """The result of a row where it is not large, and the condition holds; else NULL."""
    return f"CASE WHEN {condition} AND {size_sql(table)} <= {limit} THEN {table}.result END"
