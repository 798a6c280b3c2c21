"""The Django app of the CSV example."""

from django.apps import AppConfig


class CsvProfileConfig(AppConfig):
    name = "examples.csv_profile"
    label = "csv_profile"
    verbose_name = "CSV profile"
