"""When a step runs, whether its failure counts, and whether it was skipped without a failure."""

from django.db import migrations, models

from parent.operations.migrating import TakeTables


class Migration(migrations.Migration):

    dependencies = [
        ("parent", "0011_message_id"),
    ]

    operations = [
        TakeTables("run", "step"),
        migrations.AddField(
            "step",
            "when",
            models.CharField(
                choices=[
                    ("ok", "all of them are OK"),
                    ("failed", "one of them has failed"),
                    ("always", "all of them have ended"),
                ],
                db_default="ok",
                default="ok",
                max_length=6,
            ),
        ),
        migrations.AddField(
            "step",
            "optional",
            models.BooleanField(
                db_default=False, default=False, help_text="Its failure does not fail the run"
            ),
        ),
        migrations.AddField(
            "step",
            "unneeded",
            models.BooleanField(
                db_default=False,
                default=False,
                help_text="SKIPPED, and not because a step failed",
            ),
        ),
    ]
