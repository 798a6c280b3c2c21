"""Notifications about a time of a schedule, which are about no run."""

import django.db.models.deletion
from django.db import migrations, models

from parent.operations.migrating import TakeTables


class Migration(migrations.Migration):
    dependencies = [
        ("parent", "0025_item_child_run"),
    ]

    operations = [
        TakeTables("run", "delivery"),
        migrations.AddField(
            "delivery",
            "firing",
            models.ForeignKey(
                "parent.firing",
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="deliveries",
                db_constraint=False,
                help_text="The time of a schedule that it is about, instead of a run",
            ),
        ),
        migrations.AlterField(
            "delivery",
            "run",
            models.ForeignKey(
                "parent.run",
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="deliveries",
            ),
        ),
    ]
