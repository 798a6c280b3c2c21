"""The form in which staff edit a schedule, in the admin and on its page."""

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms
from django.utils.translation import gettext_lazy as _

from children.errors import ResultNotJSON
from children.sanitize import GIVEN_DEPTH, check_json
from parent.definition.parameters.json_text import RepeatedKey, read_json
from parent.definition.parameters.secrets import HIDDEN, shown_params
from parent.definition.workflow import registry
from parent.models import CatchUp, Overlap, Schedule
from parent.schedules.validation import FIELDS, errors_of, is_name

__all__ = ["NewScheduleForm", "ScheduleForm"]


CHOICES: dict[str, dict[Any, Any]] = {
    "overlap": {
        Overlap.SKIP: _("skip: leave the new one out"),
        Overlap.QUEUE: _("queue: wait for its end"),
        Overlap.CANCEL_RUNNING: _("cancel_running: cancel it, then start"),
        Overlap.ALLOW: _("allow: start beside it"),
    },
    "catch_up": {
        CatchUp.NONE: _("none"),
        CatchUp.LATEST: _("latest: only the last one"),
        CatchUp.ALL: _("all: those within the window"),
    },
}


class StorableJSON(json.JSONDecoder):
    """Reads JSON that can be stored. Of any other text it raises the one error that Django's field
    expects, which shows the text again as it was written.
    """

    def decode(self, s: str, *_: Any) -> Any:
        try:
            value = read_json(s)
            check_json(value, "it is", GIVEN_DEPTH)
        except (ValueError, RecursionError, ResultNotJSON) as exc:
            raise json.JSONDecodeError(str(exc), s, 0) from exc
        return value


class ParamsField(forms.JSONField):
    """Parameters, as JSON that can be stored. The error says which key is there twice."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "decoder": StorableJSON})

    def to_python(self, value: Any) -> Any:
        try:
            read_json(value)
        except RepeatedKey as exc:
            raise forms.ValidationError(f"{exc}.") from exc
        except (TypeError, ValueError, RecursionError):
            pass  # no text yet, or one that Django's field refuses
        return super().to_python(value)


class ScheduleForm(forms.ModelForm):  # type: ignore[type-arg]
    """The fields that staff may edit. Secrets among the params are hidden, and kept as they are."""

    class Meta:
        model = Schedule
        fields: tuple[str, ...] = FIELDS
        field_classes: ClassVar[dict[str, Any]] = {"params": ParamsField}
        labels: ClassVar[dict[str, Any]] = {
            "cron": _("Cron"),
            "every": _("Every"),
            "timezone": _("Timezone"),
            "jitter": _("Jitter"),
            "params": _("Params"),
            "overlap": _("Overlap"),
            "catch_up": _("Catch up"),
            "window": _("Window"),
        }
        help_texts: ClassVar[dict[str, Any]] = {
            "cron": _("Five fields: minute hour day month weekday. Or seconds, in the next field."),
            "every": _("Seconds between starts."),
            "timezone": _("IANA name, such as Europe/Rome."),
            "jitter": _("Each start is up to so many seconds later than its time."),
            "params": _("The run's parameters, as JSON."),
            "overlap": _("While an earlier run of this schedule has not ended."),
            "catch_up": _("What starts afterwards of the times that no worker watched."),
            "window": _("Seconds; catch-up of all starts none that is older."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, texts in CHOICES.items():
            if name in self.fields:
                field: Any = self.fields[name]
                field.choices = [(value, texts.get(value, said)) for value, said in field.choices]
        if self.instance.pk is not None:
            self.initial["params"] = shown_params(self.instance)
            self._params = self.instance.params
        else:
            self._params = {}

    def clean(self) -> dict[str, Any]:
        """Check that this can be a schedule."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.errors:
            return cleaned
        given = {} if cleaned["params"] is None else cleaned["params"]
        cleaned["params"] = _restored(given, self._params)
        workflow = cleaned.get("workflow", self.instance.workflow)
        for name, problems in errors_of(workflow, cleaned).items():
            for problem in problems:
                self.add_error(name if name in self.fields else None, problem)
        return cleaned

    @property
    def values(self) -> dict[str, Any]:
        """The valid values by field."""
        return {name: self.cleaned_data[name] for name in FIELDS}


class NewScheduleForm(ScheduleForm):
    """A new schedule: of which workflow, and its name."""

    class Meta(ScheduleForm.Meta):
        fields = ("workflow", "name", *FIELDS)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = [(each.name, each.name) for each in registry.workflows()]
        self.fields["workflow"] = forms.ChoiceField(choices=names)

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if not is_name(name):
            raise forms.ValidationError("Give one line of text without '/'.")
        return name


def _restored(given: Any, present: Any) -> Any:
    """The given params, with the present value wherever they have what hides it."""
    if given == HIDDEN:
        return present
    if isinstance(given, Mapping) and isinstance(present, Mapping):
        return {name: _restored(part, present.get(name, part)) for name, part in given.items()}
    if isinstance(given, list) and isinstance(present, list):
        more = [None] * len(given)
        pairs = zip(given, [*present, *more], strict=False)
        return [_restored(part, before) for part, before in pairs]
    return given
