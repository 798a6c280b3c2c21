"""What programs send beside a workflow's parameters: filters, a retry's wishes, a key."""

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.request import Request

from parent.models import Run, RunState
from parent.start import IGNORED

__all__ = ["RetryRequest", "RunQuery", "idempotency_key"]

MOST_IDS = 50
IDEMPOTENCY_KEY = "Idempotency-Key"
LONGEST_KEY = 255
KEY = re.compile(rf"[\x21-\x7e]{{1,{LONGEST_KEY}}}")


def idempotency_key(request: Request) -> str | None:
    """The key that a start carries; None without one.

    Raises:
        ValidationError: it is too long, empty, or has characters that a key may not have.
    """
    key = request.headers.get(IDEMPOTENCY_KEY)
    if key is not None and not KEY.fullmatch(key):
        told = f"Send 1 to {LONGEST_KEY} visible ASCII characters without spaces, such as a UUID."
        raise serializers.ValidationError({IDEMPOTENCY_KEY: [told]})
    return key


class RunQuery(serializers.Serializer[Run]):
    """What narrows the list of runs."""

    state = serializers.ChoiceField(
        choices=RunState.choices, required=False, help_text="Runs in this state."
    )
    workflow = serializers.CharField(required=False, help_text="Runs of this workflow.")
    ids = serializers.CharField(
        required=False,
        help_text=f"At most {MOST_IDS} ids of runs or children, with commas between.",
    )
    cursor = serializers.CharField(required=False, help_text="From `next` or `previous`.")

    def validate_ids(self, text: str) -> list[UUID]:
        """The ids between the commas."""
        parts = text.split(",")
        if len(parts) > MOST_IDS:
            raise serializers.ValidationError(f"Ask for at most {MOST_IDS} ids at once.")
        try:
            return [UUID(part.strip()) for part in parts]
        except ValueError:
            raise serializers.ValidationError("Give run ids (UUIDs) with commas between.") from None

    def narrow(self, runs: QuerySet[Run]) -> QuerySet[Run]:
        """Those of `runs` that were asked for."""
        wanted: dict[str, Any] = dict(self.validated_data)
        wanted.pop("cursor", None)
        if "ids" in wanted:
            wanted["pk__in"] = wanted.pop("ids")
        return runs.filter(**wanted)


class RetryRequest(serializers.Serializer[Run]):
    """How a run is tried again; all of it may be left out. See `parent.retry.retry`."""

    step = serializers.CharField(required=False)
    inputs = serializers.JSONField(required=False)
    skip = serializers.BooleanField(required=False)
    result = serializers.JSONField(required=False, allow_null=True)

    def validate_inputs(self, inputs: Any) -> dict[str, Any]:
        """The keyword arguments of a child."""
        if not isinstance(inputs, Mapping):
            raise serializers.ValidationError("Send an object with the step's inputs as fields.")
        return dict(inputs)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """What goes together."""
        unknown = sorted(set(self.initial_data) - set(self.fields) - IGNORED)
        if unknown:
            known = ", ".join(self.fields)
            told = f"A retry has no such field; it takes {known}."
            raise serializers.ValidationError({name: [told] for name in unknown})
        if attrs.get("skip") and "inputs" in attrs:
            raise serializers.ValidationError({"inputs": ["A step that is skipped takes none."]})
        if "result" in attrs and not attrs.get("skip"):
            told = "Only a step that is skipped is given its result: send skip as true."
            raise serializers.ValidationError({"result": [told]})
        return attrs
