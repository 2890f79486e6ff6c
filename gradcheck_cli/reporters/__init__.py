"""Formats of a report: a module for each, with a function from a SuiteReport to text."""

from __future__ import annotations

from importlib import import_module

from msgspec import Struct

from gradcheck_cli.report import SuiteReport


class Screen(Struct, frozen=True):
    """How a report for people is written, and how much of it.

    width: columns of the window; None: no limit. color: whether it has colours.
    quiet: only failures and the summary; verbose: also settings, steps and times.
    durations: how many of the slowest checks are listed.
    statistics: whether the most frequent faults and the slowest file are shown in a short report,
        too.
    """

    width: int | None = None
    color: bool = False
    quiet: bool = False
    verbose: bool = False
    durations: int = 0
    statistics: bool = False


TABLE, JSONL, GITHUB = "table", "jsonl", "github"
# A format's module is imported when it is used, since rich takes a while to import.
FORMATS = (TABLE, "plain", "json", JSONL, "junit", GITHUB, "gitlab", "sarif", "markdown", "html")
MUTANT_FORMATS = (TABLE, "json", JSONL)


def render(report: SuiteReport, format: str, screen: Screen, *, mutants: bool = False) -> str:
    """The report in one of FORMATS, as text that ends with a newline.

    mutants: whether the table shows which faults the checks would catch, not how they came out.
    """
    module = import_module(f"{__name__}.{'mutants' if mutants and format == TABLE else format}")
    text: str = module.render(report, screen)
    return text
