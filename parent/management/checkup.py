"""What `manage.py workflow doctor` prints."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from parent.operations.doctor import Finding

__all__ = ["as_json", "as_text"]


def as_text(findings: Sequence[Finding]) -> str:
    lines = [f"{each.part}: {each.what}.\n  {each.do}" for each in findings]
    wrong = sum(not each.ok for each in findings)
    last = f"{wrong} finding{'s' * (wrong != 1)}." if wrong else "All is well."
    return "\n".join([*lines, last])


def as_json(findings: Sequence[Finding]) -> str:
    return json.dumps([asdict(each) for each in findings], indent=2)
