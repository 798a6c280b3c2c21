"""What `manage.py workflow doctor` prints."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from parent.operations.doctor import Finding

__all__ = ["as_json", "as_text"]


def as_text(findings: Sequence[Finding]) -> str:
    if not findings:
        return "All is well."
    lines = "\n".join(f"{each.part}: {each.what}.\n  {each.do}" for each in findings)
    return f"{lines}\n{len(findings)} finding{'s' * (len(findings) != 1)}."


def as_json(findings: Sequence[Finding]) -> str:
    return json.dumps([asdict(each) for each in findings], indent=2)
