"""Reads what programs send beside a workflow's parameters: filters, retry options, a key."""

import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request

from children.errors import ResultNotJSON
from children.sanitize import GIVEN_DEPTH, check_json
from monitor.runs.items import ITEM_STATES, state_named
from parent.definition.parameters.params import IGNORED
from parent.definition.parameters.size_limits import shorten_errors
from parent.logs.read import LEVELS
from parent.models import Item, Run, RunState

__all__ = [
    "INSTEAD",
    "LANG",
    "ByIndex",
    "ItemQuery",
    "LogQuery",
    "NewestFirst",
    "RetryRequest",
    "RunQuery",
    "idempotency_key",
]

MOST_IDS, PAGE_SIZE = 100, 50
LARGEST_INDEX = 2**31 - 1
IDEMPOTENCY_KEY = "Idempotency-Key"
INSTEAD = "Workflow-Start"
"""The header of an answer to a start that wrote nothing: `skipped` or `existing`."""
LANG = (
    "`de` or `fr`: the answer has `texts` too, translations of what it says to people in English. "
    "All else stays as it is."
)
"""The parameter `lang` of `monitor.texts.row_texts`."""
LONGEST_KEY = 255
LONGEST_ITEM_KEY = 200
KEY = re.compile(rf"[\x21-\x7e]{{1,{LONGEST_KEY}}}")


def idempotency_key(request: Request) -> str | None:
    """The idempotency key of a start; None without one.

    Raises:
        ValidationError: it is too long, empty, or has characters that a key may not have.
    """
    key = request.headers.get(IDEMPOTENCY_KEY)
    if key is not None and not KEY.fullmatch(key):
        message = (
            f"Send 1 to {LONGEST_KEY} visible ASCII characters without spaces, such as a UUID."
        )
        raise serializers.ValidationError({IDEMPOTENCY_KEY: [message]})
    return key


class Query(serializers.Serializer[Any]):
    """The parameters of a URL."""

    @classmethod
    def of(cls, request: Request) -> Self:
        """The query of a request.

        Raises:
            ValidationError: a parameter is unknown, given twice, or wrong; by its name.
        """
        query = cls(data=request.query_params.dict())
        known = ", ".join(query.fields)
        errors = {
            name: [f"There is no such parameter; there are {known}."]
            for name in request.query_params
            if name not in query.fields
        } | {
            name: ["Give it once."]
            for name, values in request.query_params.lists()
            if name in query.fields and len(values) > 1
        }
        if errors:
            raise serializers.ValidationError(shorten_errors(errors))
        query.is_valid(raise_exception=True)
        return query


class ItemQuery(Query):
    """The filter of the list of a step's items."""

    state = serializers.ChoiceField(
        choices=ITEM_STATES, required=False, help_text="Items in this state."
    )
    cursor = serializers.CharField(
        required=False, help_text="The page, as `next` and `previous` have it."
    )

    def narrow(self, items: QuerySet[Item]) -> QuerySet[Item]:
        """Those of `items` that match the filter."""
        word = self.validated_data.get("state")
        return items if word is None else items.filter(state=state_named(word))


class LogQuery(Query):
    """Where to read on in a log, and which lines."""

    after = serializers.IntegerField(
        required=False, min_value=0, max_value=2**63 - 1, help_text="`next` of the last answer."
    )
    step = serializers.CharField(required=False, help_text="Lines of this step.")
    item = serializers.CharField(required=False, help_text="Lines of the item with this key.")
    attempt = serializers.IntegerField(
        required=False, min_value=1, max_value=LARGEST_INDEX, help_text="Lines of this attempt."
    )
    level = serializers.ChoiceField(
        choices=LEVELS, required=False, help_text="Lines of this level and above."
    )

    def narrow(self) -> dict[str, Any]:
        """The arguments of `read_log`."""
        given = dict(self.validated_data)
        if (name := given.pop("level", None)) is not None:
            given["level"] = logging.getLevelNamesMapping()[name]
        return given


class RunQuery(Query):
    """The filters of the list of runs, or the ids of a poll."""

    state = serializers.ChoiceField(
        choices=RunState.values, required=False, help_text="Runs in this state."
    )
    workflow = serializers.CharField(required=False, help_text="Runs of this workflow.")
    ids = serializers.CharField(
        required=False, help_text=f"Up to {MOST_IDS} ids of runs or children, with commas between."
    )
    child_runs = serializers.BooleanField(
        required=False, help_text="`true` lists child runs too, which are steps of other runs."
    )
    cursor = serializers.CharField(
        required=False, help_text="The page, as `next` and `previous` have it."
    )
    lang = serializers.CharField(required=False, help_text=LANG)

    def validate_ids(self, text: str) -> list[UUID]:
        """The ids in a list separated by commas."""
        parts = text.split(",")
        if len(parts) > MOST_IDS:
            raise serializers.ValidationError(f"Ask for at most {MOST_IDS} ids at once.")
        try:
            return list(dict.fromkeys(UUID(part.strip()) for part in parts))
        except ValueError:
            raise serializers.ValidationError("Give ids (UUIDs) with commas between.") from None

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Check which fields may be combined."""
        beside = attrs.keys() - {"ids", "lang"} if "ids" in attrs else ()
        if beside:
            raise serializers.ValidationError(
                {name: ["Not beside ids, which name the tasks."] for name in beside}
            )
        return attrs

    @property
    def ids_to_poll(self) -> list[UUID] | None:
        """The requested ids; None for a list of runs."""
        ids: list[UUID] | None = self.validated_data.get("ids")
        return ids

    def narrow(self, runs: QuerySet[Run]) -> QuerySet[Run]:
        """Those of `runs` that match the filters."""
        if not self.validated_data.get("child_runs"):
            runs = runs.filter(parent_run=None)
        wanted = {name: self.validated_data.get(name) for name in ("state", "workflow")}
        return runs.filter(**{name: value for name, value in wanted.items() if value is not None})


class NewestFirst(CursorPagination):
    """Pages that stay correct while new runs are started."""

    page_size = PAGE_SIZE
    ordering = ("-created_at", "-id")

    def decode_cursor(self, request: Request) -> Any:
        """The cursor of the request, if any.

        Raises:
            ValidationError: it is not one of ours.
        """
        try:
            cursor: Any = super().decode_cursor(request)
            position = None if cursor is None else cursor.position
            if position is not None:
                moment = datetime.fromisoformat(position)
                if moment.tzinfo is None:
                    raise NotFound
                # PostgreSQL does not know all the zones that Python knows.
                cursor = cursor._replace(position=str(moment.astimezone(UTC)))
        except (NotFound, ValueError, OverflowError):
            message = "Take it from `next` or `previous` of another page."
            raise serializers.ValidationError({"cursor": [message]}) from None
        return cursor


class ByIndex(CursorPagination):
    """Pages of items in their order. Each costs the same, wherever it is."""

    page_size = PAGE_SIZE
    ordering = ("index",)

    def decode_cursor(self, request: Request) -> Any:
        """The cursor of the request, if any.

        Raises:
            ValidationError: it is not one of ours.
        """
        try:
            cursor: Any = super().decode_cursor(request)
            if (
                cursor is not None
                and cursor.position is not None
                and not 0 <= int(cursor.position) <= LARGEST_INDEX
            ):
                raise NotFound
        except (NotFound, ValueError):
            message = "Take it from `next` or `previous` of another page."
            raise serializers.ValidationError({"cursor": [message]}) from None
        return cursor


@extend_schema_field({"type": "object", "additionalProperties": {}})
class Inputs(serializers.JSONField):
    """The keyword arguments of a child."""


class RetryRequest(serializers.Serializer[Run]):
    """The options of a retry, all of them optional. See `parent.runs.user_retry.retry.retry`."""

    step = serializers.CharField(
        required=False, help_text="From which step on; without it, from those that failed."
    )
    item = serializers.CharField(
        required=False,
        max_length=LONGEST_ITEM_KEY,
        trim_whitespace=False,
        help_text="The key of an item of that mapped step: it alone runs again.",
    )
    inputs = Inputs(required=False, help_text="Of that step, in place of those that it had.")
    skip = serializers.BooleanField(
        required=False, help_text="Take that step as done, without running it."
    )
    result = serializers.JSONField(
        required=False, allow_null=True, help_text="Of a step that is skipped; any JSON."
    )

    def validate_inputs(self, inputs: Any) -> dict[str, Any]:
        """The keyword arguments of a child."""
        if not isinstance(inputs, Mapping):
            raise serializers.ValidationError("Send an object with the step's inputs as fields.")
        return dict(self.validate_result(inputs))

    def validate_result(self, result: Any) -> Any:
        """Check that every database can store it."""
        try:
            check_json(result, "It is", GIVEN_DEPTH)
        except ResultNotJSON as exc:
            raise serializers.ValidationError(f"{exc}.") from exc
        return result

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Check which fields may be combined."""
        unknown = sorted(set(self.initial_data) - set(self.fields) - IGNORED)
        if unknown:
            known = ", ".join(self.fields)
            message = f"A retry has no such field; it takes {known}."
            raise serializers.ValidationError(shorten_errors({name: [message] for name in unknown}))
        if "item" in attrs:
            self._check_item(attrs)
        if attrs.get("skip") and "inputs" in attrs:
            raise serializers.ValidationError({"inputs": ["A step that is skipped takes none."]})
        if "result" in attrs and not attrs.get("skip"):
            message = "Only a step that is skipped is given its result: send skip as true."
            raise serializers.ValidationError({"result": [message]})
        return attrs

    @staticmethod
    def _check_item(attrs: dict[str, Any]) -> None:
        if "step" not in attrs:
            raise serializers.ValidationError({"step": ["Say which step the item belongs to."]})
        if "inputs" in attrs:
            message = "An item keeps the inputs that it had: leave them out."
            raise serializers.ValidationError({"inputs": [message]})
        if attrs.get("skip"):
            raise serializers.ValidationError({"skip": ["One item cannot be skipped."]})
