"""DRF's own tokens, which it stores readably, become ours."""

from typing import Any

from django.db.models.signals import post_save
from rest_framework.authtoken.models import Token

from monitor.models import ApiToken

__all__ = ["connect"]


def connect() -> None:
    """Replace each token that DRF's own model stores by its digest, at once."""
    post_save.connect(_keep_digest, sender=Token, dispatch_uid="roles.drf_tokens")


def _keep_digest(instance: Token, raw: bool, **_: Any) -> None:
    if not raw:
        ApiToken.objects.issue(instance.user, instance.key)
    Token.objects.filter(key=instance.key).delete()
