"""Signals of which each one that comes is an item of a mapped step."""

from django.db import migrations, models

from parent.operations.migrating import TakeTables


class Migration(migrations.Migration):
    dependencies = [
        ("parent", "0022_limits"),
    ]

    operations = [
        TakeTables("step", "receivedsignal"),
        migrations.AddField(
            "step",
            "fed_by",
            models.CharField(
                max_length=100,
                blank=True,
                default="",
                db_default="",
                help_text="The signal whose arrivals are its items, until that is closed",
            ),
        ),
        migrations.AddField(
            "receivedsignal",
            "key",
            models.CharField(
                max_length=200,
                blank=True,
                default="",
                db_default="",
                help_text="Of the item that it is, if it feeds a mapped step",
            ),
        ),
        migrations.RemoveConstraint("receivedsignal", "signal_once"),
        migrations.AddConstraint(
            "receivedsignal",
            models.UniqueConstraint(fields=["run", "name", "key"], name="signal_key_once"),
        ),
    ]
