"""Actions of the admin's lists, with keys of rows that cannot be any."""

from collections.abc import Iterator

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client, RequestFactory
from django.urls import reverse

from parent.models import Schedule

NO_KEYS = ["", "x", "a\x00b", "-1", "1.5", "9" * 30, "9" * 5_000, "٣x", "None", "[]"]


def actions() -> Iterator[tuple[str, str]]:
    """The page and the name of each action of our lists, as a superuser has them."""
    request = RequestFactory().get("/")
    request.user = User(is_active=True, is_superuser=True)
    for model, page in admin.site._registry.items():
        if model._meta.app_label in ("parent", "monitor"):
            name = f"{model._meta.app_label}_{model._meta.model_name}_changelist"
            yield from ((name, action) for action in page.get_actions(request))


@pytest.mark.parametrize(("page", "action"), [*actions()])
@pytest.mark.parametrize("key", NO_KEYS)
def test_what_is_no_key_is_no_row(admin_client: Client, page: str, action: str, key: str) -> None:
    given = {"action": action, "index": "0", "_selected_action": [key]}

    assert admin_client.post(reverse(f"admin:{page}"), given).status_code < 400


def test_the_rows_beside_it_are_taken(admin_client: Client) -> None:
    row = Schedule.objects.create(workflow="noops", name="n", cron="0 0 * * *")
    url = reverse("admin:parent_schedule_changelist")
    given = {"action": "pause", "index": "0", "_selected_action": ["x", str(row.pk), "9" * 30]}

    admin_client.post(url, given)

    row.refresh_from_db()
    assert row.paused_at is not None
