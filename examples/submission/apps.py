"""The Django app of the submission example."""

from django.apps import AppConfig


class SubmissionConfig(AppConfig):
    name = "examples.submission"
    label = "submission"
    verbose_name = "Submission"
