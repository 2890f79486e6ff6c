"""Write the report of a run to stdout, to files (`-o`) and to the step summary on GitHub."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gradcheck_cli.cli.options import Given
from gradcheck_cli.cli.report_files import ReportFiles, open_report_files
from gradcheck_cli.cli.streams import note, terminal_width, wants_color, write
from gradcheck_cli.config.findings import ConfigError
from gradcheck_cli.processes.signals import defer_signals
from gradcheck_cli.report import CheckReport, ExitCode, SuiteReport
from gradcheck_cli.reporters import GITHUB, JSONL, Screen, render
from gradcheck_cli.run import choose
from gradcheck_cli.text import count_of

if TYPE_CHECKING:
    from gradcheck_cli.config.builders.check import ConfigCheck


class Reports:
    """Writes the reports that a command line asks for; made by `open_reports`.

    screen: how detailed they are. mutants: whether they are about the faults that the checks would
    catch.
    """

    def __init__(self, given: Given, screen: Screen, files: ReportFiles, mutants: bool) -> None:
        self.format = given["format"]
        self.formats = [self.format, *(format for format, _ in given["output"])]
        self.quiet = given["quiet"]
        self.color = given["color"]
        self.screen = screen
        self.files = files
        self.mutants = mutants
        self.in_lines = self.format == JSONL and self.quiet < 2
        self.written: int = ExitCode.OK  # whether every line could be written

    def add(self, check: CheckReport) -> None:
        """Take the report of a finished check; if the format is JSONL, write it at once."""
        if self.in_lines:
            from gradcheck_cli.reporters.jsonl import render_check

            self.written = self.written or write(render_check(check), ExitCode.OK)

    def write(self, report: SuiteReport, left: str = "") -> int:
        """Write the report everywhere; return the exit code, which is not OK if writing failed.

        left: the end of the note on an interrupted run, about its unfinished checks.
        """
        code = report.exit_code
        if not self.files.write(report, self.screen, self.mutants) and code == ExitCode.OK:
            code = ExitCode.NOTHING_CHECKED
        if GITHUB in self.formats:
            write_step_summary(report)
        if self.in_lines:
            code = self._write_last_line(report, code)
        elif self.quiet < 2:
            screen = replace(
                self.screen,
                width=terminal_width(),
                color=wants_color(self.color),
                quiet=bool(self.quiet),
            )
            code = write(render(report, self.format, screen, mutants=self.mutants), code)
        if report.interrupted:
            done, count = len(report.checks), len(report.checks) + report.not_reached
            note(f"interrupted; {count_of(done, 'check')} of {count} done{left}")
        return code

    def _write_last_line(self, report: SuiteReport, code: int) -> int:
        from gradcheck_cli.reporters.jsonl import render_summary

        return code or self.written if self.written else write(render_summary(report), code)


@contextmanager
def open_reports(given: Given, screen: Screen, *, mutants: bool) -> Iterator[Reports]:
    """Open the reports of a run, before any check runs; from here on, signals are held back until
    `raise_on_signals`.

    Raises UsageError where a file cannot be written.
    """
    defer_signals()
    with open_report_files(given["output"], given["configs"]) as files:
        yield Reports(given, screen, files, mutants)


def note_code_not_run(checks: Sequence[ConfigCheck], allow_code: bool) -> None:
    """If code may not run, print which code was not run, and how to allow it."""
    if not allow_code and (code := choose.describe_code(checks)):
        note(code)


@contextmanager
def annotate_errors(format: str) -> Iterator[None]:
    """With the format for GitHub, also write errors of configs as annotations."""
    try:
        yield
    except ConfigError as error:
        if format == GITHUB:
            from gradcheck_cli.reporters.github import annotate_config

            write(annotate_config(error), ExitCode.NOTHING_CHECKED)
        raise


def write_step_summary(report: SuiteReport) -> None:
    """In a step of a GitHub workflow, append the report in Markdown to its summary."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return
    text = render(report, "markdown", Screen())
    try:
        with open(path, "a", encoding="utf-8", errors="replace") as file:
            file.write(text)
    except OSError as error:
        note(f"cannot write the step summary: {error.strerror or error}")
