"""What children have logged."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from parent.operations.migrating import TakeTables


class Migration(migrations.Migration):

    dependencies = [
        ('parent', '0020_signals'),
    ]

    operations = [
        TakeTables('step'),
        migrations.CreateModel(
            name='LogChunk',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('item', models.CharField(blank=True, default='', help_text="The key of a mapped step's item", max_length=200)),
                ('attempt', models.PositiveIntegerField()),
                ('task_id', models.CharField(help_text="Celery's id of the attempt", max_length=36)),
                ('first', models.PositiveIntegerField(help_text='The number of its first line')),
                ('lines', models.JSONField()),
                ('stored_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('step', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='log', to='parent.step')),
            ],
            options={
                'ordering': ['pk'],
                'constraints': [models.UniqueConstraint(fields=('task_id', 'first'), name='log_chunk_unique')],
            },
        ),
    ]
