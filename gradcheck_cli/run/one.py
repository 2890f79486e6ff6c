"""One check, from its config to its report; code of the user's is run in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from gradcheck_cli.errors import CodeError, GradcheckError
from gradcheck_cli.result import CheckReport, CheckResult, Outcome, Settings, Verdict
from gradcheck_cli.text import printable

if TYPE_CHECKING:
    from gradcheck_cli.config.build_check import ConfigCheck
    from gradcheck_cli.problem import Problem
    from gradcheck_cli.processes.sandbox_child import Watchdog, Work

Result = TypeVar("Result")


def run_check(
    check: ConfigCheck,
    advance: Callable[[int], None],
    timeout: float | None = None,
    power: bool = False,
) -> CheckReport:
    """One check, from its config to its report; what cannot be run costs only this check."""
    try:
        return _report(check, _checked(check, advance, timeout, power))
    except MemoryError:
        return not_run(check, "not enough memory for this check; use smaller sizes")
    except GradcheckError as failure:
        return not_run(check, str(failure))


def not_run(check: ConfigCheck, error: str) -> CheckReport:
    """The report of a check that could not be run."""
    return _report(check, None, error)


def _report(check: ConfigCheck, result: CheckResult | None, error: str = "") -> CheckReport:
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


def _checked(
    check: ConfigCheck, advance: Callable[[int], None], timeout: float | None, power: bool
) -> CheckResult:
    """All gradients of the check's layer as one result; code is run in a process of its own."""
    if not check.layer.code:
        return _result(check, check.layer.problems(), advance, power)
    from gradcheck_cli.processes.sandbox import UnfinishedError

    try:
        return _isolated(partial(_watched, power=power), check, advance, timeout)
    except UnfinishedError as error:
        if error.early is None:
            raise
        early: CheckResult = error.early
        note = f"the diagnosis was not finished: {error}"
        return replace(early, notes=(*early.notes, note))


def apart(
    check: ConfigCheck,
    work: Callable[[ConfigCheck, Sequence[Problem], Callable[[int], None]], Result],
    advance: Callable[[int], None],
    timeout: float | None,
) -> Result:
    """work(check, its problems, advance); code is run in a process of its own.

    Raises GradcheckError where that cannot be done.
    """
    if not check.layer.code:
        return work(check, check.layer.problems(), advance)
    return _isolated(partial(_of_watched, work), check, advance, timeout)


def _isolated(
    work: Work[Result], check: ConfigCheck, advance: Callable[[int], None], timeout: float | None
) -> Result:
    # Imported here once, not in every process.
    from gradcheck_cli.processes.sandbox import isolated
    from gradcheck_cli.usercode import problems  # noqa: F401

    try:
        return isolated(work, check, advance, timeout)
    except OSError as error:
        raise CodeError(f"there is no process to run its code in: {error}") from error


def _watched(
    check: ConfigCheck, watchdog: Watchdog, advance: Callable[[int], None], power: bool
) -> CheckResult:
    """The result of a check of the user's code."""
    return _result(check, _watched_problems(check, watchdog), advance, power, watchdog.keep)


def _of_watched(
    work: Callable[[ConfigCheck, Sequence[Problem], Callable[[int], None]], Result],
    check: ConfigCheck,
    watchdog: Watchdog,
    advance: Callable[[int], None],
) -> Result:
    return work(check, _watched_problems(check, watchdog), advance)


def _watched_problems(check: ConfigCheck, watchdog: Watchdog) -> list[Problem]:
    """The problems of a check of the user's code: every call of it is told to the watchdog."""
    return [
        replace(
            problem,
            forward=watchdog.watched(problem.forward),
            backward=watchdog.watched(problem.backward),
        )
        for problem in check.layer.problems()
    ]


def _result(
    check: ConfigCheck,
    problems: Sequence[Problem],
    advance: Callable[[int], None],
    power: bool = False,
    keep: Callable[[CheckResult], None] | None = None,
) -> CheckResult:
    from gradcheck_cli.checker.check import check as check_problem
    from gradcheck_cli.checker.check import joined

    return joined(
        check_problem(
            problem,
            numeric=check.numeric,
            tolerance=check.tolerance,
            progress=advance,
            power=power,
            keep=keep,
        )
        for problem in problems
    )


def _outcome(result: CheckResult | None, expected: Verdict) -> Outcome:
    if result is None:
        return Outcome.ERROR
    if result.verdict == expected:
        return Outcome.OK
    return Outcome.INCONCLUSIVE if result.verdict == Verdict.INCONCLUSIVE else Outcome.WRONG


def rerun(check: ConfigCheck) -> str:
    """The command that runs just this check again."""
    words = ["gradcheck", "run", *["--allow-code"] * bool(check.layer.code)]
    words += check.words
    if check.select is not None:
        words += ["--select", check.select]
    words += (
        ["--", check.path] if check.path.startswith("-") and check.path != "-" else [check.path]
    )
    words = [printable(word) for word in words]
    return _quoted(words)


def _quoted(words: Sequence[str]) -> str:
    """A command as a shell of this system reads it."""
    if os.name == "nt":
        import subprocess

        return subprocess.list2cmdline(words)
    import shlex

    return shlex.join(words)


def _settings(check: ConfigCheck) -> Settings:
    layer, numeric = check.layer, check.numeric
    return Settings(
        sizes=dict(layer.sizes),
        dtype=layer.dtype,
        seed=layer.seed,
        scheme="central",
        order="auto" if numeric.order is None else numeric.order,
        step="auto" if numeric.step is None else numeric.step,
        sample=numeric.sample,
        **layer.described(),
    )
