"""Logging in with an API token: `Authorization: Token ...`."""

from typing import Any

from django.contrib.auth.models import User
from django.db.models.signals import post_save
from rest_framework import authentication
from rest_framework.authtoken.models import Token
from rest_framework.exceptions import AuthenticationFailed

from monitor.models import ApiToken

__all__ = ["TokenAuthentication", "connect"]


class TokenAuthentication(authentication.TokenAuthentication):
    """DRF's, with tokens that are stored as digests."""

    model = ApiToken

    def authenticate_credentials(self, key: str) -> tuple[User, ApiToken]:
        """The user of the token that was sent.

        Raises:
            AuthenticationFailed: there is no such token, or its user is not active.
        """
        token = ApiToken.objects.of(key)
        if token is None:
            raise AuthenticationFailed("Invalid token.")
        if not token.user.is_active:
            raise AuthenticationFailed("User inactive or deleted.")
        return token.user, token


def connect() -> None:
    """Replace each token that DRF's own model stores readably by its digest, at once."""
    post_save.connect(_keep_digest, sender=Token, dispatch_uid="monitor.tokens")


def _keep_digest(instance: Token, raw: bool, **_: Any) -> None:
    if not raw:
        ApiToken.objects.issue(instance.user, instance.key)
    Token.objects.filter(key=instance.key).delete()
