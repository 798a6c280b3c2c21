"""Fields with plainer names. The columns keep theirs: a deploy may run both releases at once."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("parent", "0008_result_size"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RenameField("run", "publishes", "publish_count"),
                migrations.RenameField("step", "publishes", "publish_count"),
                migrations.RenameField("step", "retried", "retries_used"),
                migrations.RenameField("step", "given", "input_override"),
                migrations.AlterField(
                    "run",
                    "publish_count",
                    models.PositiveIntegerField(db_column="publishes", default=0),
                ),
                migrations.AlterField(
                    "step",
                    "publish_count",
                    models.PositiveIntegerField(db_column="publishes", default=0),
                ),
                migrations.AlterField(
                    "step",
                    "retries_used",
                    models.PositiveIntegerField(
                        db_column="retried", db_default=0, default=0, help_text="Of `retries`"
                    ),
                ),
                migrations.AlterField(
                    "step",
                    "input_override",
                    models.JSONField(
                        db_column="given",
                        help_text="Inputs that a retry gave in place of the author's",
                        null=True,
                    ),
                ),
                migrations.AlterField(
                    "tally",
                    "figures",
                    models.JSONField(
                        default=dict, help_text="As `parent.telemetry.metrics` has them"
                    ),
                ),
            ],
        ),
    ]
