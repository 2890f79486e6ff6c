"""The report as lines of JSON: one for each check, as soon as it is done, and one for the run."""

from __future__ import annotations

import msgspec
from msgspec.structs import asdict, fields

from gradcheck_cli.report import CheckReport, SuiteReport
from gradcheck_cli.reporters import Screen


class CheckLine(CheckReport, frozen=True, tag_field="type", tag="check"):
    """A check and how it came out. The lines of a run are in the order in which checks end."""


SummaryLine = msgspec.defstruct(
    "SummaryLine",
    [(one.name, one.type) for one in fields(SuiteReport) if one.name != "checks"],
    namespace={"__doc__": "The last line: a report without its checks."},
    frozen=True,
    tag_field="type",
    tag="summary",
)


def render(report: SuiteReport, screen: Screen) -> str:
    """All lines, the checks in the order of their configs."""
    return "".join(map(render_check, report.checks)) + render_summary(report)


def render_check(check: CheckReport) -> str:
    """The line of a check."""
    return _encode(CheckLine(**asdict(check)))


def render_summary(report: SuiteReport) -> str:
    """The last line."""
    values = asdict(report)
    return _encode(SummaryLine(**{name: values[name] for name in SummaryLine.__struct_fields__}))


def _encode(record: msgspec.Struct) -> str:
    return msgspec.json.encode(record).decode() + "\n"
