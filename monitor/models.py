"""API tokens, by which programs log in."""

import hashlib
import secrets
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

if TYPE_CHECKING:
    from django.contrib.auth.models import User

__all__ = ["ApiToken"]


class ApiTokens(models.Manager["ApiToken"]):
    """Makes tokens, and finds them by the text that a program sends."""

    def issue(self, user: "User", token: str | None = None) -> str:
        """A new token of this user, or `token`. Only its digest is stored, so show it now."""
        token = token or secrets.token_hex(20)
        self.get_or_create(digest=ApiToken.digest_of(token), defaults={"user": user})
        return token

    def of(self, token: str) -> "ApiToken | None":
        """The row of a token, with its user."""
        rows = self.select_related("user")
        return rows.filter(digest=ApiToken.digest_of(token)).first()


class ApiToken(models.Model):
    """One token of a user, who may have several. Deleting the row revokes it."""

    digest = models.CharField(max_length=64, primary_key=True, editable=False)
    # No name at the user, which is the project's model and may have such a field.
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = ApiTokens()

    def __str__(self) -> str:
        return f"{self.user}, {self.digest[:8]}"

    @staticmethod
    def digest_of(token: str) -> str:
        """SHA-256, in hex. A token is random, so it needs neither salt nor a slow hash."""
        return hashlib.sha256(token.encode()).hexdigest()
