"""The message in which a step's attempt runs, if it is not the attempt's own."""

from django.db import migrations, models

from parent.operations.migrating import TakeTables


class Migration(migrations.Migration):

    dependencies = [
        ("parent", "0010_mirrored_at"),
    ]

    operations = [
        TakeTables("step"),
        migrations.AddField(
            "step",
            "message_id",
            models.CharField(
                help_text="Celery's id of the message it runs in, if not its own",
                max_length=36,
                null=True,
            ),
        ),
    ]
