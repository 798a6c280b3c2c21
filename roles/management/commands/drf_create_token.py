"""`manage.py drf_create_token`: a new API token of a user, shown this once."""

from django.contrib.auth import get_user_model
from rest_framework.authtoken.management.commands import drf_create_token
from rest_framework.authtoken.models import Token

from monitor.models import ApiToken


class Command(drf_create_token.Command):
    help = "Make an API token for a user, and show it this once; --reset revokes the others."

    def create_user_token(self, username: str, reset_token: bool) -> Token:
        user = get_user_model()._default_manager.get_by_natural_key(username)
        if reset_token:
            ApiToken.objects.filter(user=user).delete()
        return Token(key=ApiToken.objects.issue(user), user=user)
