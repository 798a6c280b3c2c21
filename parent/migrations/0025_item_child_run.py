"""Items that are runs: a Map over a workflow."""

from django.db import migrations, models
from django.db.models import Q

from parent.operations.migrating import TakeTables


class Migration(migrations.Migration):
    dependencies = [
        ("parent", "0024_periodic_task"),
    ]

    operations = [
        TakeTables("item"),
        migrations.AddField(
            "item",
            "child_run_id",
            models.UUIDField(help_text="Its run, if its step runs a workflow", null=True),
        ),
        migrations.AddConstraint(
            "item",
            models.UniqueConstraint(
                condition=Q(child_run_id__isnull=False),
                fields=["child_run_id"],
                name="item_child_run_unique",
            ),
        ),
    ]
