"""Signals and approvals: what a step waits for from outside, and what has come."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q
from django.db.models.functions import Now

from parent.operations.migrating import TakeTables


class Migration(migrations.Migration):
    dependencies = [
        ("parent", "0019_child_runs"),
    ]

    operations = [
        TakeTables("run", "step"),
        migrations.AddField(
            "step",
            "awaits",
            models.CharField(
                max_length=8,
                choices=[("signal", "a signal"), ("approval", "an approval")],
                blank=True,
                default="",
                db_default="",
                help_text="What it waits for in place of a child; `run_timeout` is for how long",
            ),
        ),
        migrations.AddField(
            "step",
            "on_timeout",
            models.CharField(
                max_length=4, blank=True, default="", db_default="", help_text="fail or skip"
            ),
        ),
        migrations.AddField(
            "step",
            "unless",
            models.JSONField(
                null=True,
                help_text="Names of steps and signals: it is skipped if one of them was first",
            ),
        ),
        migrations.AddIndex(
            "step",
            models.Index(
                fields=["awaits", "queued_at"],
                name="step_awaiting",
                condition=Q(state="RUNNING") & ~Q(awaits=""),
            ),
        ),
        migrations.CreateModel(
            "ReceivedSignal",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "name",
                    models.CharField(
                        max_length=100, help_text="Of the signal, which is a step's name"
                    ),
                ),
                (
                    "values",
                    models.JSONField(help_text="As its serializer has validated them"),
                ),
                (
                    "who",
                    models.CharField(
                        max_length=150, blank=True, default="", help_text="A user's name"
                    ),
                ),
                ("at", models.DateTimeField(db_default=Now())),
                (
                    "run",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="signals",
                        to="parent.run",
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            "receivedsignal",
            models.UniqueConstraint(fields=["run", "name"], name="signal_once"),
        ),
    ]
