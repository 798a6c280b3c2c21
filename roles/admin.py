"""The admin of the service is without DRF's page of tokens."""

from django.contrib import admin
from rest_framework.authtoken import admin as drf_admin  # noqa: F401 - so that its page is registered
from rest_framework.authtoken.models import TokenProxy

admin.site.unregister(TokenProxy)  # it shows readable tokens, and the admin's log stores them
