"""Runs inside of runs: a workflow as a step."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q

from parent.operations.migrating import TakeTables


class Migration(migrations.Migration):
    dependencies = [
        ("parent", "0018_notifications"),
    ]

    operations = [
        TakeTables("run", "step"),
        migrations.AddField(
            "run",
            "parent_run",
            models.ForeignKey(
                db_index=False,
                help_text="The run in which it is a step",
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="child_runs",
                to="parent.run",
            ),
        ),
        migrations.AddField(
            "run",
            "depth",
            models.PositiveSmallIntegerField(
                db_default=0, default=0, help_text="How many runs it is inside of"
            ),
        ),
        migrations.AddField(
            "step",
            "nested",
            models.BooleanField(
                db_default=False, default=False, help_text="Its task is a workflow, which it runs"
            ),
        ),
        migrations.AddField(
            "step",
            "child_run_id",
            models.UUIDField(help_text="The run of that workflow", null=True),
        ),
        migrations.AddIndex(
            "run",
            models.Index(
                condition=Q(parent_run__isnull=False), fields=["parent_run"], name="run_child"
            ),
        ),
        migrations.AddConstraint(
            "step",
            models.UniqueConstraint(
                condition=Q(child_run_id__isnull=False),
                fields=["child_run_id"],
                name="step_child_run_unique",
            ),
        ),
    ]
