"""The JSON Schemas of reports, from the types that are encoded."""

from __future__ import annotations

from gradcheck_cli.config.json_schema import render_schema
from gradcheck_cli.reporters.jsonl import CheckLine, SummaryLine
from gradcheck_cli.result import SuiteReport


def render_report_schema() -> str:
    """The schema of a report in JSON."""
    return render_schema("report", "A report of gradcheck in JSON", SuiteReport)


def render_lines_schema() -> str:
    """The schema of every line of a report in JSONL."""
    return render_schema(
        "lines", "A line of a report of gradcheck in JSONL", CheckLine | SummaryLine
    )
