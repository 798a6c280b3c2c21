"""Which messages a worker has received but not begun; and what follows a run on Celery's canvas."""

from django.db import migrations, models

from parent.operations.migrating import TakeTables


class Migration(migrations.Migration):

    dependencies = [
        ("parent", "0015_concurrency"),
    ]

    operations = [
        TakeTables("run", "step", "item", "executor"),
        migrations.AddField(
            "step",
            "received_by",
            models.UUIDField(
                help_text="The executor that has received the message of this QUEUED step",
                null=True,
            ),
        ),
        migrations.AddField(
            "item",
            "received_by",
            models.UUIDField(
                help_text="The executor that has received the message of this QUEUED item",
                null=True,
            ),
        ),
        migrations.AddField(
            "executor",
            "received_until",
            models.DateTimeField(
                help_text="Until when its steps show which messages it has received", null=True
            ),
        ),
        migrations.AddField(
            "run",
            "follow_up",
            models.TextField(help_text="What Celery sends after its end, as JSON", null=True),
        ),
    ]
