"""Run many checks, report the outcome of each, and derive the exit code."""

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

# Takes the number of entries of all gradients that are done, the number of all entries, the id of
# the running check, the number of failed checks, and how many of the done entries belong to checks
# that are not finished.
Progress = Callable[[int, int, str, int, int], None]
# Gives the exit code for some reports.
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
    """Run the checks, and report them in their order. Ctrl-C ends the run; finished checks count.

    progress: see `Progress`.
    timeout: seconds that a call of the user's code may take; None: no limit.
    power: whether to find out, too, which faults the checks would catch.
    allow_code: whether the user's code may run; if not, checks of code are reported as not run.
    judge: gives the exit code for the reports; None: `exit_code`.
    executor: runs the checks; by default one after the other.
    each: takes the report of every check when it is finished.
    exit_first: whether to end at the first check that is not ok.
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
                    raise_signal()  # a signal may have caused the error
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
    """The report of a run from those of its checks.

    count: the number of checks that were to be run; started: in seconds since 1970.
    """
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
        mutants=_count_statuses(reports) if power else None,
    )


def _utc(seconds: float) -> str:
    """A time in seconds since 1970 as ISO 8601."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _environment() -> Environment:
    """The versions and the machine that the checks were run with."""
    import numpy as np

    return Environment(
        python=sys.version.split()[0],
        numpy=np.__version__,
        platform=sys.platform,
        machine=os.uname().machine if hasattr(os, "uname") else "",
        cores=os.cpu_count() or 1,
    )


def _count_statuses(reports: Sequence[CheckReport]) -> dict[str, int]:
    """The number of mutants of each status."""
    counts = Counter(mutant.status for mutant in list_mutants(reports))
    return {status.value: counts[status] for status in MutantStatus}


def list_mutants(reports: Sequence[CheckReport]) -> list[Mutant]:
    """The mutants of all checks: the faults that were injected into their gradients."""
    results = [report.result for report in reports if report.result is not None]
    return [mutant for result in results for mutant in result.mutants or ()]


def exit_code_of_mutants(reports: Sequence[CheckReport]) -> int:
    """The exit code of `mutate`: WRONG if any mutant survived; NOTHING_CHECKED if not all checks
    were done."""
    if any(mutant.status == MutantStatus.SURVIVED for mutant in list_mutants(reports)):
        return ExitCode.WRONG
    done = all(
        report.result is not None and report.result.mutants is not None for report in reports
    )
    return ExitCode.OK if done else ExitCode.NOTHING_CHECKED


def count_entries(check: ConfigCheck) -> int:
    """The number of entries of all gradients that a check measures."""
    return sum(check.numeric.entries(size) for _, size in check.layer.gradients)


class EntryCounter:
    """Counts measured entries for a progress bar; a finished check counts with all its entries.

    The check at work is the first that is not finished; if several run, it takes the longest.
    """

    def __init__(self, checks: Sequence[ConfigCheck], progress: Progress | None) -> None:
        self.checks = checks
        self.total = sum(map(count_entries, checks))
        self.progress = progress
        self.done: set[int] = set()
        self.at_work = self.finished = self.measured = self.failed = 0

    def __call__(self, entries: int) -> None:
        """Count so many more measured entries of a running check."""
        self.measured += entries
        self.report()

    def finish(self, place: int, report: CheckReport) -> None:
        """Count the check at this place as finished."""
        entries = count_entries(self.checks[place])
        self.failed += report.outcome in (Outcome.WRONG, Outcome.ERROR)
        self.done.add(place)
        while self.at_work in self.done:
            self.at_work += 1
        self.finished += entries
        self.measured = max(0, self.measured - entries)
        self.report()

    def report(self) -> None:
        """Call `progress` with the counts and the check at work."""
        if self.progress is not None:
            at_work = self.checks[self.at_work].id if self.at_work < len(self.checks) else ""
            done = self.finished + self.measured
            self.progress(done, self.total, at_work, self.failed, self.measured)


def exit_code(reports: Sequence[CheckReport]) -> int:
    """The exit code of the worst outcome: wrong, then error or not run, then inconclusive."""
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
