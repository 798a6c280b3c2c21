"""When a tick last copied a step's report, and an index to find the steps that report."""

from django.db import migrations, models
from django.db.models import Q

from parent.operations.migrating import TakeTables


class Migration(migrations.Migration):

    dependencies = [
        ("parent", "0009_plain_names"),
    ]

    operations = [
        TakeTables("run", "step"),
        migrations.AddField(
            "step",
            "mirrored_at",
            models.DateTimeField(
                help_text="The `reported_at` that a tick last copied to the run", null=True
            ),
        ),
        migrations.AddIndex(
            "step",
            models.Index(
                condition=Q(("reported_at__isnull", False)),
                fields=["reported_at"],
                name="step_reported",
            ),
        ),
    ]
