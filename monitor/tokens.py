"""Logging in with an API token: `Authorization: Token ...`."""

from django.contrib.auth.models import User
from rest_framework import authentication
from rest_framework.exceptions import AuthenticationFailed

from monitor.models import ApiToken

__all__ = ["TokenAuthentication"]


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
