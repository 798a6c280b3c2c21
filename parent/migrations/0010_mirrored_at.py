"""What a tick last copied of a step's reports, and an index of the steps that it must copy."""

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
        migrations.AddField(
            "step",
            "unmirrored_since",
            models.DateTimeField(
                help_text="The first report that no tick has copied yet", null=True
            ),
        ),
        migrations.AddIndex(
            "step",
            models.Index(
                condition=Q(("unmirrored_since__isnull", False)),
                fields=["unmirrored_since"],
                name="step_unmirrored",
            ),
        ),
    ]
