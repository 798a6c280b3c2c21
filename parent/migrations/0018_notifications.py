"""Rules of notifications, and the outbox of what is to be delivered."""

import django.db.models.deletion
import django.db.models.functions.datetime
import uuid
from django.db import migrations, models

from parent.operations.migrating import TakeTables


class Migration(migrations.Migration):

    dependencies = [
        ('parent', '0017_schedules'),
    ]

    operations = [
        TakeTables('run'),
        migrations.CreateModel(
            name='StoppedWebhook',
            fields=[
                ('digest', models.CharField(help_text='SHA-256 of the URL', max_length=64, primary_key=True, serialize=False)),
                ('url', models.TextField()),
                ('stopped_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.CreateModel(
            name='NotificationRule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('workflow', models.CharField(blank=True, default='', help_text='Empty is every workflow', max_length=100)),
                ('kind', models.CharField(choices=[('email', 'e-mail'), ('webhook', 'webhook'), ('code', 'rules in code that the process which wrote the change did not have')], max_length=10)),
                ('on', models.JSONField(default=list, help_text='Some of `OCCASIONS`')),
                ('to', models.JSONField(blank=True, default=list, help_text='Recipients of an e-mail')),
                ('url', models.CharField(blank=True, default='', max_length=2000)),
                ('secret', models.CharField(blank=True, default='', max_length=200)),
                ('old_secret', models.CharField(blank=True, default='', max_length=200)),
                ('old_secret_until', models.DateTimeField(help_text='Until then the secret before also signs', null=True)),
                ('enabled', models.BooleanField(default=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('enabled', True)), fields=['workflow'], name='rule_enabled')],
            },
        ),
        migrations.CreateModel(
            name='Delivery',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('in_code', models.BooleanField(default=False, help_text="The rule is in the workflow's code")),
                ('occasion', models.CharField(max_length=30)),
                ('kind', models.CharField(choices=[('email', 'e-mail'), ('webhook', 'webhook'), ('code', 'rules in code that the process which wrote the change did not have')], max_length=10)),
                ('target', models.TextField(help_text='The URL, or the recipients')),
                ('lane', models.CharField(max_length=300)),
                ('body', models.TextField(help_text='JSON; each try sends the same')),
                ('state', models.CharField(choices=[('waiting', 'waiting'), ('delivered', 'delivered'), ('failed', 'failed: given up'), ('dropped', 'dropped: nobody wants it')], default='waiting', max_length=10)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('due_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), null=True)),
                ('claim', models.UUIDField(null=True)),
                ('status', models.PositiveSmallIntegerField(help_text="The last answer's HTTP status", null=True)),
                ('error', models.TextField(blank=True, default='', help_text='What went wrong at the last try')),
                ('log', models.JSONField(default=list, help_text='The last tries: when, how long, the outcome')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('ended_at', models.DateTimeField(null=True)),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='parent.run')),
                ('rule', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='parent.notificationrule')),
            ],
            options={
                'verbose_name_plural': 'deliveries',
                'indexes': [models.Index(condition=models.Q(('state', 'waiting')), fields=['due_at'], name='delivery_due'), models.Index(fields=['-created_at', '-id'], name='delivery_newest')],
            },
        ),
    ]
