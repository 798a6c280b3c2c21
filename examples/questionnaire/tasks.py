"""The children: import the subject, describe the browser, score a page, invite, and sum up."""

import hashlib
import json
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import urlopen

from django.conf import settings

from children import Progress, child_task

__all__ = [
    "Busy",
    "Unknown",
    "describe_browser",
    "import_subject",
    "invite",
    "score_page",
    "sum_up",
]

TIMEOUT = 10
"""Seconds that the service may take for an answer."""
ADULT = 18
HIGHEST = 4
"""The highest answer to a question."""


class Busy(Exception):
    """The service cannot answer now: try again."""


class Unknown(Exception):
    """The service does not know the browser: trying again does not help."""


@child_task(name="questionnaire.import_subject")
def import_subject(
    progress: Progress, name: str, age: int, email: str, user_agent: str
) -> dict[str, Any]:
    """Import the person; the mapping goes to the steps that wait for it.

    It sends a further signal: the browser that the person used.
    """
    run = progress.run
    study = run.params["study"]
    run.logger.info("importing a subject of %s", study)
    if user_agent:
        run.signal("browser", user_agent=user_agent)
    digest = hashlib.sha256(f"{study}:{email}".encode()).hexdigest()
    group = "adults" if age >= ADULT else "minors"
    return {"subject": f"{study}-{digest[:8]}", "name": name, "email": email, "group": group}


@child_task(name="questionnaire.describe_browser")
def describe_browser(progress: Progress, user_agent: str) -> dict[str, Any]:
    """What the service knows about a browser.

    Raises:
        Busy: it could not answer now.
        Unknown: it does not know the browser.
    """
    url = getattr(settings, "QUESTIONNAIRE_BROWSERS", "http://127.0.0.1:8101/browsers")
    if not url.startswith(("http://", "https://")):
        raise Unknown(f"QUESTIONNAIRE_BROWSERS is {url!r}: give an http or https address")
    try:
        address = f"{url}?{urlencode({'user_agent': user_agent})}"
        with urlopen(address, timeout=TIMEOUT) as answer:  # noqa: S310 - checked above
            found: dict[str, Any] = json.load(answer)
    except HTTPError as exc:
        if exc.code >= 500:
            raise Busy(f"the service answered {exc.code}") from exc
        raise Unknown(f"the service does not know the browser {user_agent!r}") from exc
    except (URLError, TimeoutError, ConnectionError) as exc:
        raise Busy(f"the service at {url} does not answer: {exc}") from exc
    return found


@child_task(name="questionnaire.score_page")
def score_page(progress: Progress, number: int, answers: list[int]) -> dict[str, int]:
    """Add the answers of a page up.

    Raises:
        ValueError: an answer is none of 0 to 4.
    """
    wrong = sorted({answer for answer in answers if not 0 <= answer <= HIGHEST})
    if wrong:
        raise ValueError(f"page {number} has the answer {wrong[0]}, and 0 to {HIGHEST} are allowed")
    return {"page": number, "score": sum(progress.track(answers)), "of": HIGHEST * len(answers)}


@child_task(name="questionnaire.invite")
def invite(progress: Progress, subject: str, email: str) -> str:
    """Invite the person to the second part. Yours sends a mail."""
    return f"{subject} is invited as {email}"


@child_task(name="questionnaire.sum_up")
def sum_up(
    progress: Progress,
    subject: str,
    group: str,
    browser: dict[str, Any],
    pages: list[dict[str, int]],
) -> dict[str, Any]:
    """The whole questionnaire. The pages have come in any order."""
    score, most = (sum(page[name] for page in pages) for name in ("score", "of"))
    return {
        "subject": subject,
        "group": group,
        "browser": browser["name"],
        "pages": sorted(page["page"] for page in pages),
        "score": score,
        "percent": round(100 * score / most, 1) if most else None,
    }
