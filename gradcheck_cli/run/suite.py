"""Many checks: they are run, what came out of each is reported, and the exit code follows."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from signal import SIGINT
from typing import TYPE_CHECKING

from gradcheck_cli import __version__
from gradcheck_cli.errors import TerminatedError
from gradcheck_cli.processes.executor import Executor, run_in_turn
from gradcheck_cli.processes.signals import hold_signals, raise_on_signals
from gradcheck_cli.report import (
    SCHEMA_VERSION,
    CheckReport,
    Environment,
    ExitCode,
    Outcome,
    SuiteReport,
)
from gradcheck_cli.result import Mutant, MutantStatus
from gradcheck_cli.run.one import keep_code_loaded, report_failure, run_check

if TYPE_CHECKING:
    from gradcheck_cli.config.builders.check import ConfigCheck

# Takes how many entries of all gradients are done, of how many; the check at work; how many checks
# failed so far; how many of the entries are of checks that are not done.
Progress = Callable[[int, int, str, int, int], None]
# Gives the exit code of what came out.
Judge = Callable[[Sequence[CheckReport]], int]


def run(
    checks: Sequence[ConfigCheck],
    progress: Progress | None = None,
    *,
    timeout: float | None = None,
    power: bool = False,
    allow_code: bool = False,
    judge: Judge | None = None,
    executor: Executor = run_in_turn,
    each: Callable[[CheckReport], None] | None = None,
    exit_first: bool = False,
) -> SuiteReport:
    """Run the checks, and report them in their order. Ctrl-C ends the run and keeps what is done.

    progress: takes what `Progress` says.
    timeout: seconds that a call of the user's code may take; None: any time.
    power: also see which faults the checks would catch.
    allow_code: whether the user's code may run; without, checks of code are reported as not run.
    judge: gives the exit code of the reports; by default that of how the checks came out.
    executor: runs them, by default one after the other.
    each: takes the report of every check as it is done; exit_first: end at the first not ok.
    """
    started = time.time()
    counter = EntryCounter(checks, progress)
    work = partial(run_check, timeout=timeout, power=power, allow_code=allow_code)
    done, stopped = dict[int, CheckReport](), None
    import numpy  # noqa: F401 - no signal may cut its import short

    try:
        with (
            keep_code_loaded(checks) as warm,
            raise_on_signals() as raise_signal,
            closing(executor(checks, partial(work, warm=warm), report_failure, counter)) as running,
        ):
            for place, report in running:
                if report.outcome == Outcome.ERROR:
                    raise_signal()  # it may have been the reason
                with hold_signals():
                    done[place] = report
                    if each is not None:
                        each(report)
                counter.finish(place, report)
                if exit_first and report.outcome not in (Outcome.OK, Outcome.NOT_RUN):
                    break
    except KeyboardInterrupt as signal:
        stopped = ExitCode(128 + (signal.number if isinstance(signal, TerminatedError) else SIGINT))
    reports = [done[place] for place in sorted(done)]
    code = stopped or (judge or exit_code)(reports)
    return summarize(reports, len(checks), code, stopped is not None, power, started)


def summarize(
    reports: Sequence[CheckReport],
    count: int,
    code: int,
    interrupted: bool,
    power: bool,
    started: float,
) -> SuiteReport:
    """The reports of checks as that of a run. count: of the checks that were to be run; started:
    in seconds since 1970."""
    counts = Counter(report.outcome.value for report in reports)
    return SuiteReport(
        schema_version=SCHEMA_VERSION,
        gradcheck_version=__version__,
        checks=tuple(reports),
        counts={outcome.value: counts[outcome.value] for outcome in Outcome},
        seconds=time.time() - started,
        interrupted=interrupted,
        exit_code=code,
        not_reached=count - len(reports),
        started=_utc(started),
        environment=_environment(),
        mutants=_statuses(reports) if power else None,
    )


def _utc(seconds: float) -> str:
    """A time of day, in ISO 8601."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _environment() -> Environment:
    """What the checks were run with."""
    import numpy as np

    return Environment(
        python=sys.version.split()[0],
        numpy=np.__version__,
        platform=sys.platform,
        machine=os.uname().machine if hasattr(os, "uname") else "",
        cores=os.cpu_count() or 1,
    )


def _statuses(reports: Sequence[CheckReport]) -> dict[str, int]:
    """How many mutants of all checks had which status."""
    counts = Counter(mutant.status for mutant in mutants(reports))
    return {status.value: counts[status] for status in MutantStatus}


def mutants(reports: Sequence[CheckReport]) -> list[Mutant]:
    """The faults that were put into the gradients of these checks."""
    results = [report.result for report in reports if report.result is not None]
    return [mutant for result in results for mutant in result.mutants or ()]


def exit_code_of_mutants(reports: Sequence[CheckReport]) -> int:
    """The exit code of `mutate`: a survivor that could have been caught weighs most."""
    if any(mutant.status == MutantStatus.SURVIVED for mutant in mutants(reports)):
        return ExitCode.WRONG
    done = all(
        report.result is not None and report.result.mutants is not None for report in reports
    )
    return ExitCode.OK if done else ExitCode.NOTHING_CHECKED


def count_entries(check: ConfigCheck) -> int:
    """How many entries of gradients a check measures."""
    return sum(check.numeric.entries(size) for _, size in check.layer.gradients)


class EntryCounter:
    """Counts entries: those that are measured, and those of a check that needed no measuring.

    The check at work is the first that is not done: of several that is the one which takes long.
    """

    def __init__(self, checks: Sequence[ConfigCheck], progress: Progress | None) -> None:
        self.checks = checks
        self.total = sum(map(count_entries, checks))
        self.progress = progress
        self.done: set[int] = set()
        self.at_work = self.finished = self.measured = self.failed = 0

    def __call__(self, entries: int) -> None:
        """Count entries of a running check that were measured."""
        self.measured += entries
        self.report()

    def finish(self, place: int, report: CheckReport) -> None:
        """Count the check at this place as done."""
        entries = count_entries(self.checks[place])
        self.failed += report.outcome in (Outcome.WRONG, Outcome.ERROR)
        self.done.add(place)
        while self.at_work in self.done:
            self.at_work += 1
        self.finished += entries
        self.measured = max(0, self.measured - entries)
        self.report()

    def report(self) -> None:
        """Tell `progress` how many entries are done, and which check is at work."""
        if self.progress is not None:
            at_work = self.checks[self.at_work].id if self.at_work < len(self.checks) else ""
            done = self.finished + self.measured
            self.progress(done, self.total, at_work, self.failed, self.measured)


def exit_code(reports: Sequence[CheckReport]) -> int:
    """The exit code of these outcomes: a wrong gradient weighs most."""
    outcomes = {report.outcome for report in reports}
    for outcome, code in (
        (Outcome.WRONG, ExitCode.WRONG),
        (Outcome.ERROR, ExitCode.NOTHING_CHECKED),
        (Outcome.NOT_RUN, ExitCode.NOTHING_CHECKED),
        (Outcome.INCONCLUSIVE, ExitCode.INCONCLUSIVE),
    ):
        if outcome in outcomes:
            return code
    return ExitCode.OK
