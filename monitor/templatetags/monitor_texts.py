"""The texts of the pages in the reader's language, and those that the pages' scripts write."""

from collections.abc import Iterable

from django import template
from django.utils.html import json_script
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_noop

from monitor.texts.language import LANGUAGES, page_language
from monitor.texts.row_texts import WORDS, say, say_message
from parent.operations.health import how_to_start
from parent.setting_names import is_our_service

__all__ = [
    "SCRIPT_TEXTS",
    "has_workflow_apps",
    "say_all",
    "script_texts",
    "start_worker",
]

register = template.Library()

SCRIPT_TEXTS = (
    *WORDS,
    # task-progress.js
    gettext_noop("You are signed out, or may not do this."),
    gettext_noop("There is no such task: it was deleted, or is not yours."),
    gettext_noop("No answer; reconnecting…"),
    gettext_noop("No answer; try again."),
    *(gettext_noop("Cancel"), gettext_noop("Retry"), gettext_noop("Show more")),
    *(gettext_noop("Sign in"), gettext_noop("{done} of {all} steps done")),
    *(gettext_noop("{done} of {all} steps"), gettext_noop("{done} of {all}")),
    *(gettext_noop("{done} done"), gettext_noop("{what} waits for {waited}")),
    gettext_noop("{text}, for another {time}"),
    *(gettext_noop("{text}, in {time}"), gettext_noop("{elapsed} · about {time} left")),
    # times.js
    *(gettext_noop("just now"), gettext_noop("{number} min ago")),
    *(gettext_noop("{number} h ago"), gettext_noop("1 day ago"), gettext_noop("{number} days ago")),
    # copy.js, notify.js
    gettext_noop("Not copied: the browser does not allow it"),
    *(gettext_noop("Done"), gettext_noop("Failed"), gettext_noop("Cancelled")),
    gettext_noop("Your browser blocks notifications of this site: its settings can allow them."),
    gettext_noop("Your browser remembers nothing for this site, so it cannot notify you."),
    gettext_noop("This browser lets no page notify you."),
    # run.js
    gettext_noop("Cancel this run? What is done is kept, and a retry goes on from there."),
    # log.js
    *(gettext_noop("1 line left out"), gettext_noop("{number} lines left out")),
    gettext_noop("Copied the lines"),
    # upload.js
    gettext_noop("The upload was cut off. Look at your connection, then press Start again."),
    gettext_noop(
        "The answer was cut off, and the run may have started: look at Runs before you press "
        "Start again."
    ),
    *(gettext_noop("Uploaded; starting the run…"), gettext_noop("{zone} (yours)")),
    gettext_noop("Uploading: {done} of {all} MB"),
    gettext_noop("The server answered {status}. Press Start again."),
)
"""What scripts write: they look it up by the English text."""


register.simple_tag(page_language)
register.filter("say", say)
register.filter("say_message", say_message)


@register.filter
def say_all(names: Iterable[str]) -> str:
    """The occasions of a rule of notifications, in the reader's language."""
    return ", ".join(say(name.replace("_", " ")) for name in names)


@register.simple_tag
def script_texts() -> SafeString:
    """The translations for the page's scripts, as a block of JSON; there are none in English.

    Its `lang` is the language: scripts write figures in it, and ask the API for sentences in it.
    """
    language = page_language()
    is_english = language == LANGUAGES[0]
    texts = {} if is_english else {text: gettext(text) for text in SCRIPT_TEXTS}
    return json_script({"lang": language, **texts}, "task-texts")


@register.simple_tag
def start_worker() -> str:
    """The command that starts a worker in this project."""
    return how_to_start()


@register.simple_tag
def has_workflow_apps() -> bool:
    """Whether `WORKFLOW_APPS` says which apps have workflows: only in our own service."""
    return is_our_service()
