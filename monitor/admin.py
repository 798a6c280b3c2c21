"""The admin's page of API tokens."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.http import HttpRequest

from monitor.models import ApiToken

__all__ = ["ApiTokenAdmin"]


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Lists the tokens by user. A new token is shown once; deleting one revokes it."""

    list_display = ["__str__", "user", "created_at"]
    list_select_related = ["user"]
    fields = ["user"]
    raw_id_fields = ["user"]  # a list of all would be long, and not each project can search it
    search_fields = [f"user__{get_user_model().USERNAME_FIELD}"]
    ordering = ["-created_at"]

    def has_change_permission(self, *_: Any) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: ApiToken, *_: Any) -> None:
        token = ApiToken.objects.issue(obj.user)
        obj.digest = ApiToken.digest_of(token)
        message = f"The token of {obj.user} is {token} - copy it now, it is not shown again."
        messages.success(request, message)
