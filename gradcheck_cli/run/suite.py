"""Many checks: which of them, in which order, what came out of each, and the exit code."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gradcheck_cli import __version__
from gradcheck_cli.errors import TerminatedError, UsageError
from gradcheck_cli.processes.executor import Executor, run_in_turn
from gradcheck_cli.processes.signals import hold_signals, raise_on_signals
from gradcheck_cli.result import (
    SCHEMA_VERSION,
    CheckReport,
    Environment,
    ExitCode,
    Mutant,
    MutantStatus,
    Outcome,
    SuiteReport,
)
from gradcheck_cli.run.one import report_failure, run_check
from gradcheck_cli.text import printable, suggest

if TYPE_CHECKING:
    from gradcheck_cli.config.build_check import ConfigCheck

MOST_IDS = 10  # of checks, where a pattern is near none
MOST_NAMES = 6  # of functions, in a list that is read on a screen

# Takes how many entries of all gradients are done, of how many.
Progress = Callable[[int, int], None]
# Gives the exit code of what came out.
Judge = Callable[[Sequence[CheckReport]], int]


def select(checks: Sequence[ConfigCheck], patterns: Sequence[str]) -> list[ConfigCheck]:
    """The checks whose id is one of `patterns` or matches it as a glob; all without patterns.

    Raises UsageError for a pattern that selects nothing.
    """
    for pattern in patterns:
        if not any(_matches(check, pattern) for check in checks):
            raise UsageError(f"no check matches '{pattern}'" + _suggest_ids(pattern, checks))
    return [
        check
        for check in checks
        if not patterns or any(_matches(check, pattern) for pattern in patterns)
    ]


def _suggest_ids(pattern: str, checks: Sequence[ConfigCheck]) -> str:
    """The ids that are near a pattern; where none is, a few that there are, and how many more."""
    ids = list(dict.fromkeys(id for check in checks for id in (check.name, check.id)))
    near = suggest(pattern, ids)
    if near:
        return near
    more = len(checks) - MOST_IDS
    rest = f" and {more} more; --list prints them" if more > 0 else ""
    return f"; there are: {', '.join(check.id for check in checks[:MOST_IDS])}{rest}"


def _matches(check: ConfigCheck, pattern: str) -> bool:
    """Whether a pattern is of the check, or of all checks of its matrix."""
    # Ids have brackets of their own, so only * and ? are wild.
    wild = pattern.replace("[", "[[]")
    return any(id == pattern or fnmatchcase(id, wild) for id in (check.id, check.name))


def refuse_code(checks: Sequence[ConfigCheck]) -> None:
    """Raises UsageError where checks run Python code, with the code and the place that names it."""
    named: dict[str, dict[str, None]] = {}
    for check in checks:
        for code in check.layer.code:
            named.setdefault(f"{check.path}: {code.place}", {})[code.name] = None
    if named:
        lines = [f"  {printable(place)}: {_some(list(names))}" for place, names in named.items()]
        raise UsageError(
            "configs name Python code, which runs with --allow-code only\n"
            + "\n".join(lines)
            + "\nread this code, then add --allow-code; nothing was checked"
        )


def _some(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def run(
    checks: Sequence[ConfigCheck],
    progress: Progress | None = None,
    *,
    timeout: float | None = None,
    power: bool = False,
    judge: Judge | None = None,
    executor: Executor = run_in_turn,
    each: Callable[[CheckReport], None] | None = None,
    exit_first: bool = False,
) -> SuiteReport:
    """Run the checks, and report them in their order. Ctrl-C ends the run and keeps what is done.

    progress: takes how many entries are done, of how many.
    timeout: seconds that a call of the user's code may take; None: any time.
    power: also see which faults the checks would catch.
    judge: gives the exit code of the reports; by default that of how the checks came out.
    executor: runs them, by default one after the other.
    each: takes the report of every check as it is done; exit_first: end with the first that is not
        ok.
    """
    started = time.time()
    done: dict[int, CheckReport] = {}
    stopped: ExitCode | None = None
    counter = EntryCounter(sum(map(count_entries, checks)), progress)
    work = partial(run_check, timeout=timeout, power=power)
    import numpy  # noqa: F401 - no signal may cut its import short

    try:
        with (
            raise_on_signals() as raise_signal,
            closing(executor(checks, work, report_failure, counter)) as running,
        ):
            for place, report in running:
                if report.outcome == Outcome.ERROR:
                    raise_signal()  # it may have been the reason
                with hold_signals():
                    done[place] = report
                    if each is not None:
                        each(report)
                counter.finish(count_entries(checks[place]))
                if exit_first and report.outcome != Outcome.OK:
                    break
    except TerminatedError:
        stopped = ExitCode.TERMINATED
    except KeyboardInterrupt:
        stopped = ExitCode.INTERRUPTED
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


def spread(
    checks: Sequence[ConfigCheck], jobs: int, budget: float | None = None
) -> list[ConfigCheck]:
    """The checks with the processes that are left for the entries of each, and a budget of time."""
    each = max(1, jobs // max(1, len(checks)))
    return [
        replace(check, numeric=replace(check.numeric, jobs=each, budget=budget)) for check in checks
    ]


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
    """Counts entries: those that are measured, and those of a check that needed no measuring."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self.total = total
        self.progress = progress
        self.finished = 0
        self.measured = 0

    def __call__(self, entries: int) -> None:
        """Some more entries of a running check were measured."""
        self.measured += entries
        self.report()

    def finish(self, entries: int) -> None:
        """A check of that many entries is done."""
        self.finished += entries
        self.measured = max(0, self.measured - entries)
        self.report()

    def report(self) -> None:
        """Hand on how many entries are done."""
        if self.progress is not None:
            self.progress(self.finished + self.measured, self.total)


def exit_code(reports: Sequence[CheckReport]) -> int:
    """The exit code of these outcomes: a wrong gradient weighs most."""
    outcomes = {report.outcome for report in reports}
    for outcome, code in (
        (Outcome.WRONG, ExitCode.WRONG),
        (Outcome.ERROR, ExitCode.NOTHING_CHECKED),
        (Outcome.INCONCLUSIVE, ExitCode.INCONCLUSIVE),
    ):
        if outcome in outcomes:
            return code
    return ExitCode.OK
