"""`run` and `mutate`: which checks, what runs them, where the report goes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Unpack

import click
from msgspec.structs import replace

from gradcheck_cli.cli import options as of
from gradcheck_cli.cli.outputs import open_outputs
from gradcheck_cli.cli.streams import note, progress, silent, terminal_width, wants_color, write
from gradcheck_cli.config.findings import ConfigError
from gradcheck_cli.processes.executor import run_in_turn
from gradcheck_cli.processes.signals import defer_signals
from gradcheck_cli.reporters import GITHUB, JSONL, MUTANT_FORMATS, Screen, render
from gradcheck_cli.result import CheckReport, ExitCode, SuiteReport
from gradcheck_cli.run import suite
from gradcheck_cli.text import count_of, printable

if TYPE_CHECKING:
    from gradcheck_cli.config.build_check import ConfigCheck
    from gradcheck_cli.processes.executor import Executor

EXIT_CODES = """\b
Exit codes:
  0    every check came out as expected
  1    a gradient is wrong (or one expected to fail passed)
  2    nothing was checked: usage, config, file, nothing selected;
       or a report could not be written
  3    no wrong gradient, but a check was inconclusive
  4    an internal error
  130  interrupted (143 by SIGTERM); what was done is reported
"""

MUTATE_EXIT_CODES = """\b
Exit codes:
  0    every bug that changes a gradient would be caught
  1    a bug would survive
  2    nothing was checked: usage, config, file, nothing selected;
       or a report could not be written
  4    an internal error
  130  interrupted (143 by SIGTERM); what was done is reported
"""

CHOOSING = (of.CONFIGS, of.SELECT, of.SET, of.SEED, of.SEEDS, of.SHARD)
RUNNING = (of.ALLOW_CODE, of.TIME, of.JOBS, of.DASK)


@click.command(name="run", short_help="Check gradients.", epilog=EXIT_CODES)
@of.options(*CHOOSING, of.LAST_FAILED, of.LIST, of.FORMAT, of.OUTPUT)
@of.options(of.QUIET, of.VERBOSE, of.COLOR, of.DURATIONS, of.STATISTICS)
@of.options(of.EXIT_FIRST, of.EXIT_ZERO)
@of.options(*RUNNING, of.BUDGET, of.POWER)
def run_command(**given: Unpack[of.GivenToRun]) -> int:
    """Check the gradients of every CONFIG, of all configs in DIR, or of a config on stdin (-)."""
    from gradcheck_cli.run import last_failed as memory

    with _annotate_errors(given):
        checks = select_checks(given, memory.failed() if given["last_failed"] else None)
        if given["list_only"]:
            return write("".join(map(format_listing, checks)), ExitCode.OK)
        if not given["allow_code"]:
            suite.refuse_code(checks)
    checks = suite.spread(checks, given["jobs"], given["budget"])
    screen = Screen(
        verbose=given["verbose"], durations=given["durations"], statistics=given["statistics"]
    )
    run = partial(suite.run, power=given["power"], exit_first=given["exit_first"])
    report, code = run_and_report(checks, given, run, screen)
    memory.keep(report.checks)
    forgiven = given["exit_zero"] and code in (ExitCode.WRONG, ExitCode.INCONCLUSIVE)
    return ExitCode.OK if forgiven else code


@click.command(
    name="mutate", short_help="Tell which bugs the checks would catch.", epilog=MUTATE_EXIT_CODES
)
@of.options(*CHOOSING, of.format_option(MUTANT_FORMATS), of.output_option(MUTANT_FORMATS))
@of.options(of.QUIET, of.COLOR, *RUNNING)
def mutate_command(**given: Unpack[of.Given]) -> int:
    """Put common bugs into the gradients of every CONFIG, and tell which the check would catch.

    A bug survives where it does not change the gradient at these inputs, or by less than the check
    resolves; the report says why, and what to change in the config.
    """
    checks = select_checks(given)
    if not given["allow_code"]:
        suite.refuse_code(checks)
    checks = suite.spread(checks, given["jobs"])
    run = partial(suite.run, power=True, judge=suite.exit_code_of_mutants)
    return run_and_report(checks, given, run, Screen(), mutants=True)[1]


def select_checks(given: of.Given, failed: set[tuple[str, str]] | None = None) -> list[ConfigCheck]:
    """The checks that a command line chooses.

    failed: path and id of those that failed last, where only they are asked for.
    """
    from gradcheck_cli.config.load import load
    from gradcheck_cli.config.overrides import read_overrides

    tell = silent if given["quiet"] else note
    overrides = read_overrides(given["set"], given["seed"], given["seeds"])
    checks = suite.select(load(given["configs"], tell, overrides=overrides), given["select"])
    if failed is not None:
        from gradcheck_cli.run.last_failed import key

        again = [check for check in checks if key(check.path, check.id) in failed]
        if not again:
            tell(f"none of these checks failed when last run; all {len(checks)} are")
        checks = again or checks
    if given["shard"] is not None:
        which, count = given["shard"]
        whole, checks = checks, checks[which - 1 :: count]
        if not checks:
            tell(f"shard {which}/{count} has none of {count_of(len(whole), 'check')}")
    return checks


def format_listing(check: ConfigCheck) -> str:
    """A line of `--list`."""
    return f"{printable(check.id)}\t{printable(check.path)}:{check.line}\n"


def run_and_report(
    checks: list[ConfigCheck],
    given: of.Given,
    run: Callable[..., SuiteReport],
    screen: Screen,
    *,
    mutants: bool = False,
) -> tuple[SuiteReport, int]:
    """Run the checks and write their report everywhere it goes; it, and the exit code.

    run: `suite.run` with what the command wants of it; screen: how much the report says.
    """
    quiet, format = given["quiet"], given["format"]
    defer_signals()
    with open_outputs(given["output"], given["configs"]) as outputs:
        lines = _Lines() if format == JSONL and quiet < 2 else None
        with progress(bool(quiet)) as bar, open_executor(given["jobs"], given["dask"]) as where:
            report = run(checks, bar, timeout=given["timeout"], executor=where, each=lines)
        code = report.exit_code
        if not outputs.write(report, screen, mutants) and code == ExitCode.OK:
            code = ExitCode.NOTHING_CHECKED
    if GITHUB in _formats(given):
        summarize(report)
    if lines is not None:
        code = lines.end(report, code)
    elif quiet < 2:
        color = wants_color(given["color"])
        screen = replace(screen, width=terminal_width(), color=color, quiet=bool(quiet))
        code = write(render(report, format, screen, mutants=mutants), code)
    if report.interrupted:
        note(f"interrupted; {count_of(len(report.checks), 'check')} of {len(checks)} done")
    return report, code


class _Lines:
    """The report as lines of JSON, each written as soon as its check is done."""

    def __init__(self) -> None:
        self.code: int = ExitCode.OK

    def __call__(self, check: CheckReport) -> None:
        from gradcheck_cli.reporters.jsonl import render_check

        self.code = self.code or write(render_check(check), ExitCode.OK)

    def end(self, report: SuiteReport, code: int) -> int:
        """The last line; the exit code, which is the report's if all could be written."""
        from gradcheck_cli.reporters.jsonl import render_summary

        return code or self.code if self.code else write(render_summary(report), code)


def _formats(given: of.Given) -> list[str]:
    return [given["format"], *(format for format, _ in given["output"])]


@contextmanager
def _annotate_errors(given: of.Given) -> Iterator[None]:
    """Where GitHub reads stdout, errors of configs are annotations, too."""
    try:
        yield
    except ConfigError as error:
        if given["format"] == GITHUB:
            from gradcheck_cli.reporters.github import annotate_config

            write(annotate_config(error), ExitCode.NOTHING_CHECKED)
        raise


def summarize(report: SuiteReport) -> None:
    """Add the report in Markdown to the summary of the step of a GitHub workflow, if in one."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return
    text = render(report, "markdown", Screen())
    try:
        with open(path, "a", encoding="utf-8", errors="replace") as file:
            file.write(text)
    except OSError as error:
        note(f"cannot write the step summary: {error.strerror or error}")


@contextmanager
def open_executor(jobs: int, dask: str | None) -> Iterator[Executor]:
    """What runs the checks."""
    if dask is not None:
        from gradcheck_cli.processes.dask import connect

        with connect(dask) as cluster:
            yield cluster
    elif jobs > 1:
        from gradcheck_cli.processes.pool import Pool

        yield Pool(jobs)
    else:
        yield run_in_turn
