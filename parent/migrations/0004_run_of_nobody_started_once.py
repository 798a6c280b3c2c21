from django.conf import settings
from django.db import migrations, models
from django.db.models import Exists, OuterRef, Q

from parent.models.run import set_free


def keep_first_keys(apps, schema_editor):
    """Of runs without an owner, nothing kept a key from being used twice until now."""
    nobodys = apps.get_model('parent', 'Run').objects.using(schema_editor.connection.alias).filter(
        owner=None, idempotency_key__isnull=False
    )
    before = Q(created_at__lt=OuterRef('created_at')) | Q(created_at=OuterRef('created_at'), id__lt=OuterRef('id'))
    earlier = nobodys.filter(before, idempotency_key=OuterRef('idempotency_key'))
    later = list(nobodys.filter(Exists(earlier)).values_list('pk', flat=True))
    nobodys.filter(pk__in=later).update(idempotency_key=None)


class Migration(migrations.Migration):

    dependencies = [
        ('parent', '0003_mirrored_at'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunPython(keep_first_keys, migrations.RunPython.noop),
        migrations.AlterField(
            model_name='run',
            name='owner',
            field=models.ForeignKey(null=True, on_delete=set_free, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddConstraint(
            model_name='run',
            constraint=models.UniqueConstraint(condition=models.Q(('owner__isnull', True)), fields=('idempotency_key',), name='run_of_nobody_started_once'),
        ),
    ]
