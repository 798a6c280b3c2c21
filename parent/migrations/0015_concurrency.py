"""Which runs of a workflow with a limit go on, and which wait for their turn."""

from django.db import migrations, models
from django.db.models import Q

from parent.operations.migrating import TakeTables


class Migration(migrations.Migration):

    dependencies = [
        ("parent", "0014_items"),
    ]

    operations = [
        TakeTables("run"),
        migrations.AddField(
            "run",
            "place_key",
            models.CharField(
                help_text="Runs of the workflow with this key share a limit",
                max_length=200,
                null=True,
            ),
        ),
        migrations.AddField(
            "run",
            "has_place",
            models.BooleanField(
                db_default=False,
                default=False,
                help_text="Whether it may go on: it is one of those that the limit allows",
            ),
        ),
        migrations.AddIndex(
            "run",
            models.Index(
                condition=Q(("finished_at__isnull", True), ("place_key__isnull", False)),
                fields=["workflow", "place_key", "has_place", "created_at"],
                name="run_place",
            ),
        ),
    ]
