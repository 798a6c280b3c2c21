"""Translates what the engine writes into rows and errors, where people read it.

The engine knows no reader: it writes English, which the API and the logs keep. A page finds the
sentence below that a text is made of, and says it in the reader's language with the same values.
"""

import re
from collections.abc import Iterator
from functools import cache, lru_cache

from django.utils.translation import get_language, gettext, gettext_noop

from monitor.texts.language import figure

__all__ = ["SENTENCES", "in_readers_language"]

SENTENCES = (
    # Around others: the place `inner` has one of these sentences again, or any other text.
    *(gettext_noop("skipped: {inner}"), gettext_noop("{inner} (after {number} attempts)")),
    # How far it is, and what it waits for.
    *(gettext_noop("{done} of {all}"), gettext_noop("{done} done")),
    gettext_noop("{done} of {all}, {failures} failed"),
    gettext_noop("{done} of {all} so far; waits for {waited}"),
    gettext_noop("{done} of {all} so far, {failures} failed; waits for {waited}"),
    gettext_noop("retry {done} of {all} after: {inner}"),
    gettext_noop("waits until its cancelled run has ended"),
    *(gettext_noop("waits for this signal"), gettext_noop("waits for an approval")),
    *(gettext_noop("waits for its turn"), gettext_noop("waits for its turn: {key}")),
    gettext_noop("waits for {waited}"),
    gettext_noop("a worker of the queue “{queue}”: none is running"),
    gettext_noop("{names} and {done} more steps"),
    gettext_noop("a place of {names}"),
    *(gettext_noop("{done} in use"), gettext_noop("{done} of {all} in use")),
    *(gettext_noop("{name} ({done} in use)"), gettext_noop("{name} ({done} of {all} in use)")),
    gettext_noop("{done} of {all} begun in this {what}"),
    gettext_noop("{name} ({done} of {all} begun in this {what})"),
    gettext_noop("{name} (it has no size in WORKFLOW_LIMITS)"),
    gettext_noop("it has no size in WORKFLOW_LIMITS"),
    # Why a step was skipped.
    *(gettext_noop("{name} failed, which is allowed"), gettext_noop("{name} failed")),
    *(gettext_noop("{name} was cancelled"), gettext_noop("{name} was skipped")),
    *(gettext_noop("{name} was not needed"), gettext_noop("{name} was there first")),
    gettext_noop("nothing before it failed"),
    gettext_noop("nothing waits for it any more"),
    *(gettext_noop("closed by {who}"), gettext_noop("closed")),
    # How a step or a run ended.
    gettext_noop("{name} did not start within {seconds} s: is a worker consuming its queue?"),
    gettext_noop('{name} did not start within {seconds} s: is a worker consuming queue "{queue}"?'),
    gettext_noop(
        "{name} did not start within {seconds} s: the worker that consumes its queue does not know "
        "the task {task}"
    ),
    gettext_noop(
        '{name} did not start within {seconds} s: the worker that consumes queue "{queue}" does '
        "not know the task {task}"
    ),
    gettext_noop("{name} did not finish within {seconds} s"),
    gettext_noop("{name} did not come within {seconds} s"),
    gettext_noop(
        "{name} has not reported for {seconds} s: it may hang, or need a longer stall_timeout"
    ),
    gettext_noop(
        "{name} did not go on within {seconds} s: no worker that was asked knows the steps of this "
        "run"
    ),
    gettext_noop("{name}: the worker {worker} died while running it"),
    gettext_noop("{name}: the worker {worker} was shut down while running it"),
    gettext_noop("{name}: the worker process died while running it ({why})"),
    gettext_noop("{name} was rejected by {who}: {why}"),
    *(gettext_noop("{name} was rejected by {who}"), gettext_noop("{name} was rejected")),
    *(gettext_noop("approved by {who}: {why}"), gettext_noop("approved by {who}")),
    *(gettext_noop("approved"), gettext_noop("Error in {name}: it ended without an outcome")),
    gettext_noop("Error in the {what} of {name}: {inner}"),
    gettext_noop("Error in {name}: {inner}"),
    gettext_noop("{done} of {all} items have not run. Retry the step to run them"),
    gettext_noop("{done} of {all} items failed. {inner}"),
    gettext_noop("{done} of {all} items failed, and {allowed} may. {inner}"),
    gettext_noop("{done} of {all} items failed; {skipped} were skipped. {inner}"),
    gettext_noop(
        "{done} of {all} items failed, and {allowed} may; {skipped} were skipped. {inner}"
    ),
    # Why a retry is refused.
    gettext_noop("Only a failed or cancelled run can be retried: it is {state}."),
    gettext_noop("This run is a step of another run. Retry that run: {run}."),
    gettext_noop("{name} takes its items from `over`: leave inputs out."),
    gettext_noop("{name} has no inputs: it waits for {what}."),
    gettext_noop(
        "{name} is a signal that feeds {step}, and what came stays: retry from {steps}, and its "
        "failed items run again."
    ),
    gettext_noop("Say which step the item belongs to."),
    gettext_noop("An item keeps the inputs that it had: leave inputs out."),
    gettext_noop("One item cannot be skipped: leave skip out."),
    gettext_noop("{name} has no items, as it is not a Map: leave the item out."),
    gettext_noop("{name} gets new items, as {names} runs again before it: leave the item out."),
    gettext_noop("{name} has no items yet: leave the item out."),
    gettext_noop("{name} has no item with the key {key}."),
    gettext_noop("The item {key} of {name} is OK: its result is kept."),
    gettext_noop("The run has no step {name}; its steps are: {known}."),
    gettext_noop("Say which step is meant: {names}."),
    gettext_noop("Send an object with the step's inputs as fields."),
    # Why something else is refused.
    *(gettext_noop("There is no run {run}."), gettext_noop("Not accepted: {names}.")),
    gettext_noop("The run has ended already: it is {state}."),
    gettext_noop("The run is a step of another one, with which it is deleted: delete {run}."),
    gettext_noop("The run is {state}: wait for its end."),
    gettext_noop("Runs inside of this one have not ended yet: wait for their end."),
    gettext_noop("There is no workflow {name}; registered are: {known}."),
    gettext_noop("A run of {name} goes on already: {run}."),
    gettext_noop("A run of {name} with {key} goes on already: {run}."),
    gettext_noop("A run of somebody else goes on already, and no other may: start it again later."),
    gettext_noop("{workflow} has no signal or approval {name}; it takes: {known}."),
    gettext_noop("{workflow} has no signal or approval {name}; it takes none."),
    gettext_noop(
        "This run has no signal or approval {name}: another version of {workflow} has started it."
    ),
    gettext_noop("{name} is an approval: approve or reject it."),
    gettext_noop("{name} is a signal: nobody decides about it."),
    gettext_noop("{name} was ended meanwhile: look at the run."),
    gettext_noop("{name} is closed: the run has ended, it is {state}."),
    gettext_noop("{name} is closed: the run is being cancelled."),
    gettext_noop("{name} is closed: {inner} ({why})."),
    gettext_noop("{name} is closed: {inner}."),
    gettext_noop("{name} was asked for again: this answers an earlier request."),
    gettext_noop("it was skipped by a retry, which gave it a result"),
    *(gettext_noop("it has ended with an error"), gettext_noop("it was skipped")),
    *(gettext_noop("it was cancelled"), gettext_noop("nothing more is taken")),
    gettext_noop("There is no schedule {number}: it was deleted."),
    gettext_noop("{name} was made by hand, so no code has values for it."),
    gettext_noop("The code of {workflow} has no schedule {name} any more."),
    # What became of the times of a schedule.
    *(gettext_noop("run {run} had not ended."), gettext_noop("a start that waits had not ended.")),
    gettext_noop("It waits for the end of run {run}."),
    gettext_noop("It waits for the end of a start that waits."),
    gettext_noop("{done} starts waited already."),
    gettext_noop("A later start took its place."),
    gettext_noop("The schedule was paused by {by}, until {who} resumed it."),
    gettext_noop("No worker watched in time, and catch_up is {what}."),
    gettext_noop("The code did not have it meanwhile."),
    gettext_noop("The code changed when the schedule comes."),
    gettext_noop("The code does not have the schedule any more."),
    gettext_noop("The schedule was paused by {who}."),
    gettext_noop("{who} changed when the schedule comes."),
    gettext_noop("{who} reset the schedule to the code's values."),
    gettext_noop("AlreadyRunning: The run {run} goes on already."),
    gettext_noop("The run {run} goes on already."),
    gettext_noop("{inner} Edit the schedule's params."),
    # What is wrong in a form.
    gettext_noop("Give a cron line or seconds, not both."),
    gettext_noop(
        "Give a cron line, or seconds in `every`. Write five fields: minute hour day month "
        "weekday, such as '0 12 * * *'."
    ),
    gettext_noop("It never comes: no day of the next 50 years is one of these."),
    gettext_noop("It never comes: none of these months has such a day."),
    gettext_noop(
        "{inner}: {cron} cannot be read. Write five fields: minute hour day month weekday, such as "
        "'0 12 * * *'."
    ),
    gettext_noop("Write five fields: minute hour day month weekday, such as '0 12 * * *'."),
    gettext_noop("It has a part that means nothing"),
    # What cronsim says.
    *(gettext_noop("Bad minute"), gettext_noop("Bad hour"), gettext_noop("Bad day-of-month")),
    *(gettext_noop("Bad month"), gettext_noop("Bad day-of-week")),
    gettext_noop(
        "There is no time zone {zone}. Give an IANA name, such as 'Europe/Rome' or 'UTC'."
    ),
    gettext_noop("Give whole seconds from {least} to {most}."),
    gettext_noop("{address} is not an e-mail address. {inner}"),
    gettext_noop("An e-mail of notify has no recipient. {inner}"),
    gettext_noop('Write "admins", "owner" or an address such as "ops@example.com".'),
    gettext_noop("{url} is not a URL of a webhook. {inner}"),
    gettext_noop("{url} names no host. {inner}"),
    gettext_noop("The webhook's URL {url} is not https. {inner}"),
    gettext_noop("Write it as https://host/path, with the port if it is not 443."),
    gettext_noop(
        "Write it as https://host/path, with the port if it is not 443. "
        "WORKFLOW_WEBHOOK_ALLOW_PRIVATE also allows http."
    ),
    gettext_noop(
        "The webhook's URL {url} is inside the network. Use an address outside, or set "
        "WORKFLOW_WEBHOOK_ALLOW_PRIVATE."
    ),
    gettext_noop("the key {key} is there twice: send it once"),
    # What a page says in place of what was asked for.
    gettext_noop("There is no such task: its id is wrong, it was deleted, or it is not yours."),
    gettext_noop("The run has no step {name}."),
    gettext_noop("The step {name} has no items: it is not mapped."),
    gettext_noop("That is not a run of {name}."),
    gettext_noop("You may see this run, and not change it."),
    gettext_noop("You may see this run, and not give it {name}: it takes the permission {needs}."),
    gettext_noop("You may see this run, and not give it {name}."),
    gettext_noop("There is no workflow {name}; you may start: {known}."),
    gettext_noop("You may not start {name}: it takes the permission {needs}."),
    gettext_noop("You may not start {name}."),
    gettext_noop("Schedules take the permission {needs}."),
    gettext_noop("To change a schedule takes the permission {needs}."),
    gettext_noop("Workers take the permission {needs}."),
    gettext_noop("This takes the permission {needs}."),
    gettext_noop("There is no such schedule, or you may not start its workflow."),
    *(gettext_noop("There is no such action."), gettext_noop("There is no such row.")),
    gettext_noop("There is no such rule: it was removed."),
    gettext_noop("This task has no result: it has not ended, or not well."),
    gettext_noop("This task has just been deleted."),
    gettext_noop("There is no such file: it was deleted, or is not among the run's inputs."),
)
"""The first sentence that matches a text is taken. Those without places are compared first.

The value of a place has one line. Only `inner`, and the last place of a sentence, may have more.
"""

LONGEST = 2_000  # characters: the text of a longer error is a child's
DEEPEST = 4
PLACE = re.compile(r"\{(\w+)\}")
FIGURES = ("done", "all", "failures", "allowed", "skipped")
"""Places of whole numbers: what a child says with other words in them is not ours."""
UNITS = (gettext_noop("second"), gettext_noop("minute"), gettext_noop("hour"), gettext_noop("day"))
BETWEEN_LIMITS = re.compile(r"(?<=\)), ")
OF_A_LIMIT = re.compile(r" in use\)$| begun in this \w+\)$|no size in WORKFLOW_LIMITS\)$")
"""A step may wait for several limits, each with its figures in brackets."""
REMEMBERED = 1_000
"""So many texts: a page that polls asks for the same ones again and again."""


def in_readers_language(text: str, depth: int = 0) -> str:
    """The text in the reader's language; as it is where it is none of the engine's sentences."""
    language = get_language()
    if not text or len(text) > LONGEST or depth > DEEPEST or _is_english(language):
        return text
    return _translated(text, depth, language)


@lru_cache(maxsize=REMEMBERED)
def _translated(text: str, depth: int, _language: str | None) -> str:
    """The same in the active language, by which it is remembered."""
    parts = BETWEEN_LIMITS.split(text)
    if len(parts) > 1 and all(map(OF_A_LIMIT.search, parts)):
        return ", ".join(in_readers_language(part, depth + 1) for part in parts)
    for sentence, beginning, pattern in _patterns():
        if beginning in text and (found := pattern.fullmatch(text)):
            values = found.groupdict()
            for name in ("inner", "what"):
                if name in values:
                    values[name] = in_readers_language(values[name], depth + 1)
            for name in values.keys() & FIGURES:
                values[name] = figure(int(values[name].replace(",", "")))
            return gettext(sentence).format(**values)
    return gettext(text) if depth else text


def _is_english(language: str | None) -> bool:
    return (language or "en").partition("-")[0] == "en"


@cache
def _patterns() -> list[tuple[str, str, re.Pattern[str]]]:
    """Each sentence, its longest part without a place, and what it looks like with values."""
    whole_first = sorted(SENTENCES, key=lambda sentence: "{" in sentence)
    return [
        (sentence, max(PLACE.split(sentence)[::2], key=len), re.compile("".join(_parts(sentence))))
        for sentence in whole_first
    ]


def _parts(sentence: str) -> Iterator[str]:
    fixed = PLACE.split(sentence)
    for number, part in enumerate(fixed):
        if number % 2 == 0:
            yield re.escape(part)
        elif part in FIGURES:
            yield f"(?P<{part}>[0-9,]{{1,20}})"
        elif part == "inner" or number == len(fixed) - 2:
            yield f"(?P<{part}>[\\s\\S]+)"
        else:
            # So short that no text takes long to compare.
            yield f"(?P<{part}>[^\\n]{{1,200}}?)"
