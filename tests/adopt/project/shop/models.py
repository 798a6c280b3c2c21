from django.conf import settings
from django.db import models


class Parcel(models.Model):
    """Its names at a user are those that we might have wanted."""

    weight = models.IntegerField()
    label = models.JSONField(default=dict)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="runs"
    )
    packer = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="api_tokens"
    )
