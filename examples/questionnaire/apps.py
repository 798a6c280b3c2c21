"""The Django app of the questionnaire example."""

from django.apps import AppConfig


class QuestionnaireConfig(AppConfig):
    name = "examples.questionnaire"
    label = "questionnaire"
    verbose_name = "Questionnaire"
