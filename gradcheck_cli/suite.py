"""Many checks: which of them, in which order, what came out of each, and the exit code."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from gradcheck_cli import __version__
from gradcheck_cli.config.build import ConfigCheck
from gradcheck_cli.errors import GradcheckError, UsageError, near_miss, printable
from gradcheck_cli.result import (
    SCHEMA_VERSION,
    CheckReport,
    CheckResult,
    Outcome,
    Settings,
    SuiteReport,
    Verdict,
)

OK, WRONG, NOTHING_CHECKED, INCONCLUSIVE, INTERNAL, INTERRUPTED = 0, 1, 2, 3, 4, 130

# Is told how many entries of all gradients are done, of how many.
Progress = Callable[[int, int], None]


def select(checks: Sequence[ConfigCheck], patterns: Sequence[str]) -> list[ConfigCheck]:
    """The checks whose id is one of `patterns` or matches it as a glob; all without patterns.

    Raises UsageError for a pattern that selects nothing.
    """
    for pattern in patterns:
        if not any(_matches(check.id, pattern) for check in checks):
            ids = [check.id for check in checks]
            raise UsageError(f"no check matches '{pattern}'" + near_miss(pattern, ids, "there are"))
    return [
        check
        for check in checks
        if not patterns or any(_matches(check.id, pattern) for pattern in patterns)
    ]


def _matches(id: str, pattern: str) -> bool:
    return id == pattern or fnmatchcase(id, pattern)


def run(checks: Sequence[ConfigCheck], progress: Progress | None = None) -> SuiteReport:
    """Run the checks one after the other. Ctrl-C ends the run and keeps what is done."""
    started = time.perf_counter()
    reports: list[CheckReport] = []
    interrupted = False
    counter = _Counter(sum(check.layer.entries for check in checks), progress)
    try:
        for check in checks:
            reports.append(run_check(check, counter))
            counter.finish(check.layer.entries)
    except KeyboardInterrupt:
        interrupted = True
    counts = Counter(report.outcome.value for report in reports)
    return SuiteReport(
        schema_version=SCHEMA_VERSION,
        gradcheck_version=__version__,
        checks=tuple(reports),
        counts={outcome.value: counts[outcome.value] for outcome in Outcome},
        seconds=time.perf_counter() - started,
        interrupted=interrupted,
        exit_code=INTERRUPTED if interrupted else exit_code(reports),
    )


class _Counter:
    """Counts entries: those that are measured, and those of a check that needed no measuring."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self.total = total
        self.progress = progress
        self.finished = 0
        self.measured = 0

    def __call__(self, entries: int) -> None:
        """Some more entries of the running check were measured."""
        self.measured += entries
        self.tell()

    def finish(self, entries: int) -> None:
        """A check of that many entries is done."""
        self.finished += entries
        self.measured = 0
        self.tell()

    def tell(self) -> None:
        if self.progress is not None:
            self.progress(self.finished + self.measured, self.total)


def run_check(check: ConfigCheck, advance: Callable[[int], None]) -> CheckReport:
    """One check, from its config to its report; what cannot be run costs only this check."""
    result: CheckResult | None = None
    error = ""
    try:
        result = _checked(check, advance)
    except MemoryError:
        error = "not enough memory for this check; use smaller sizes"
    except GradcheckError as failure:
        error = str(failure)
    expected = Verdict(check.expect)
    return CheckReport(
        id=check.id,
        path=printable(check.path),
        line=check.line,
        rule_lines=dict(check.rule_lines),
        settings=_settings(check),
        expected=expected,
        outcome=_outcome(result, expected),
        result=result,
        error=error,
        rerun=rerun(check),
    )


def _checked(check: ConfigCheck, advance: Callable[[int], None]) -> CheckResult:
    """The gradients of the check's layer and, where asked for, its Jacobians, as one result."""
    from gradcheck_cli.checking import check as check_problem
    from gradcheck_cli.checking import joined
    from gradcheck_cli.layer import problems

    return joined(
        check_problem(problem, numeric=check.numeric, tolerance=check.tolerance, progress=advance)
        for problem in problems(check.layer)
    )


def _outcome(result: CheckResult | None, expected: Verdict) -> Outcome:
    if result is None:
        return Outcome.ERROR
    if result.verdict == expected:
        return Outcome.OK
    return Outcome.INCONCLUSIVE if result.verdict == Verdict.INCONCLUSIVE else Outcome.WRONG


def exit_code(reports: Sequence[CheckReport]) -> int:
    """The exit code of these outcomes: a wrong gradient weighs most."""
    outcomes = {report.outcome for report in reports}
    for outcome, code in (
        (Outcome.WRONG, WRONG),
        (Outcome.ERROR, NOTHING_CHECKED),
        (Outcome.INCONCLUSIVE, INCONCLUSIVE),
    ):
        if outcome in outcomes:
            return code
    return OK


def rerun(check: ConfigCheck) -> str:
    """The command that runs just this check again."""
    words = ["gradcheck", "run"]
    if not check.alone:
        words += ["--select", check.id]
    words += (
        ["--", check.path] if check.path.startswith("-") and check.path != "-" else [check.path]
    )
    words = [printable(word) for word in words]
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def _settings(check: ConfigCheck) -> Settings:
    layer, numeric = check.layer, check.numeric
    return Settings(
        form=layer.form.name,
        equation=layer.form.equation,
        sizes=dict(layer.sizes),
        loss=layer.loss.name,
        reduction=layer.reduction,
        delta=layer.delta,
        gradient_reduction="mean" if layer.divides["W"] else "sum",
        dtype=layer.dtype,
        seed=layer.seed,
        scheme="central",
        order="auto" if numeric.order is None else numeric.order,
        step="auto" if numeric.step is None else numeric.step,
    )
