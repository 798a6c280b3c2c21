"""The form of a retry: which step, and what to do with it."""

import json
from collections.abc import Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils.translation import gettext, gettext_lazy
from django.utils.translation import gettext_lazy as _

from monitor.api.request_options import RetryRequest
from monitor.http.problems import NO_FIELD, errors_by_field
from monitor.texts.sentences import in_readers_language
from monitor.texts.status_words import state_word
from parent.decisions.step_like import fails_run
from parent.definition.parameters.json_text import read_json
from parent.definition.parameters.secrets import HIDDEN, masked, secrets_inside
from parent.definition.parameters.size_limits import size_problem
from parent.models import Run, Step, StepState

__all__ = ["AGAIN", "RetryForm"]

AGAIN, SKIP, INPUTS = "again", "skip", "inputs"
LONGEST = 1_000_000  # characters
JSON_AREA = {"class": "code", "spellcheck": "false"}


class RetryForm(forms.Form):
    """One step of a run that has failed or was cancelled, and what to do with it.

    `options` has the keyword arguments of `parent.runs.user_retry.retry.retry`, once the form is
    valid.
    """

    step = forms.ChoiceField(label=_("Step"))
    how = forms.ChoiceField(
        label=_("What to do"),
        widget=forms.RadioSelect,
        choices=[
            (AGAIN, _("Run it again, and all that comes after it")),
            (SKIP, _("Go on past it, with a result that you give")),
            (INPUTS, _("Run it again with other inputs, and all that comes after it")),
        ],
        initial=AGAIN,
    )
    result = forms.CharField(
        label=_("Its result, as JSON"),
        required=False,
        max_length=LONGEST,
        strip=False,
        widget=forms.Textarea(attrs=JSON_AREA | {"rows": 4}),
        help_text=_("What the step would have returned. Empty is null."),
    )
    inputs = forms.CharField(
        label=_("Its inputs, as JSON"),
        required=False,
        max_length=LONGEST,
        strip=False,
        widget=forms.Textarea(attrs=JSON_AREA | {"rows": 8}),
    )

    def __init__(
        self,
        run: Run,
        steps: Sequence[Step],
        statuses: Sequence[dict[str, Any]],
        *,
        chosen: str = "",
        data: QueryDict | None = None,
    ) -> None:
        """The form for one run.

        Args:
            statuses: those of the steps, as the API shows them.
            chosen: the name of the step to fill the form for; else the one that failed the run.
        """
        super().__init__(data, auto_id="retry-%s")
        named = {step.name: step for step in steps}
        step: Any = self.fields["step"]
        step.choices = [
            (row["name"], f"{row['title']} ({gettext(state_word(row))})") for row in statuses
        ]
        first = named.get(chosen) or next(filter(_is_to_retry, steps), steps[0])
        self.initial["step"] = first.name
        first.run = run
        self.initial["inputs"], self.inputs_note = _inputs(first)
        self.options: dict[str, Any] = {}

    def for_step(self) -> "RetryForm":
        """The form as it was sent, with the inputs that the chosen step had."""
        values = {name: self.data.get(name, "") for name in ("step", "how", "result")}
        self.is_bound = False
        self.initial.update({name: value for name, value in values.items() if value})
        return self

    def clean(self) -> dict[str, Any]:
        """Check it by the rules of the API."""
        values: dict[str, Any] = super().clean() or self.cleaned_data
        if self.errors:
            return values
        body: dict[str, Any] = {"step": values["step"]}
        if values["how"] == SKIP:
            text = values["result"].strip()
            body |= {"skip": True, "result": self._read("result", text) if text else None}
        elif values["how"] == INPUTS:
            body["inputs"] = self._read("inputs", values["inputs"])
            if HIDDEN in values.get("inputs", ""):
                hidden = gettext("Write the secret where it says {hidden}.").format(hidden=HIDDEN)
                self.add_error("inputs", hidden)
        if self.errors:
            return values
        options = RetryRequest(data=body)
        if options.is_valid():
            self.options = options.validated_data
        else:
            for name, texts in errors_by_field(options.errors).items():
                self.add_error(
                    None if name == NO_FIELD else name.partition(".")[0],
                    [ValidationError(in_readers_language(text)) for text in texts],
                )
        return values

    def refuse(self, why: str) -> None:
        """Show what the engine says, beside the field that it is about."""
        about = {SKIP: "result", INPUTS: "inputs"}.get(self.cleaned_data["how"], "step")
        self.add_error(about, in_readers_language(why))

    def _read(self, name: str, text: str) -> Any:
        try:
            return read_json(text)
        except RecursionError:
            self.add_error(name, gettext("It is nested too deep."))
        except json.JSONDecodeError as exc:
            message = gettext("This is not JSON: look at line {line}, column {column}.")
            self.add_error(name, message.format(line=exc.lineno, column=exc.colno))
        except ValueError as exc:
            message = gettext("This is not JSON: {why}").format(why=in_readers_language(str(exc)))
            self.add_error(name, message)
        return None


def _is_to_retry(step: Step) -> bool:
    """Whether a plain retry would begin with it."""
    return fails_run(step) or step.state == StepState.CANCELLED


NO_INPUTS = gettext_lazy("It had none yet.")
TOO_LARGE = gettext_lazy("Those that it had are too large for a form.")
HAS_SECRETS = gettext_lazy("Secrets are left out: write them again.")
OF_ITEMS = gettext_lazy("The items of this step have inputs of their own, which stay as they are.")
OF_SIGNAL = gettext_lazy("This step waits for something from outside, and has no inputs.")


def _inputs(step: Step) -> tuple[str, Any]:
    """The inputs that a step had, as JSON, and what to say about them."""
    if step.awaits:
        return "", OF_SIGNAL
    if step.is_mapped:
        return "", OF_ITEMS
    # The step's row was read without them: they may be large.
    had = Step.objects.filter(pk=step.pk).values_list("input_override", "kwargs").first()
    given = next((each for each in had or () if each is not None), None)
    if given is None:
        return "{}", NO_INPUTS
    if size_problem([given]):
        return "{}", TOO_LARGE
    text = json.dumps(given, indent=2, ensure_ascii=False)
    shown = masked(text, secrets_inside(step))
    if shown == text:
        return text, ""
    try:
        json.loads(shown)
    except ValueError:
        return "{}", HAS_SECRETS
    return shown, HAS_SECRETS
