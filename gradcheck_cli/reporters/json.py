"""The report as JSON: the records as they are, with null for a number that is not finite."""

from __future__ import annotations

import msgspec

from gradcheck_cli.report import SuiteReport
from gradcheck_cli.reporters import Screen


def render(report: SuiteReport, screen: Screen) -> str:
    """One JSON document, indented; `schema_version` says how to read it."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n"
