"""API tokens are stored as digests.

In the service those of DRF's own table go on to work, and leave it. The admin's log, where there is
one, shows the tokens that were made there: their names go as well. In another project that table is
not ours.
"""

import hashlib
from contextlib import suppress

import django.db.models.deletion
from django.apps import apps as installed
from django.conf import settings
from django.db import migrations, models
from django.db.models.functions import Now


def hash_tokens(apps, schema_editor):
    Token = apps.get_model("authtoken", "Token")
    ApiToken = apps.get_model("monitor", "ApiToken")
    if schema_editor.connection.vendor == "sqlite":
        # Else the file would keep what is deleted here until the space is used again.
        schema_editor.execute("PRAGMA secure_delete = ON")
    ApiToken.objects.bulk_create(
        ApiToken(
            digest=hashlib.sha256(token.key.encode()).hexdigest(),
            user_id=token.user_id,
            created_at=token.created,
        )
        for token in Token.objects.all()
    )
    Token.objects.all().delete()
    # The admin is not a dependency: a service may do without, and have it later. A log that has tokens
    # has had its migrations before, and is known here.
    with suppress(LookupError):
        LogEntry = apps.get_model("admin", "LogEntry")
        LogEntry.objects.filter(content_type__app_label="authtoken").update(object_repr="a token")


OF_THE_SERVICE = (
    [("authtoken", "0004_alter_tokenproxy_options")] if installed.is_installed("roles") else []
)


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        *OF_THE_SERVICE,
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="ApiToken",
            fields=[
                (
                    "digest",
                    models.CharField(
                        editable=False, max_length=64, primary_key=True, serialize=False
                    ),
                ),
                ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        # Digests cannot be turned back: who goes back makes new tokens.
        *([migrations.RunPython(hash_tokens, migrations.RunPython.noop)] if OF_THE_SERVICE else []),
    ]
