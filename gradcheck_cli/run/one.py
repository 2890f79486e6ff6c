"""Run one check, from its config to its report; `sandbox_work` is the part inside the sandbox."""

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

# Seeds with which a check of code without a config is run until fewer gradients are zero. With one
# seed in 32, a mask of five rows and two columns leaves a single key in every row.
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
    """Run one check, from its config to its report; errors become part of the report.

    advance: takes the number of entries that were measured since its last call.
    timeout: seconds that a call of the user's code may take; None: no limit.
    power: whether to find out, too, which faults the check would catch.
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
        report = _retry_zeros(check, report, partial(runs, allow_code=allow_code))
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


def _retry_zeros(
    check: ConfigCheck, report: CheckReport, run: Callable[[ConfigCheck], CheckReport]
) -> CheckReport:
    """The report of a check of code without a config; where a gradient is zero, that with another
    seed, if fewer gradients are zero with it, or one is wrong.

    A gradient may be zero by chance, for example where a mask leaves a single key to each query.
    """
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
    """The number of gradients that are zero on both sides; infinity if there is no result."""
    result = report.result
    return sum(one.zero is not None for one in result.gradients) if result else math.inf


def _change_shapes(
    check: ConfigCheck, draft: Draft, timeout: float | None, *, ran: bool
) -> ConfigCheck | str | None:
    """A check of code without a config, with other shapes by which its gradients may be judged.

    None where there are none; a text for the report where it is unclear which shapes are meant.
    ran: whether the code ran with the shapes that were inferred from it; if so, others must fit.
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
    """The reason why a check could not be run, as the report gives it."""
    if isinstance(error, GradcheckError):
        hints = () if isinstance(error, UnfinishedError) else _advise(check)
        return "\n".join([str(error), *hints])
    if isinstance(error, MemoryError):
        return "not enough memory for this check; use smaller sizes"
    return describe_internal_error(error)


def _advise(check: ConfigCheck) -> Iterator[str]:
    """Hints at what may be wrong with the config where code raised: shapes that were inferred from
    the code, and constants that are lists but may be meant as shapes."""
    from gradcheck_cli.layers.code_layer import CodeLayer

    if check.draft is not None:
        yield f"  {_describe_reading(check, check.draft)}"
    constants = check.layer.data.constants if isinstance(check.layer, CodeLayer) else {}
    for name, value in constants.items():
        if isinstance(value, list) and value and all(type(size) is int for size in value):
            yield f"  {name} is the list {value}; an array of that shape is {{shape: {value}}}"


def _describe_reading(check: ConfigCheck, draft: Draft) -> str:
    """The inputs of a check of code without a config, and how to change them."""
    how = "by trying" if draft.tried else "from its text"
    return f"found {how}: {_list_given(draft)}; {_advise_config(check, draft)}"


def _list_given(draft: Draft) -> str:
    """The inputs, constants and sizes of a draft, in one line."""
    return ", ".join(f"{key}: {draft.given[key]}" for key in draft.given if key not in draft.names)


def _advise_config(check: ConfigCheck, draft: Draft) -> str:
    """The command that writes a config for code that has none, as advice."""
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
    """Do the work on the problems of a check; in a sandbox if they call the user's code.

    Raises LeaveError where the code may not run, and other kinds of GradcheckError where the work
    cannot be done.
    """
    if not check.layer.code:
        return work(check, check.layer.problems(), advance, None)
    if not allow_code:
        raise LeaveError(code.name for code in check.layer.code)
    import multiprocessing

    # Imported once in this process, and not in every fork of it.
    from gradcheck_cli.checker import check as checker  # noqa: F401
    from gradcheck_cli.processes.sandbox import run_in_sandbox
    from gradcheck_cli.processes.sandbox_child import describe_no_process
    from gradcheck_cli.usercode import problems  # noqa: F401

    if multiprocessing.current_process().daemon:  # a worker of a cluster may be one
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
    """Processes that load the code of these checks once; None if no two checks share code."""
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
    """Check all problems of a check (this is a `Work`); return a single result."""
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
    outcome = _judge_outcome(result, expected)
    if result and check.draft:
        # A gradient may be zero because of the inputs that it was given.
        zero = any(one.zero is not None for one in result.gradients)
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
        rerun=write_rerun(check),
    )
    return make_printable(report)


def _add_note(report: CheckReport, note: str) -> CheckReport:
    """The report with one more note; without a result, the note becomes part of the error."""
    if report.result is None:
        return make_printable(replace(report, error=f"{report.error}\n  {note}"))
    result = replace(report.result, notes=(*report.result.notes, note))
    return make_printable(replace(report, result=result))


def _judge_outcome(result: CheckResult | None, expected: Verdict) -> Outcome:
    if result is None:
        return Outcome.ERROR
    if result.verdict == expected:
        return Outcome.OK
    return Outcome.INCONCLUSIVE if result.verdict == Verdict.INCONCLUSIVE else Outcome.WRONG


def write_rerun(check: ConfigCheck) -> str:
    """The command that runs only this check again."""
    words = ["gradcheck", "run", *["--allow-code"] * bool(check.layer.code)]
    words += check.words
    if check.select is not None:
        words += ["--select", check.select]
    path = check.path if check.draft is None else f"{check.path}:{check.name}"
    words += ["--", path] if path.startswith("-") and path != "-" else [path]
    words = [printable(word) for word in words]
    return _quote(words)


def _quote(words: Sequence[str]) -> str:
    """A command, quoted for the shell of this system."""
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
