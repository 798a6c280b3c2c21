"""`manage.py web`: the web server, in the place of this process."""

import os

from django.core.management.base import BaseCommand

from roles import programs
from roles.required import require


class Command(BaseCommand):
    help = "Serve HTTP, as WEB_HOST, WEB_PORT, WEB_PROCESSES and WEB_THREADS say."

    def handle(self, *args: object, **options: object) -> None:  # noqa: ARG002
        require()
        command = programs.web()
        # In its place: the signals of a container or a unit reach it without a go-between.
        os.execv(command[0], command)  # noqa: S606 - a command line of our own
