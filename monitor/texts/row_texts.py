"""What rows and statuses say, in the reader's language: on pages, and beside the API's English."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext, gettext_noop, override

from monitor.texts.language import LANGUAGES
from monitor.texts.sentences import in_readers_language

__all__ = ["WORDS", "asked_language", "say", "say_message", "texts_of"]

WORDS = (
    *(gettext_noop("queued"), gettext_noop("waiting"), gettext_noop("done")),
    *(gettext_noop("failed"), gettext_noop("failed, optional"), gettext_noop("cancelled")),
    *(gettext_noop("skipped"), gettext_noop("cancelling"), gettext_noop("running")),
    *(
        gettext_noop("ok"),
        gettext_noop("not begun"),
        gettext_noop("optional"),
        gettext_noop("delivered"),
        gettext_noop("dropped"),
        gettext_noop("recovered"),
        gettext_noop("approval requested"),
        gettext_noop("schedule missed"),
        gettext_noop("close"),
        gettext_noop("schedule"),
        gettext_noop("signal"),
    ),
    *(gettext_noop("started"), gettext_noop("cancel"), gettext_noop("retry")),
    *(gettext_noop("skip"), gettext_noop("succeeded"), gettext_noop("sent")),
    *(gettext_noop("overlap"), gettext_noop("queue_full"), gettext_noop("replaced")),
    *(gettext_noop("missed"), gettext_noop("paused"), gettext_noop("edited")),
    *(gettext_noop("removed"), gettext_noop("Started"), gettext_noop("Waiting")),
    *(gettext_noop("Skipped"), gettext_noop("Refused"), gettext_noop("its start")),
    *(gettext_noop("the next try"), gettext_noop("a free worker"), gettext_noop("an approval")),
    *(gettext_noop("a signal"), gettext_noop("after a failure"), gettext_noop("in any case")),
)
"""Words of rows and statuses, which are English over HTTP, and translated where they are shown."""


def say(word: object) -> str:
    """A word or a sentence of a row in the reader's language; as it is if it is none of ours."""
    text = str(word)
    return (gettext(text) if text in WORDS else in_readers_language(text)) if text else ""


def say_message(message: object) -> str:
    """The same of a message: that of a run has the title of a step in front, `Load: 4 of 10`."""
    said, text = say(message), str(message)
    title, colon, rest = text.partition(": ")
    return f"{title}{colon}{in_readers_language(rest)}" if colon and said == text else said


def asked_language(request: HttpRequest) -> str:
    """The `lang` in a request's query, if we have texts in it; else empty."""
    language = request.GET.get("lang", "")
    return language if language in LANGUAGES else ""


def texts_of(
    statuses: Iterable[Mapping[str, Any]], language: str, errors: Mapping[str, str]
) -> dict[str, str]:
    """What the statuses and their steps say, with what pages in this language show instead.

    Args:
        errors: what errors are in English on pages.
    """
    texts: dict[str, str] = {}
    with override(language):
        for status in statuses:
            for each in (status, *status["steps"]):
                texts[each["message"]] = say_message(each["message"])
                said = (each["error"], each["waits_for"])
                texts |= {text: say(errors.get(text, text)) for text in said if text}
    return {english: text for english, text in texts.items() if text != english}
