"""One check, from its config to its report; what happens in the sandbox is in `sandbox_work`."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from gradcheck_cli.errors import (
    CodeError,
    GradcheckError,
    LeaveError,
    UnfinishedError,
    describe_internal_error,
)
from gradcheck_cli.report import CheckReport, Outcome, Settings, make_printable
from gradcheck_cli.result import CheckResult, Verdict
from gradcheck_cli.run.sandbox_work import identify_code, load_code, work_on_watched_problems
from gradcheck_cli.text import printable

if TYPE_CHECKING:
    from gradcheck_cli.config.builders.check import ConfigCheck
    from gradcheck_cli.config.init.template import Draft
    from gradcheck_cli.problem import Problem
    from gradcheck_cli.processes.executor import Advance
    from gradcheck_cli.processes.warm import WarmProcesses
    from gradcheck_cli.run.sandbox_work import Keep, Work

Result = TypeVar("Result")

# With how many seeds a gradient may be zero: a mask of five rows and two columns leaves one key in
# every row with one seed in 32.
SEEDS = 3
NEEDS_PROCESSES = (
    "checks of code need workers that may start processes; start them with --no-nanny, or with "
    "DASK_DISTRIBUTED__WORKER__DAEMON=False"
)


def run_check(
    check: ConfigCheck,
    advance: Advance,
    timeout: float | None = None,
    power: bool = False,
    allow_code: bool = False,
    warm: WarmProcesses | None = None,
) -> CheckReport:
    """Run one check, from its config to its report; what cannot be run costs this check alone.

    advance: takes how many more entries were measured.
    timeout: seconds that a call of the user's code may take; None: any time.
    power: also see which faults the check would catch.
    allow_code: whether the user's code may run.
    warm: processes that keep the code of checks loaded; None: the check loads its code itself.
    """
    work = partial(check_problems, power=power)
    try:
        report = _report(check, run_problems(check, work, advance, timeout, allow_code, warm))
        doubted = report.outcome == Outcome.WRONG
    except LeaveError as error:
        return replace(report_failure(check, str(error)), outcome=Outcome.NOT_RUN)
    except UnfinishedError as error:
        if error.early is None:
            return report_failure(check, describe_failure(check, error))
        note = f"the diagnosis was not finished: {error}"
        return _report(check, replace(error.early, notes=(*error.early.notes, note)))
    except Exception as error:
        report = report_failure(check, describe_failure(check, error))
        doubted = isinstance(error, GradcheckError)
    ran = report.outcome == Outcome.OK or " gives nan" in report.error
    if check.draft is not None and ran and not check.words:
        runs = partial(run_check, advance=advance, timeout=timeout, power=power, warm=warm)
        report = _look_at_zeros(check, report, partial(runs, allow_code=allow_code))
        doubted &= report.result is None
    if not doubted or check.draft is None or check.draft.tried:
        return report
    try:
        changed = _change_shapes(check, check.draft, timeout, ran=report.outcome == Outcome.WRONG)
    except UnfinishedError as error:
        return _add_note(report, f"the search for other shapes was not finished: {error}")
    if isinstance(changed, str):
        return report_failure(check, changed)
    if changed is None:
        return report
    return run_check(changed, advance, timeout, power, allow_code, warm)


def _look_at_zeros(
    check: ConfigCheck, report: CheckReport, run: Callable[[ConfigCheck], CheckReport]
) -> CheckReport:
    """The report of code without a config; where a gradient is zero, which may be by chance, as
    where a mask leaves one key to each query, that with another seed if fewer are there."""
    from gradcheck_cli.layers.code_layer import CodeLayer

    assert isinstance(check.layer, CodeLayer)
    for seed in range(1, SEEDS) if _count_zeros(report) else ():
        data = replace(check.layer.data, seed=check.layer.seed + seed)
        words = ("--seed", str(data.seed))
        other = run(replace(check, layer=replace(check.layer, data=data), words=words))
        if other.outcome == Outcome.WRONG or _count_zeros(other) < _count_zeros(report):
            return other
    return report


def _count_zeros(report: CheckReport) -> float:
    """How many gradients are zero on both sides; infinitely many where none is known."""
    result = report.result
    return sum(one.zero is not None for one in result.gradients) if result else math.inf


def _change_shapes(
    check: ConfigCheck, draft: Draft, timeout: float | None, *, ran: bool
) -> ConfigCheck | str | None:
    """A check of code without a config, with other shapes than were read, by which its gradients
    may be judged; None where there are none; or what to say where they cannot be judged.

    ran: whether the code ran with those that were read: else what it says of others is nearer.
    """
    from gradcheck_cli.run.try_shapes import replace_shapes, try_shapes

    try:
        tried = try_shapes(draft, check.path, timeout)
    except UnfinishedError:
        raise
    except (GradcheckError, OSError):
        return None
    if tried is not None and tried.other is not None:
        return (
            f"its gradients are wrong with the shapes {_list_given(tried.draft)}\n"
            f"  and right with others: {_list_given(tried.other)}\n"
            f"  which are meant is not in the code: {_advise_config(check, tried.draft)}"
        )
    if tried is None or (ran and not tried.fits) or tried.draft.described == draft.described:
        return None
    return replace_shapes(check, tried.draft)


def describe_failure(check: ConfigCheck, error: Exception) -> str:
    """Why a check could not be run, in the words of the report."""
    if isinstance(error, GradcheckError):
        hints = () if isinstance(error, UnfinishedError) else _advise(check)
        return "\n".join([str(error), *hints])
    if isinstance(error, MemoryError):
        return "not enough memory for this check; use smaller sizes"
    return describe_internal_error(error)


def _advise(check: ConfigCheck) -> Iterator[str]:
    """What may be wrong with the config where code could not be run: shapes that were read from the
    code, constants that are lists, and may be meant as shapes."""
    from gradcheck_cli.layers.code_layer import CodeLayer

    if check.draft is not None:
        yield f"  {_describe_reading(check, check.draft)}"
    constants = check.layer.data.constants if isinstance(check.layer, CodeLayer) else {}
    for name, value in constants.items():
        if isinstance(value, list) and value and all(type(size) is int for size in value):
            yield f"  {name} is the list {value}; an array of that shape is {{shape: {value}}}"


def _describe_reading(check: ConfigCheck, draft: Draft) -> str:
    """What is checked of code that has no config, and how to change it."""
    how = "by trying" if draft.tried else "from its text"
    return f"found {how}: {_list_given(draft)}; {_advise_config(check, draft)}"


def _list_given(draft: Draft) -> str:
    """What functions of the user are given, in one line."""
    return ", ".join(f"{key}: {draft.given[key]}" for key in draft.given if key not in draft.names)


def _advise_config(check: ConfigCheck, draft: Draft) -> str:
    """How to get a config of code that has none."""
    options = ["--allow-code"] * draft.tried
    init = _quote(["gradcheck", "init", *options, f"{check.path}:{check.name}"])
    return f"`{init}` writes a config for you to change"


def run_problems(
    check: ConfigCheck,
    work: Work[Result],
    advance: Advance,
    timeout: float | None,
    allow_code: bool,
    warm: WarmProcesses | None,
) -> Result:
    """Do the work on the problems of a check; where they call the user's code, in a sandbox.

    Raises GradcheckError where that cannot be done, and LeaveError where the code may not run.
    """
    if not check.layer.code:
        return work(check, check.layer.problems(), advance, None)
    if not allow_code:
        raise LeaveError(code.name for code in check.layer.code)
    import multiprocessing

    # Imported here once, not in every process that is forked.
    from gradcheck_cli.checker import check as checker  # noqa: F401
    from gradcheck_cli.processes.sandbox import run_in_sandbox
    from gradcheck_cli.processes.sandbox_child import describe_no_process
    from gradcheck_cli.usercode import problems  # noqa: F401

    if multiprocessing.current_process().daemon:  # as the workers of a cluster are
        raise CodeError(NEEDS_PROCESSES)
    in_sandbox = partial(work_on_watched_problems, work)
    try:
        if warm is None:
            return run_in_sandbox(in_sandbox, check, advance, timeout)
        code = identify_code(check)
        load = partial(load_code, code)
        return warm.run(code, load, in_sandbox, check, advance, timeout)
    except OSError as error:
        raise CodeError(describe_no_process(error)) from error


@contextmanager
def keep_code_loaded(checks: Sequence[ConfigCheck]) -> Iterator[WarmProcesses | None]:
    """Processes that load the code of these checks once; None where no two of them share any."""
    codes = [code for check in checks if (code := identify_code(check))]
    if len(set(codes)) == len(codes):
        yield None
        return
    from gradcheck_cli.processes.warm import WarmProcesses

    with WarmProcesses() as warm:
        yield warm


def check_problems(
    check: ConfigCheck,
    problems: Sequence[Problem],
    advance: Advance,
    keep: Keep | None,
    power: bool = False,
) -> CheckResult:
    """Check all problems of a check (a `Work`), as one result."""
    from gradcheck_cli.checker import check as checker

    return checker.check(
        problems,
        numeric=check.numeric,
        tolerance=check.tolerance,
        progress=advance,
        power=power,
        keep=keep,
    )


def report_failure(check: ConfigCheck, reason: str) -> CheckReport:
    """The report of a check that could not be run."""
    return _report(check, None, reason)


def _report(check: ConfigCheck, result: CheckResult | None, error: str = "") -> CheckReport:
    expected = Verdict(check.expect)
    outcome = _outcome(result, expected)
    if result and check.draft:
        zero = any(one.zero is not None for one in result.gradients)  # for what it was given, maybe
        if check.draft.tried or zero or outcome != Outcome.OK:
            result = replace(result, notes=(*result.notes, _describe_reading(check, check.draft)))
    report = CheckReport(
        id=printable(check.id),
        path=printable(check.path),
        line=check.line,
        rule_lines=dict(check.rule_lines),
        settings=_settings(check),
        expected=expected,
        outcome=outcome,
        result=result,
        error=error,
        rerun=rerun(check),
    )
    return make_printable(report)


def _add_note(report: CheckReport, note: str) -> CheckReport:
    """The report with one more note, which is a part of the error where nothing was measured."""
    if report.result is None:
        return make_printable(replace(report, error=f"{report.error}\n  {note}"))
    result = replace(report.result, notes=(*report.result.notes, note))
    return make_printable(replace(report, result=result))


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
    path = check.path if check.draft is None else f"{check.path}:{check.name}"
    words += ["--", path] if path.startswith("-") and path != "-" else [path]
    words = [printable(word) for word in words]
    return _quote(words)


def _quote(words: Sequence[str]) -> str:
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
        **layer.describe_settings(),
    )
