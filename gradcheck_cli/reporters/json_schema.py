"""The JSON Schemas of reports, from the types that are encoded."""

from __future__ import annotations

import msgspec

from gradcheck_cli.config.json_schema import render_schema
from gradcheck_cli.report import SuiteReport
from gradcheck_cli.reporters.jsonl import CheckLine, SummaryLine


def render_report_schema() -> str:
    """The schema of a report in JSON."""
    schema = msgspec.json.schema(SuiteReport)
    return render_schema("report", "A report of gradcheck in JSON", schema)


def render_lines_schema() -> str:
    """The schema of every line of a report in JSONL."""
    schema = msgspec.json.schema(CheckLine | SummaryLine)
    return render_schema("lines", "A line of a report of gradcheck in JSONL", schema)
