"""Items of mapped steps."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q

from parent.operations.migrating import TakeTables

STATES = [
    ("WAITING", "Waiting"),
    ("QUEUED", "Queued"),
    ("RUNNING", "Running"),
    ("OK", "Ok"),
    ("ERROR", "Error"),
    ("SKIPPED", "Skipped"),
    ("CANCELLED", "Cancelled"),
]
ACTIVE = ["QUEUED", "RUNNING"]


class Migration(migrations.Migration):
    dependencies = [
        ("parent", "0013_checkpoint"),
    ]

    operations = [
        TakeTables("step", "attempt", "executor"),
        migrations.AddField(
            "step",
            "chunk",
            models.PositiveIntegerField(
                help_text="Items in one message; null for a step that is not mapped", null=True
            ),
        ),
        migrations.AddField(
            "step",
            "max_active",
            models.PositiveIntegerField(help_text="Messages of items at a time", null=True),
        ),
        migrations.AddField(
            "step",
            "tolerate",
            models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="How many items may fail",
                max_length=20,
            ),
        ),
        migrations.AddField(
            "step",
            "items",
            models.JSONField(help_text="How many items are in which state", null=True),
        ),
        migrations.CreateModel(
            "Item",
            [
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("iteration", models.BigIntegerField(default=0)),
                ("total", models.BigIntegerField(null=True)),
                ("completion", models.FloatField(default=0.0, help_text="0 to 100")),
                ("message", models.TextField(blank=True, default="")),
                ("error", models.TextField(null=True)),
                ("result", models.JSONField(null=True)),
                (
                    "result_size",
                    models.BigIntegerField(
                        help_text="Bytes of its JSON; null without one, or where nobody has counted",
                        null=True,
                    ),
                ),
                (
                    "step",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="rows",
                        to="parent.step",
                    ),
                ),
                ("index", models.PositiveIntegerField()),
                ("key", models.CharField(help_text="Its own name, or its index", max_length=200)),
                ("kwargs", models.JSONField(default=dict, help_text="The child's inputs")),
                ("state", models.CharField(choices=STATES, default="WAITING", max_length=9)),
                ("attempt", models.PositiveIntegerField(default=0)),
                (
                    "retries_used",
                    models.PositiveIntegerField(default=0, help_text="Of its step's `retries`"),
                ),
                (
                    "task_id",
                    models.CharField(
                        help_text="Celery's id of this attempt; it fences it",
                        max_length=36,
                        null=True,
                    ),
                ),
                (
                    "message_id",
                    models.CharField(
                        help_text="Celery's id of the message that carries its chunk",
                        max_length=36,
                        null=True,
                    ),
                ),
                (
                    "claim",
                    models.UUIDField(
                        help_text="Of the process that claimed this attempt", null=True
                    ),
                ),
                (
                    "checkpoint",
                    models.JSONField(
                        help_text="What the body has left to the next attempt", null=True
                    ),
                ),
                (
                    "executor",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="items",
                        to="parent.executor",
                    ),
                ),
                ("publish_count", models.PositiveIntegerField(default=0)),
                (
                    "due_at",
                    models.DateTimeField(help_text="When a tick must look at it next", null=True),
                ),
                ("queued_at", models.DateTimeField(null=True)),
                ("started_at", models.DateTimeField(null=True)),
                ("reported_at", models.DateTimeField(null=True)),
                (
                    "unmirrored_since",
                    models.DateTimeField(
                        help_text="The first report that no tick has added up yet", null=True
                    ),
                ),
                ("finished_at", models.DateTimeField(null=True)),
                ("traceback", models.TextField(blank=True, default="")),
            ],
            options={
                "ordering": ["index"],
                "indexes": [
                    models.Index(
                        condition=Q(due_at__isnull=False), fields=["due_at"], name="item_due"
                    ),
                    models.Index(
                        condition=Q(unmirrored_since__isnull=False),
                        fields=["unmirrored_since"],
                        name="item_unmirrored",
                    ),
                    models.Index(
                        condition=Q(state="WAITING", due_at__isnull=True),
                        fields=["step", "index"],
                        name="item_waiting",
                    ),
                    models.Index(
                        condition=Q(state__in=ACTIVE),
                        fields=["step", "state", "executor"],
                        name="item_active",
                    ),
                    models.Index(
                        condition=Q(state__in=ACTIVE), fields=["message_id"], name="item_of_message"
                    ),
                    models.Index(
                        condition=Q(state="ERROR"), fields=["step", "index"], name="item_failed"
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=["step", "index"], name="item_index_unique"),
                    models.UniqueConstraint(fields=["task_id"], name="item_task_id_unique"),
                    models.CheckConstraint(
                        condition=Q(state__in=[name for name, _ in STATES]),
                        name="item_state_known",
                    ),
                    models.CheckConstraint(
                        condition=~Q(state__in=ACTIVE) | Q(task_id__isnull=False),
                        name="item_attempt_has_id",
                    ),
                    models.CheckConstraint(
                        condition=Q(completion__gte=0) & Q(completion__lte=100),
                        name="item_completion_in_range",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            "ItemCount",
            [
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "step",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="counts",
                        to="parent.step",
                    ),
                ),
                ("slot", models.PositiveSmallIntegerField()),
                (
                    "opened",
                    models.IntegerField(default=0, help_text="Those that no longer wait"),
                ),
                ("ok", models.IntegerField(default=0)),
                ("failed", models.IntegerField(default=0)),
                ("skipped", models.IntegerField(default=0)),
                ("cancelled", models.IntegerField(default=0)),
                (
                    "unmirrored_since",
                    models.DateTimeField(
                        help_text="The first change that no tick has added up yet", null=True
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=Q(unmirrored_since__isnull=False),
                        fields=["step"],
                        name="itemcount_unmirrored",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=["step", "slot"], name="itemcount_slot_unique"),
                ],
            },
        ),
        migrations.AddField(
            "attempt",
            "item",
            models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="attempts",
                to="parent.item",
            ),
        ),
        migrations.RemoveConstraint("attempt", "attempt_number_unique"),
        migrations.AddConstraint(
            "attempt",
            models.UniqueConstraint(
                condition=Q(item__isnull=True),
                fields=["step", "number"],
                name="attempt_number_unique",
            ),
        ),
        migrations.AddConstraint(
            "attempt",
            models.UniqueConstraint(
                condition=Q(item__isnull=False),
                fields=["item", "number"],
                name="attempt_of_item_number_unique",
            ),
        ),
    ]
