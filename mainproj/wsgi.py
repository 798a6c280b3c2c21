"""The WSGI entry point of the web process."""

import os

from django.core.wsgi import get_wsgi_application

from monitor.http.utf8_request import UTF8Request

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mainproj.settings")

application = get_wsgi_application()
application.request_class = UTF8Request
