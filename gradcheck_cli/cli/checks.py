"""The commands `run` and `mutate`, from top to bottom: read configs, run checks, write reports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Unpack

import click

from gradcheck_cli.cli import options as of
from gradcheck_cli.cli.reports import annotate_errors, note_code_not_run, open_reports
from gradcheck_cli.cli.streams import note, show_progress, silence, write
from gradcheck_cli.config.project import Project
from gradcheck_cli.processes.executor import run_in_turn
from gradcheck_cli.report import ExitCode, SuiteReport
from gradcheck_cli.reporters import MUTANT_FORMATS, Screen
from gradcheck_cli.run import choose, last_failed, suite
from gradcheck_cli.run.faster import find_faster
from gradcheck_cli.text import count_of, printable

if TYPE_CHECKING:
    from gradcheck_cli.cli.watch import Watch
    from gradcheck_cli.config.builders.check import ConfigCheck
    from gradcheck_cli.processes.executor import Executor

EXIT_CODES = """\b
Exit codes:
  0    every check came out as expected
  1    a gradient is wrong (or one expected to fail passed)
  2    nothing was checked: usage, config, file, nothing selected;
       or a check could not be run or needs --allow-code,
       or a report could not be written
  3    no wrong gradient, but a check was inconclusive
  4    an internal error
  130  interrupted (143 by SIGTERM, 129 by SIGHUP); what was done is reported
"""

MUTATE_EXIT_CODES = """\b
Exit codes:
  0    every bug that changes a gradient would be caught
  1    a bug would survive
  2    nothing was checked: usage, config, file, nothing selected;
       or a check could not be run or needs --allow-code,
       or a report could not be written
  4    an internal error
  130  interrupted (143 by SIGTERM, 129 by SIGHUP); what was done is reported
"""

CHOOSING = (of.CONFIGS, of.EXCLUDE, of.SELECT, of.SET, of.SEED, of.SEEDS, of.SHARD)
RUNNING = (of.ALLOW_CODE, of.TIME, of.JOBS, of.DASK)


@click.command(name="run", short_help="Check gradients.", epilog=EXIT_CODES)
@of.options(*CHOOSING, of.LAST_FAILED, of.LIST, of.FORMAT, of.OUTPUT)
@of.options(of.QUIET, of.VERBOSE, of.COLOR, of.DURATIONS, of.STATISTICS)
@of.options(of.EXIT_FIRST, of.EXIT_ZERO, of.WATCH)
@of.options(*RUNNING, of.BUDGET, of.POWER)
def run_command(**given: Unpack[of.GivenToRun]) -> int:
    """Check the gradients of every CONFIG, of all configs in DIR, of what has a backward in FILE.py
    (or FILE.py:NAME), or of a config on stdin (-)."""
    if not given["watch"] or given["list_only"]:
        return run_once(given)
    from gradcheck_cli.cli.watch import Watch

    watch = Watch(given["configs"])
    return watch.repeat(lambda: run_once(given, watch))


def run_once(given: of.GivenToRun, watch: Watch | None = None) -> int:
    """Read the configs, run the checks and write the report; return the exit code.

    watch: chooses the checks that a change affects.
    """
    screen = Screen(
        verbose=given["verbose"], durations=given["durations"], statistics=given["statistics"]
    )
    with annotate_errors(given["format"]):
        checks = read_checks(given, last=given["last_failed"])  # YAML → checks
        if given["list_only"]:
            return write("".join(map(format_listing, checks)), ExitCode.OK)
    if watch is not None:
        checks = watch.choose(checks)
        if not checks:
            return ExitCode.OK
    checks = choose.share_processes(checks, given["jobs"], given["budget"])
    power, exit_first = given["power"], given["exit_first"]
    report, code = run_and_report(given, checks, screen, power=power, exit_first=exit_first)
    last_failed.keep(report.checks)
    if watch is not None:
        watch.keep(report.checks)
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
    checks = choose.share_processes(read_checks(given), given["jobs"])
    return run_and_report(given, checks, Screen(), mutants=True)[1]


def run_and_report(
    given: of.Given,
    checks: Sequence[ConfigCheck],
    screen: Screen,
    *,
    power: bool = False,
    exit_first: bool = False,
    mutants: bool = False,
) -> tuple[SuiteReport, int]:
    """Run the checks and write their report everywhere; return the report and the exit code.

    mutants: whether both are about the faults that the checks would catch.
    """
    with open_reports(given, screen, mutants=mutants) as reports, open_executor(given) as executor:
        with show_progress(given["quiet"], find_faster(checks)) as progress:
            report = suite.run(  # every check: build → measure → compare → diagnose
                checks,
                progress,
                executor=executor,
                each=reports.add,
                timeout=given["timeout"],
                allow_code=given["allow_code"],
                power=power or mutants,
                exit_first=exit_first,
                judge=suite.exit_code_of_mutants if mutants else None,
            )
        code = reports.write(report, progress.left)  # → table, JSON, …
    note_code_not_run(checks, given["allow_code"])
    return report, code


def read_checks(given: of.Given, *, last: bool = False) -> list[ConfigCheck]:
    """The checks that a command line chooses; last: only those that failed last time, if any."""
    from gradcheck_cli.config.load import load
    from gradcheck_cli.config.overrides import read_overrides

    tell = silence if given["quiet"] else note
    project = click.get_current_context().find_object(Project)
    overrides = read_overrides(given["set"], given["seed"], given["seeds"], project)
    checks = load(given["configs"], tell, overrides=overrides, exclude=given["exclude"])
    checks = choose.select(checks, given["select"])
    if last:
        again = choose.keep_failed(checks, last_failed.list_failed())
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


@contextmanager
def open_executor(given: of.Given) -> Iterator[Executor]:
    """The executor that runs the checks: a cluster, several processes, or this process."""
    if given["dask"] is not None:
        from gradcheck_cli.processes.dask import connect

        with connect(given["dask"]) as cluster:
            yield cluster
    elif given["jobs"] > 1:
        from gradcheck_cli.processes.pool import Pool

        yield Pool(given["jobs"])
    else:
        yield run_in_turn
