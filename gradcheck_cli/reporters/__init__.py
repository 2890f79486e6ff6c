"""Formats of a report: one module each, with a function from a SuiteReport to text."""

from __future__ import annotations

from importlib import import_module

from msgspec import Struct

from gradcheck_cli.report import SuiteReport


class Screen(Struct, frozen=True):
    """What a report for people is written to, and how much of it.

    width: in columns; None where nothing limits it. quiet: only what is wrong, and the summary;
    verbose: also settings, steps and times; durations: so many of the slowest checks.
    statistics: the most frequent faults and the slowest file, however short the report is.
    """

    width: int | None = None
    color: bool = False
    quiet: bool = False
    verbose: bool = False
    durations: int = 0
    statistics: bool = False


TABLE, JSONL, GITHUB = "table", "jsonl", "github"
# Modules are imported when their format is used: rich takes a while.
FORMATS = (TABLE, "plain", "json", JSONL, "junit", GITHUB, "gitlab", "sarif", "markdown", "html")
MUTANT_FORMATS = (TABLE, "json", JSONL)


def render(report: SuiteReport, format: str, screen: Screen, *, mutants: bool = False) -> str:
    """The report in one of FORMATS, as text that ends with a newline.

    mutants: a table is of the faults that checks would catch, not of how they came out.
    """
    module = import_module(f"{__name__}.{'mutants' if mutants and format == TABLE else format}")
    text: str = module.render(report, screen)
    return text
