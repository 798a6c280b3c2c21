"""Checks of settings, broker and database."""

from collections.abc import Iterator
from typing import Any, cast

from celery import current_app
from django.conf import settings
from django.core import checks
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from parent.operations import health
from parent.operations.doctor.finding import EXAMPLES, Finding

__all__ = ["broker", "database", "project"]


def project() -> Iterator[Finding]:
    """Django's system checks, with ours; the deployment checks too unless DEBUG or LOCAL is on."""
    alone = settings.DEBUG or getattr(settings, "LOCAL", False)
    for found in checks.run_checks(include_deployment_checks=not alone):
        if found.level >= checks.WARNING and not found.is_silenced():
            # Whoever shows a finding ends its sentence.
            what = f"{found.id}: {found.msg}".removesuffix(".")
            yield Finding(part="settings", what=what, do=found.hint or "See its text.")


def broker() -> Iterator[Finding]:
    if problem := health.broker():
        yield Finding(part="broker", what=problem.what, do=problem.do)
        return
    policy = _eviction_policy()
    if policy.startswith("allkeys"):
        yield Finding(
            part="broker",
            what=f"when its memory is full it throws messages away (maxmemory-policy {policy})",
            do="Set it to noeviction: redis-cli config set maxmemory-policy noeviction",
        )


def _eviction_policy() -> str:
    with cast("Any", current_app.pool).acquire(block=True) as kept:
        if kept.transport.driver_type != "redis":
            return ""
        try:
            found = kept.default_channel.client.config_get("maxmemory-policy")
        except Exception:  # hosted servers may forbid CONFIG
            return ""
    return str(found.get("maxmemory-policy", ""))


def database() -> Iterator[Finding]:
    """Check that it answers and that all migrations are applied."""
    if problem := health.database():
        yield Finding(part="database", what=problem.what, do=problem.do)
        return
    executor = MigrationExecutor(connection)
    if plan := executor.migration_plan(executor.loader.graph.leaf_nodes()):
        names = ", ".join(f"{each.app_label}.{each.name}" for each, _ in plan[:EXAMPLES])
        yield Finding(
            part="database",
            what=f"{len(plan)} migrations are not applied, such as {names}",
            do="Run: python manage.py migrate",
        )
