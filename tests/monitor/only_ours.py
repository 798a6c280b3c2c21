"""The URLs of a project that has our pages, and error pages of its own."""

from django.urls import include, path

urlpatterns = [path("", include("monitor.urls"))]
