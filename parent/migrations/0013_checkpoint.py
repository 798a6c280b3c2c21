"""What an attempt of a step has left to the next one."""

from django.db import migrations, models

from parent.operations.migrating import TakeTables


class Migration(migrations.Migration):

    dependencies = [
        ("parent", "0012_step_endings"),
    ]

    operations = [
        TakeTables("run", "step"),
        migrations.AddField(
            "step",
            "checkpoint",
            models.JSONField(help_text="What the body has left to the next attempt", null=True),
        ),
    ]
