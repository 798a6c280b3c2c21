"""`manage.py worker`: replaces this process by a worker."""

from django.core.management.base import BaseCommand

from roles import programs
from roles.required import require


class Command(BaseCommand):
    help = "Run children, as WORKER_QUEUES, WORKER_POOL and WORKER_CONCURRENCY say."

    def handle(self, *args: object, **options: object) -> None:  # noqa: ARG002
        require()
        programs.become(programs.worker())
