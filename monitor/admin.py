"""The admin's page of API tokens."""

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest
from rest_framework.authtoken import admin as drf_admin  # noqa: F401 - so that its page is registered
from rest_framework.authtoken.models import TokenProxy

from monitor.models import ApiToken

__all__ = ["ApiTokenAdmin"]

admin.site.unregister(TokenProxy)  # it shows readable tokens, and the admin's log stores them


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Lists the tokens by user. A new token is shown once; deleting one revokes it."""

    list_display = ["__str__", "user", "created_at"]
    list_select_related = ["user"]
    fields = ["user"]
    autocomplete_fields = ["user"]
    search_fields = ["user__username"]
    ordering = ["-created_at"]

    def has_change_permission(self, *_: Any) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: ApiToken, *_: Any) -> None:
        token = ApiToken.objects.issue(obj.user)
        obj.digest = ApiToken.digest_of(token)
        message = f"The token of {obj.user} is {token} - copy it now, it is not shown again."
        messages.success(request, message)
