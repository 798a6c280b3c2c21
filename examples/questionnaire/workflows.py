"""The workflow: what follows from each page of a form, in whatever order they come."""

from typing import Any

from rest_framework import serializers

from examples.questionnaire.tasks import (
    Busy,
    describe_browser,
    import_subject,
    invite,
    score_page,
    sum_up,
)
from parent import Map, RunData, Signal, Step, Workflow

__all__ = ["QuestionnaireParams", "questionnaire"]

COOLDOWN = 2.0
"""Seconds before the service is asked again; it doubles each time."""


class QuestionnaireParams(serializers.Serializer[Any]):
    """Which study the form belongs to."""

    study = serializers.SlugField(max_length=20)


class Person(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=100)
    age = serializers.IntegerField(min_value=0, max_value=130)


class Contact(serializers.Serializer[Any]):
    email = serializers.EmailField()
    user_agent = serializers.CharField(max_length=500, default="", allow_blank=True)


class Browser(serializers.Serializer[Any]):
    user_agent = serializers.CharField(max_length=500)


class Page(serializers.Serializer[Any]):
    number = serializers.IntegerField(min_value=1)
    answers = serializers.ListField(child=serializers.IntegerField(), max_length=100)


def subject(run: RunData, *names: str) -> dict[str, Any]:
    """What `import_subject` has returned, or some of it."""
    found = run.results["import_subject"]
    return {name: found[name] for name in names}


page = Signal("page", params=Page, title="A page of answers")

questionnaire = Workflow(
    "questionnaire",
    params=QuestionnaireParams,
    title="Questionnaire",
    description="Takes the pages of a form as they come, and sums the answers up.",
    steps=[
        Step(
            import_subject,
            title="Import the subject",
            after=["person", "contact"],  # in any order
            inputs=lambda run: {**run.results["person"], **run.results["contact"]},
        ),
        Step(
            describe_browser,
            title="Describe the browser",
            after=["browser"],
            inputs=lambda run: dict(run.results["browser"]),
            retries=3,
            retry_delay=COOLDOWN,
            retry_on=(Busy,),
        ),
        Step(
            invite,
            title="Invite to the second part",
            after=["import_subject"],
            unless=["withdrawn"],
            inputs=lambda run: subject(run, "subject", "email"),
        ),
        Map(score_page, title="Score", over=page, key="number", after=(), max_active=4, tolerate=0),
        Step(
            sum_up,
            title="Sum up",
            after=["import_subject", "describe_browser", "score_page"],
            inputs=lambda run: {
                **subject(run, "subject", "group"),
                "browser": run.results["describe_browser"],
                "pages": list(run.results["score_page"].ok()),
            },
        ),
    ],
    signals=[
        Signal("person", params=Person, title="Who you are"),
        Signal("contact", params=Contact, title="How to reach you"),
        Signal("browser", params=Browser, title="The browser"),
        Signal("withdrawn", title="Consent is withdrawn"),
        page,
    ],
    result=lambda run: run.results["sum_up"],
)
