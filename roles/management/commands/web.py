"""`manage.py web`: replaces this process by the web server."""

from django.core.management.base import BaseCommand

from roles import programs
from roles.required import require


class Command(BaseCommand):
    help = "Serve HTTP, as WEB_HOST, WEB_PORT, WEB_PROCESSES and WEB_THREADS say."

    def handle(self, *args: object, **options: object) -> None:  # noqa: ARG002
        require()
        programs.become(programs.web())
