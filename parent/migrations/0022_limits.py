"""Limits that steps share: their lines, and the sizes that staff set."""

from django.db import migrations, models
from django.db.models import Q
from django.db.models.functions import Now


class Migration(migrations.Migration):
    dependencies = [
        ("parent", "0021_step_logs"),
    ]

    operations = [
        migrations.AddField(
            "step",
            "limits",
            models.JSONField(null=True, help_text="Names of limits that it shares with others"),
        ),
        migrations.CreateModel(
            "Place",
            [
                ("id", models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    )),
                ("name", models.CharField(max_length=100, help_text="Of the limit")),
                (
                    "task_id",
                    models.CharField(max_length=36, help_text="Celery's id of the attempt"),
                ),
                ("run_id", models.UUIDField()),
                (
                    "step",
                    models.CharField(max_length=310, help_text="The name of the step or the item"),
                ),
                (
                    "since",
                    models.DateTimeField(db_default=Now(), help_text="When it began to wait"),
                ),
                ("taken_at", models.DateTimeField(null=True, help_text="When it got the place")),
            ],
            options={
                "verbose_name": "place of a limit",
                "verbose_name_plural": "places of limits",
                "indexes": [
                    models.Index(
                        fields=["name", "since", "id"],
                        name="place_line",
                        condition=Q(taken_at=None),
                    ),
                    models.Index(
                        fields=["name", "taken_at"],
                        name="place_taken",
                        condition=Q(taken_at__isnull=False),
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=["task_id", "name"], name="place_unique"),
                ],
            },
        ),
        migrations.CreateModel(
            "LimitSize",
            [
                ("id", models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    )),
                (
                    "name",
                    models.CharField(
                        max_length=100, unique=True, help_text="A name in WORKFLOW_LIMITS."
                    ),
                ),
                (
                    "size",
                    models.CharField(
                        max_length=20,
                        help_text="How many are active at a time (2), or a rate "
                        "(100/m, also s h d).",
                    ),
                ),
                ("edited_by", models.CharField(max_length=150, blank=True, default="")),
                ("edited_at", models.DateTimeField(db_default=Now())),
            ],
            options={
                "verbose_name": "size of a limit",
                "verbose_name_plural": "sizes of limits",
            },
        ),
    ]
