"""The form of a rule, in the admin and on the page."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from parent.definition.notify import OCCASIONS
from parent.definition.workflow import registry
from parent.models import NotificationKind, NotificationRule
from parent.notifications.rule_problems import owner_problems, recipient_problems, url_problems
from parent.notifications.signing import new_secret

__all__ = ["RuleForm"]

KINDS = [
    (NotificationKind.EMAIL.value, _("e-mail")),
    (NotificationKind.WEBHOOK.value, _("webhook")),
]
WHEN = {
    "started": _("started"),
    "succeeded": _("succeeded"),
    "failed": _("failed"),
    "recovered": _("recovered"),
    "cancelled": _("cancelled"),
    "approval_requested": _("approval requested"),
    "schedule_missed": _("schedule missed"),
}


class RuleForm(forms.ModelForm):  # type: ignore[type-arg]
    """A new webhook gets a secret, which `shown_secret` has after `save`: show it once."""

    workflow = forms.ChoiceField(label=_("Workflow"), required=False)
    kind = forms.ChoiceField(label=_("Kind"), choices=KINDS)
    on = forms.MultipleChoiceField(
        label=_("On"),
        choices=[(each, WHEN[each]) for each in OCCASIONS],
        widget=forms.CheckboxSelectMultiple,
    )
    to = forms.CharField(
        label=_("To"),
        required=False,
        max_length=2_000,
        help_text=_("Of an e-mail: admins, owner, or addresses, separated by commas."),
    )
    url = forms.CharField(
        label=_("URL"), required=False, max_length=2_000, help_text=_("Of a webhook, with https.")
    )

    enabled = forms.BooleanField(label=_("Enabled"), required=False, initial=True)

    class Meta:
        model = NotificationRule
        fields = ["workflow", "kind", "on", "to", "url", "enabled"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.shown_secret = ""
        self.initial["to"] = ", ".join(self.instance.to)
        titles = {each.name: each.shown_title for each in registry.workflows()}
        # A rule may be about a workflow that this process does not have.
        if self.instance.workflow:
            titles.setdefault(self.instance.workflow, self.instance.workflow)
        field: Any = self.fields["workflow"]
        field.choices = [("", _("All workflows")), *titles.items()]

    def clean_to(self) -> list[str]:
        return [each.strip() for each in self.cleaned_data["to"].split(",") if each.strip()]

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or self.cleaned_data
        if values.get("kind") == NotificationKind.WEBHOOK:
            values["to"] = []
            found = [("url", *each) for each in url_problems(values.get("url", ""))]
        else:
            values["url"] = ""
            to, on = values.get("to", []), values.get("on", [])
            problems = (*recipient_problems(to), *owner_problems(on, to))
            found = [("to", *each) for each in problems]
        for name, problem, hint in found:
            self.add_error(name, ValidationError(f"{problem[0].upper()}{problem[1:]}. {hint}"))
        return values

    def save(self, commit: bool = True) -> Any:
        if self.instance.kind == NotificationKind.WEBHOOK and not self.instance.secret:
            self.shown_secret = self.instance.secret = new_secret()
        return super().save(commit)
